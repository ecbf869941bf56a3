"""From a scan to the figures of a funnel: steps, trend, histogram, for all actors or for a group's.

Functions that end in `_rows` say whose figures they are: the same rows that `/users` lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from query_api.analyses.funnel_groups import Group
from query_api.analyses.value_groups import Rows
from query_api.buckets import Bucket
from query_api.scan import FunnelScan
from query_api.scope import Scope
from query_api.spec.funnel import FunnelSpec, FunnelTrend, Histogram


@dataclass(frozen=True, slots=True)
class Reached:
    """Actors of a scan, column by column: `times[k]` are those of step k, in milliseconds."""

    scan: FunnelScan
    levels: NDArray[np.uint8]
    times: NDArray[np.int64]

    @classmethod
    def of(cls, scan: FunnelScan) -> Reached:
        return cls(scan, scan.levels, np.ascontiguousarray(scan.step_times.T))

    def durations(self, first: int, last: int, rows: Rows | None = None) -> NDArray[np.int64]:
        """Milliseconds between two steps, of those rows that reached the later one."""
        there = reached_rows(self, last, rows)
        took: NDArray[np.int64] = self.times[last][there] - self.times[first][there]
        return took


def reached_rows(reached: Reached, step: int, rows: Rows | None = None) -> Rows:
    """Those of the rows (None: of all) that reached a step."""
    if rows is None:
        return np.flatnonzero(reached.levels > step)
    there: Rows = rows[reached.levels[rows] > step]
    return there


def lost_rows(reached: Reached, step: int, rows: Rows | None = None) -> Rows:
    """Those that reached the step before and not this one; at step 0 nobody is lost."""
    if step == 0:
        return np.zeros(0, np.int64)
    if rows is None:
        return np.flatnonzero(reached.levels == step)
    lost: Rows = rows[reached.levels[rows] == step]
    return lost


def steps_of(
    spec: FunnelSpec, scope: Scope, reached: Reached, rows: Rows | None = None
) -> list[dict[str, Any]]:
    """`{"label", "users", "conversion_rate", "step_conversion_rate", "dropped", …}` for each step."""
    users = [len(reached_rows(reached, index, rows)) for index in range(len(spec.steps))]
    answer = []
    for index, step in enumerate(spec.steps):
        before = users[index - 1] if index else users[0]
        rate = users[index] / users[0] if users[0] else 0
        took = reached.durations(index - 1, index, rows) if index else np.zeros(0, np.int64)
        answer.append(
            {
                "label": step.shown,
                "users": scope.scaled(users[index]),
                "conversion_rate": rate,
                "step_conversion_rate": (users[index] / before if before else 0) if index else rate,
                "dropped": scope.scaled(before - users[index]),
                "average_seconds": int(took.sum()) / len(took) / 1000 if len(took) else None,
                "median_seconds": float(np.median(took)) / 1000 if len(took) else None,
            }
        )
    return answer


# ------------------------------------------------------------------------------------------ trend


def trend_of(
    spec: FunnelSpec, scope: Scope, reached: Reached, buckets: Sequence[Bucket], group: Group | None = None
) -> list[dict[str, Any]]:
    """`{"bucket", "entered", "converted", "rate", "partial"}` for each bucket of the range."""
    if spec.trend is None:
        return []
    first, last = trend_steps(spec, spec.trend)
    indexes, levels, _ = _attempts(reached.scan, group)
    entered = np.bincount(indexes[levels > first], minlength=len(buckets)).tolist()
    converted = np.bincount(indexes[levels > last], minlength=len(buckets)).tolist()
    return [
        {
            "bucket": bucket.name,
            "entered": scope.scaled(came),
            "converted": scope.scaled(went),
            "rate": went / came if came else 0,
            "partial": _is_open(spec, scope, bucket),
        }
        for bucket, came, went in zip(buckets, entered, converted, strict=True)
    ]


def trend_steps(spec: FunnelSpec, trend: FunnelTrend) -> tuple[int, int]:
    """The trend's own steps."""
    return trend.from_step, spec.last_step if trend.to_step is None else trend.to_step


def trend_rows(
    spec: FunnelSpec, trend: FunnelTrend, reached: Reached, bucket: int, group: Group | None
) -> tuple[Rows, Rows]:
    """The rows that entered in a bucket, and those of them that converted."""
    first, last = trend_steps(spec, trend)
    indexes, levels, rows = _attempts(reached.scan, group)
    here = indexes == bucket
    return rows[here & (levels > first)], rows[here & (levels > last)]


