"""Violations of tracking plans that the doors noted -> counts, so that a redo counts the same.

A record that is a repeat, or that could not be processed, has none; a refused one counts each time it came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from footfall.events.log_record import Header
from footfall.storage.rows import PlanViolationRow
from processor.event_block import Rows
from processor.intake import Intake


def violation_rows(intake: Intake, fresh: Rows, zone_of: Callable[[str], str]) -> list[PlanViolationRow]:
    """What the block's log records noted of the records that are `fresh`, and of those that were refused.

    `zone_of` a project: the name of its time zone, by which days are told.
    """
    noting = {number for number, request in enumerate(intake.requests) if request.header.violations}
    if not noting:
        return []
    stored = {place for place in zip(fresh.request_of, fresh.seq, strict=True) if place[0] in noting}
    counts: Counter[PlanViolationRow] = Counter()
    for number in sorted(noting):
        header = intake.requests[number].header
        day = _day(header.received_at, zone_of(header.project))
        refused = {refusal.index for refusal in header.refusals}
        taken = {index for index in range(header.count) if (number, _position(header, index)) in stored}
        for violation in header.violations:
            for is_refused, counted in ((False, taken), (True, refused)):
                row = PlanViolationRow(
                    project=header.project,
                    day=day,
                    event=violation.event,
                    property=violation.property,
                    kind=violation.kind,
                    lib=violation.lib,
                    app_version=violation.app_version,
                    refused=is_refused,
                    count=0,
                )
                counts[row] += sum(index in counted for index in violation.indexes)
    return [row._replace(count=count) for row, count in sorted(counts.items()) if count]


def _position(header: Header, index: int) -> int:
    return header.indexes[index] if header.indexes else index


def _day(received_at: int, zone: str) -> date:
    return datetime.fromtimestamp(received_at / 1000, _zone(zone)).date()


@lru_cache(maxsize=1_000)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
