"""A batch of judged records against its project's plan: what is turned away, what is only counted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from footfall.events.log_record import PlanViolation, Refusal
from footfall.events.record import Record, event_name
from footfall.events.verdicts import Verdicts
from footfall.tracking_plan.judging import REASONS, CompiledPlan, Violation, Words, shown_name
from footfall.tracking_plan.plan import Plan


class Judgement(NamedTuple):
    """What a plan says of a batch."""

    version: int  # of the plan; 0: there is none
    refusals: Sequence[Refusal] = ()  # ascending by index
    violations: Sequence[PlanViolation] = ()
    told: Sequence[Refusal] = ()  # every violation in the words of a refusal, if asked for


NO_JUDGEMENT: Final = Judgement(0)


class ActivePlan:
    """A version of a project's plan, compiled. Safe to use from several threads."""

    def __init__(self, version: int, plan: Plan) -> None:
        self.version = version
        self.plan = plan
        self._compiled = CompiledPlan(plan)
        self._words = Words(plan)

    def judge(self, verdicts: Verdicts, *, tell: bool = False) -> Judgement:
        """Judges the accepted records, which are all of its project, and changes nothing.

        `tell`: in words, too. A batch without violations makes no lists.
        """
        if not self._compiled.judges:
            return Judgement(self.version)
        judge = self._compiled.judge
        found = [
            (index, record, violations)
            for index, record in _decoded(verdicts)
            if (violations := judge(record))
        ]
        if not found:
            return Judgement(self.version)
        refusals: list[Refusal] = []
        told: list[Refusal] = []
        groups: dict[tuple[str, str, str, str, str], list[int]] = {}
        for index, record, violations in found:
            refused = self._compiled.refused_for(violations)
            if refused is not None:
                refusals.append(self._in_words(index, record, refused))
            if tell:
                told += [self._in_words(index, record, violation) for violation in violations]
            client = _client_of(record)
            for violation in violations:
                groups.setdefault((*_place_of(record, violation), *client), []).append(index)
        grouped = [PlanViolation(*place, indexes) for place, indexes in groups.items()]
        return Judgement(self.version, refusals, grouped, told)

    def _in_words(self, index: int, record: Record, violation: Violation) -> Refusal:
        reason = REASONS[violation.kind].value
        message = self._words.message(record, violation)
        return Refusal(index, reason, self._words.field(violation), message)


class _Seen(Record):
    """A record as far as a plan looks at it; its numbers are doubles, as a door has them."""


_read_all = msgspec.json.Decoder(list[_Seen]).decode


def _decoded(verdicts: Verdicts) -> Iterator[tuple[int, Record]]:
    """The accepted records with their properties.

    A door's fastest way (events/usual.py) leaves properties undecoded, of all records of a batch and of no
    batch with a refused record in it: then the array is read again.
    """
    records = verdicts.records
    if any(record is not None and type(record.properties) is not dict for record in records):
        yield from enumerate(_read_all(verdicts.events))
        return
    for index, record in enumerate(records):
        if record is not None:
            yield index, record


def _place_of(record: Record, violation: Violation) -> tuple[str, str, str]:
    """Event, property and kind as they are counted."""
    event, name = event_name(record), violation.property
    if violation.kind == "unknown_event":
        event = shown_name(event)
    elif violation.kind == "unknown_property":
        name = shown_name(name)
    return event, name, violation.kind


def _client_of(record: Record) -> tuple[str, str]:
    """Which SDK and which version of an app sent it."""
    return _told(record, "$lib", _LIB), _told(record, "$app_version", _VERSION)


def _told(record: Record, name: str, form: re.Pattern[str]) -> str:
    said: Any = record.properties.get(name) or (record.lib or {}).get(name) or ""
    return said if isinstance(said, str) and form.fullmatch(said) else "other"


_LIB = re.compile(r"|[A-Za-z][A-Za-z_ .-]{0,31}")
_VERSION = re.compile(r"|v?\d{1,8}(?:\.\d{1,6}){0,4}(?:[-+ ][A-Za-z]{1,12}\.?\d{0,4})?")
"""What looks like a name of an SDK and a version: whatever else a client says there is not repeated, since
counts are kept for longer than events and are nobody's secret."""
