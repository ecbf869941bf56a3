"""A project's privacy: shown with what it did, set, tried out; and tokens read again with a reason."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from pydantic import Field

from footfall.events.names import KnownNames
from footfall.events.verdicts import NATIVE, Judge
from footfall.privacy.never_collect import NAMES
from footfall.privacy.privacy import Privacy
from footfall.privacy.settings import InvalidPrivacy, PrivacySettings, read_settings
from footfall.privacy.stand_ins import NoToken
from footfall.storage.store import Query, Store
from footfall.workspace.workspace import Grant, Workspace
from query_api.answers import instant
from query_api.problems import Fault, refused
from query_api.spec.strict import Strict

MOST_TOKENS: Final = 1_000
LONGEST_REASON: Final = 500
_MOST_COUNTS: Final = 1_000

_COUNTS = f"""
SELECT toString(day), event, property, kind, action, sum(count) AS n FROM privacy_counts
WHERE project = {{project:String}} AND day > toDate(now('UTC')) - {{days:UInt32}}
GROUP BY day, event, property, kind, action
ORDER BY day DESC, n DESC, event, property, kind, action LIMIT {_MOST_COUNTS}"""


class DetokeniseSpec(Strict):
    """`{"values": ["tok_i_...", ...], "reason": "..."}`."""

    values: tuple[str, ...] = Field(min_length=1, max_length=MOST_TOKENS, description="Tokens.")
    reason: str = Field(
        min_length=3, max_length=LONGEST_REASON, description="Why; it stands in the audit log for good."
    )


class TryOutSpec(Strict):
    """`{"record": {...}}`: a record as an SDK would send it."""

    record: dict[str, Any]


def show_privacy(workspace: Workspace, store: Store, project: str, days: int) -> dict[str, Any]:
    """`{"settings", "changed_at", "changed_by", "never_collected", "counts"}`; counts of the last days."""
    saved = workspace.privacy.saved(project)
    settings = PrivacySettings() if saved is None else saved.settings
    rows = store.rows(Query(_COUNTS, {"project": project, "days": days})).rows
    names = ("day", "event", "property", "kind", "action", "count")
    return {
        "settings": settings.as_json(),
        "changed_at": None if saved is None else instant(saved.changed_at),
        "changed_by": None if saved is None else saved.changed_by,
        "never_collected": sorted(NAMES),
        "counts": [dict(zip(names, row, strict=True)) for row in rows],
    }


def set_privacy(workspace: Workspace, project: str, given: Any, *, grant: Grant, now: int) -> None:
    """From `now` (epoch ms) on, at every door, within two seconds. InvalidQuery with every fault."""
    try:
        settings = read_settings(given)
    except InvalidPrivacy as error:
        raise refused(
            [
                Fault(each.field, each.code, each.message, each.given, each.allowed, each.nearest)
                for each in error.faults
            ]
        ) from None
    workspace.privacy.save(project, settings, by=grant.actor, now=now)
    workspace.audit.record(grant.actor, "privacy.change", project, "", {"settings": settings.as_json()})


def detokenise(
    workspace: Workspace, project: str, privacy: Privacy, spec: DetokeniseSpec, grant: Grant
) -> dict[str, Any]:
    """`{"values": [...]}` in the order of the tokens; InvalidQuery naming the first that is none.

    The audit log knows of it before the answer leaves, also of tries that failed.
    """
    revealed: list[str] = []
    fault: Fault | None = None
    for index, token in enumerate(spec.values):
        try:
            revealed.append(privacy.stand_ins.reveal(token))
        except NoToken as error:
            fault = Fault(f"values[{index}]", "invalid_value", str(error), token[:100])
            break
    detail = {"tokens": len(spec.values), "reason": spec.reason, "refused": fault is not None}
    subject = workspace.audit.hashed(project, "\n".join(spec.values))
    workspace.audit.record(grant.actor, "unmask", project, subject, detail)
    if fault is not None:
        raise refused([fault])
    return {"values": revealed}


def try_out(privacy: Privacy, spec: TryOutSpec, now: int) -> dict[str, Any]:
    """`{"accepted", "problem", "record", "done"}`: what would rest of a record, and why. Stores nothing."""
    element = msgspec.json.encode(spec.record)
    verdicts = Judge(NATIVE, KnownNames()).judge_elements([element], now)
    if verdicts.refusals:
        refusal = verdicts.refusals[0]
        problem = f"{refusal.reason}: {refusal.message}"
        return {"accepted": False, "problem": problem, "record": None, "done": []}
    rest, masked = privacy.explain(element)
    done = [
        {"event": each.event, "property": each.property, "kind": each.kind, "action": each.action, "count": n}
        for each, n in sorted(masked.items())
    ]
    return {"accepted": True, "problem": None, "record": msgspec.json.decode(rest), "done": done}