def _attempts(scan: FunnelScan, group: Group | None) -> tuple[NDArray[Any], NDArray[Any], Rows]:
    """Bucket, level and row of each actor and bucket; of an actor in several partitions the deepest."""
    rows, indexes, levels = scan.bucket_rows, scan.bucket_indexes.astype(np.int64), scan.bucket_levels
    if group is not None:
        is_member = np.zeros(len(scan.keys), bool)
        is_member[group.members] = True
        kept = is_member[rows]
        rows, indexes, levels = rows[kept], indexes[kept], levels[kept]
    if scan.partitions is None or not len(rows):
        return indexes, levels, rows
    actors = scan.keys[rows]
    order = np.lexsort((-levels.astype(np.int64), indexes, actors))
    actors, indexes, levels, rows = actors[order], indexes[order], levels[order], rows[order]
    is_first = np.append(True, (actors[1:] != actors[:-1]) | (indexes[1:] != indexes[:-1]))
    return indexes[is_first], levels[is_first], rows[is_first]


def _is_open(spec: FunnelSpec, scope: Scope, bucket: Bucket) -> bool:
    """Whether the window of an attempt that began in the bucket may still be open."""
    return _last_open(spec, scope, bucket) >= scope.now


def _last_open(spec: FunnelSpec, scope: Scope, bucket: Bucket) -> int:
    """The last instant at which an attempt that began in the bucket could get further."""
    closes = min(bucket.end, scope.period.end) - 1 + spec.window_ms
    return closes if spec.complete_after_range else min(closes, scope.period.end - 1)


def trend_buckets(spec: FunnelSpec, scope: Scope) -> list[Bucket]:
    """The trend's buckets."""
    return scope.calendar.buckets(scope.period, spec.trend.interval) if spec.trend is not None else []


def next_closing(spec: FunnelSpec, scope: Scope) -> int | None:
    """When the next bucket of the trend is partial no longer; None if none is."""
    closings = [_last_open(spec, scope, bucket) + 1 for bucket in trend_buckets(spec, scope)]
    return min((closing for closing in closings if closing > scope.now), default=None)


# -------------------------------------------------------------------------------------- histogram


@dataclass(frozen=True, slots=True)
class Edges:
    """The left edges of a histogram's bars, in seconds: `count` of them, `width` apart."""

    first: int
    width: int
    count: int

    @classmethod
    def over(cls, histogram: Histogram, milliseconds: NDArray[np.int64]) -> Edges:
        """Edges for all these times; none for no times."""
        if not len(milliseconds):
            return cls(0, 1, 0)
        low, high = int(milliseconds.min()), int(milliseconds.max())
        bins = histogram.bins or _cube_root(len(milliseconds))
        return cls(floor(low / 1000), max(1, ceil((high - low) / 1000 / bins)), bins + 1)

    def places(self, milliseconds: NDArray[np.int64]) -> NDArray[np.int64]:
        """The bar of each time: the last whose edge is not above it."""
        return np.clip((milliseconds - self.first * 1000) // (self.width * 1000), 0, self.count - 1)

    def starts(self) -> list[int]:
        return [self.first + index * self.width for index in range(self.count)]


def _cube_root(count: int) -> int:
    """The smallest number whose cube is not below `count`."""
    root = round(count ** (1 / 3))
    return next(number for number in range(max(1, root - 1), root + 3) if number**3 >= count)


def histogram_steps(spec: FunnelSpec, histogram: Histogram) -> tuple[int, int]:
    """From which step to which a histogram's times are."""
    return histogram.from_step, spec.last_step if histogram.to_step is None else histogram.to_step


def histogram_of(
    spec: FunnelSpec, scope: Scope, reached: Reached, edges: Edges, rows: Rows | None = None
) -> list[dict[str, Any]]:
    """`{"from_seconds", "users"}` for each bar."""
    if spec.histogram is None or edges.count == 0:
        return []
    took = reached.durations(*histogram_steps(spec, spec.histogram), rows)
    users = np.bincount(edges.places(took), minlength=edges.count).tolist()
    return [
        {"from_seconds": start, "users": scope.scaled(count)}
        for start, count in zip(edges.starts(), users, strict=True)
    ]


def bar_rows(reached: Reached, steps: tuple[int, int], edges: Edges, start: int, rows: Rows | None) -> Rows:
    """The rows whose time between the steps is in the bar that begins at `start` seconds."""
    there = reached_rows(reached, steps[1], rows)
    if start not in edges.starts():
        return there[:0]
    in_bar = edges.places(reached.durations(*steps, rows)) == edges.starts().index(start)
    found: Rows = there[in_bar]
    return found
