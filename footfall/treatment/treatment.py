"""From judged records to a log record: one order of things at every door.

    verdicts -> `judge` (declared identities, then the tracking plan, on what was sent; both may refuse)
    -> event ids (on what was sent: masking must not merge different events)
    -> `treat` (privacy: from here on nothing else is kept) -> log

The collector, imports, replays and administrators' words all pass here: nothing else writes records into a
log.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from footfall.events.faults import FIELD_TYPES, TYPES
from footfall.events.log_record import Header, MaskedCount, Refusal
from footfall.events.record import raw_bytes, split_array
from footfall.events.verdicts import Verdicts, wrap_raw
from footfall.privacy.privacy import Privacy
from footfall.privacy.values import Masked
from footfall.sealing import Sealer, log_place
from footfall.tracking_plan.batches import NO_JUDGEMENT, Judgement
from footfall.treatment.identities import undeclared_identities
from footfall.treatment.policy import Policy


def judge(verdicts: Verdicts, policy: Policy, *, tell: bool = False) -> Judgement:
    """What the project says of the accepted records, which are all of that project; some it may turn away.

    `tell`: every violation in words, too, for those who only asked.
    """
    refusals: list[Refusal] = []
    if policy.identity_keys is not None:
        refusals = undeclared_identities(verdicts, policy.identity_keys)
        refused = {refusal.index for refusal in refusals}
        if refused:
            kept = [None if index in refused else each for index, each in enumerate(verdicts.records)]
            verdicts = verdicts._replace(records=kept)
    judgement = NO_JUDGEMENT if policy.plan is None else policy.plan.judge(verdicts, tell=tell)
    if not refusals:
        return judgement
    both = sorted([*refusals, *judgement.refusals], key=lambda refusal: refusal.index)
    return judgement._replace(refusals=both)


def treat(header: Header, events: bytes, policy: Policy) -> tuple[Header, bytes]:
    """The header and the array of a log record as they may rest. `header` is complete, with its event ids.

    Accepted records are what the project's privacy leaves of them; what was refused, which may be anything,
    is sealed, and its refusal quotes nothing of it.
    """
    privacy, sealer = policy.privacy, policy.sealer
    if privacy is None or sealer is None:
        return header, events
    masked = Masked()
    refused = {refusal.index for refusal in header.refusals}
    if len(refused) < header.count:  # else all of it rests sealed: bodies of megabytes need no look
        events = privacy.array(events, refused, masked)
    user_agent = header.user_agent and privacy.user_agent(header.user_agent, masked)
    ip, country = privacy.address(header.ip) if header.ip else ("", "")
    refusals = header.refusals
    if refusals:
        events = _sealed(events, refused, sealer, log_place(header.project))
        refusals = [at_rest(refusal, privacy) for refusal in refusals]
    treated = replace(
        header,
        refusals=refusals,
        ip=ip,
        country=header.country or country,  # a replay knows it though the address may not have rested
        user_agent=user_agent,
        treated=1,
        masked=[MaskedCount(*done, count) for done, count in sorted(masked.items())] if masked else [],
    )
    return treated, events


def _sealed(events: bytes, refused: Collection[int], sealer: Sealer, place: str) -> bytes:
    """The array with the refused elements sealed; each is a JSON string, as what is no JSON always was."""
    elements = [
        wrap_raw(sealer.seal(raw_bytes(element), place)) if index in refused else bytes(element)
        for index, element in enumerate(split_array(events))
    ]
    return b"[" + b",".join(elements) + b"]"


def unsealed(element: bytes | Raw, header: Header, sealer: Sealer) -> bytes:
    """What the client sent for a refused element of a log record's array. CannotUnseal."""
    raw = raw_bytes(element)
    return sealer.unseal(raw, log_place(header.project)) if header.treated else raw


_QUOTED: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
_OUR_WORDS: Final = frozenset({*FIELD_TYPES, *TYPES})
_FIELD: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,254}(?:\.[A-Za-z_$][A-Za-z0-9_$]{0,254}|\[[0-9]+\])*")


def at_rest(refusal: Refusal, privacy: Privacy) -> Refusal:
    """A refusal without the words of the record: what was refused rests sealed only.

    The client's answer quotes them: it has sent them itself.
    """
    message = _QUOTED.sub(_without_words, refusal.message)
    field = refusal.field
    if field and (not _FIELD.fullmatch(field) or privacy.text(field) != field):
        shown = field.partition(".")[0]
        field = f"{shown}.…" if shown in _OUR_WORDS else "…"
        message = message.replace(refusal.field, field)
    return Refusal(refusal.index, refusal.reason, field, privacy.text(message))


def _without_words(match: re.Match[str]) -> str:
    return match[0] if match[0][1:-1] in _OUR_WORDS else "'…'"
