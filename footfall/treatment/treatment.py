"""From judged records to a log record: one order of things at every door.

    verdicts -> `judge` (declared identities, then the tracking plan, on what was sent; both may refuse)
    -> event ids (on what was sent: masking must not merge different events)
    -> `treat` (privacy: from here on nothing else is kept) -> log

The collector, imports, replays and administrators' words all pass here: nothing else writes records into a
log.
"""

from __future__ import annotations

from footfall.events.log_record import Header, Refusal
from footfall.events.verdicts import Verdicts
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


def treat(header: Header, events: bytes, policy: Policy) -> tuple[Header, bytes]:  # noqa: ARG001
    """The header and the array of a log record as they may rest. `header` is complete, with its event ids."""
    return header, events
