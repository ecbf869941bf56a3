"""What became of what was received: counted from the block itself, so that a redo counts the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from footfall.storage.rows import LedgerRow
from processor.blocks import Plan
from processor.event_block import Request

_MINUTE = 60_000


class Outcomes:
    """Counts by (project, door, minute, outcome, reason)."""

    def __init__(self, requests: Sequence[Request]) -> None:
        headers = [request.header for request in requests]
        self._places = [
            (header.project, header.door, header.received_at // _MINUTE * _MINUTE) for header in headers
        ]
        self._counts: Counter[tuple[str, str, int, str, str]] = Counter()
        for place, header in zip(self._places, headers, strict=True):
            self._counts[*place, "received", ""] += header.count

    def count(self, outcome: str, requests: Iterable[int]) -> None:
        """One more for each request number."""
        for request, count in Counter(requests).items():
            self._counts[*self._places[request], outcome, ""] += count

    def count_rejected(self, reason: str, request: int) -> None:
        self._counts[*self._places[request], "rejected", reason] += 1

    def total(self, outcome: str) -> int:
        return sum(count for place, count in self._counts.items() if place[3] == outcome)

    def rows(self, plan: Plan) -> list[LedgerRow]:
        """In a fixed order."""
        return [
            LedgerRow(*place, count, plan.partition, plan.first, plan.last)
            for place, count in sorted(self._counts.items())
        ]
