"""What privacy did at the doors -> rows, by day of arrival. What came twice is counted twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date

from footfall.storage.rows import PrivacyCountRow
from processor.duplicates import day_of
from processor.event_block import Request


def privacy_count_rows(requests: Sequence[Request]) -> list[PrivacyCountRow]:
    """In a fixed order, so that a redone block gives the same."""
    counts: Counter[tuple[str, date, str, str, str, str]] = Counter()
    for header, _, _ in requests:
        day = day_of(header.received_at)
        for done in header.masked:
            counts[header.project, day, done.event, done.property, done.kind, done.action] += done.count
    return [PrivacyCountRow(*place, count) for place, count in sorted(counts.items())]
