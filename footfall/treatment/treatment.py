"""From judged records to a log record: one order of things at every door.

    verdicts -> `judge` (the tracking plan, on what was sent; it may refuse) -> event ids (on what was sent:
    masking must not merge different events) -> `treat` (privacy: from here on nothing else is kept) -> log

The collector, imports, replays and administrators' words all pass here: nothing else writes records into a
log.
"""

from __future__ import annotations

from footfall.events.log_record import Header, Refusal
from footfall.events.verdicts import Verdicts
from footfall.treatment.policy import Policy


def judge(verdicts: Verdicts, policy: Policy) -> list[Refusal]:
    """What the project turns away of the accepted records, which are all of that project."""
    return [] if policy.plan is None else policy.plan.refusals(verdicts)


def treat(header: Header, events: bytes, policy: Policy) -> tuple[Header, bytes]:  # noqa: ARG001
    """The header and the array of a log record as they may rest. `header` is complete, with its event ids."""
    return header, events
