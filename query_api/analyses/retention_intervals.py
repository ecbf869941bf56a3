"""The intervals of a retention table: its rows, those that follow them, and which have begun by now."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from query_api.buckets import Bucket, Period
from query_api.problems import Fault, refused
from query_api.scope import Scope
from query_api.spec.retention import RetentionSpec
from query_api.sql.events import EARLIEST_MS, LATEST_MS

DAY_MS = 86_400_000
MAX_CELLS = 5_000_000


@dataclass(frozen=True, slots=True)
class Intervals:
    """`edges` are the starts of the intervals and the end of the last, as RetentionPlan has them."""

    rows: tuple[Bucket, ...]
    edges: tuple[int, ...]
    periods: int
    is_rolling: bool
    now: int

    @classmethod
    def of(cls, spec: RetentionSpec, scope: Scope) -> Intervals:
        """Raises InvalidQuery for a table that is too large."""
        rows = scope.calendar.buckets(scope.period, spec.interval)
        groups = spec.breakdown_limit + 2 if spec.breakdown else 1
        if len(rows) * (spec.periods + 1) * groups > MAX_CELLS:
            message = (
                f"{len(rows)} rows x {spec.periods + 1} cells x {groups} groups are more than {MAX_CELLS:,}"
            )
            narrower = "choose a shorter range, fewer periods or a smaller breakdown_limit"
            raise refused([Fault("periods", "invalid_value", f"{message}: {narrower}", spec.periods)])
        later = [] if spec.is_rolling else scope.calendar.after(rows[-1], spec.interval, spec.periods)
        edges = (*(bucket.start for bucket in (*rows, *later)), (later or rows)[-1].end)
        return cls(tuple(rows), edges, spec.periods, spec.is_rolling, scope.now)

    @property
    def entering(self) -> Period:
        """The time of all rows: buckets that the range only cuts are whole."""
        return Period(self.rows[0].start, self.rows[-1].end)

    def read(self, spec: RetentionSpec) -> Period:
        """The time in which an event can matter, but for those that say who entered when."""
        if spec.mode == "on_or_after":
            return Period(self.rows[0].start, LATEST_MS)
        if self.is_rolling:
            return Period(self.rows[0].start, self.rows[-1].end + (self.periods + 1) * DAY_MS)
        return Period(self.rows[0].start, self.edges[-1])

    def history(self, spec: RetentionSpec) -> Period:
        """The same with all of the past."""
        return Period(EARLIEST_MS, self.read(spec).end)

    def begun(self, row: int) -> int:
        """How many cells of a row have begun by now; the others are not in the answer."""
        if self.is_rolling:
            begun = (self.now - self.rows[row].start) // DAY_MS + 1
        else:
            begun = bisect_right(self.edges, self.now, hi=len(self.edges) - 1) - row
        return min(max(begun, 0), self.periods + 1)

    def is_partial(self, row: int) -> bool:
        """Whether one of the row's cells is still running."""
        begun = self.begun(row)
        if begun == 0:
            return False
        return self.now < (self._last_end(row) if self.is_rolling else self.edges[row + begun])

    def next_change(self) -> int | None:
        """When the next interval begins or ends, in epoch milliseconds; None if none does."""
        if not self.is_rolling:
            later = bisect_right(self.edges, self.now)
            return self.edges[later] if later < len(self.edges) else None
        changes = [self._last_end(row) for row in range(len(self.rows))]
        changes += [
            bucket.start + self.begun(row) * DAY_MS
            for row, bucket in enumerate(self.rows)
            if self.begun(row) <= self.periods
        ]
        return min((change for change in changes if change > self.now), default=None)

    def _last_end(self, row: int) -> int:
        """Where days roll: when the last interval of the row's last instant ends."""
        return self.rows[row].end - 1 + (self.periods + 1) * DAY_MS
