"""The time that trends read: the range, and before it what trailing windows reach back to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from query_api.analyses.analysis import place_of_bucket
from query_api.buckets import Bucket, Period
from query_api.scope import Scope
from query_api.spec.trends import TrendsSpec, TrendsUsersSpec


@dataclass(frozen=True, slots=True)
class Cut:
    """The time that a query reads, and the buckets it is cut into, each with the `trailing` ones if any."""

    period: Period
    edges: tuple[int, ...] = ()
    trailing: int = 1


def cuts_of(spec: TrendsSpec, scope: Scope, buckets: Sequence[Bucket]) -> list[Cut]:
    """What is read: buckets and total at once, or for trailing windows the buckets and then the total."""
    edges = tuple(bucket.start for bucket in buckets)
    if spec.interval == "total":
        return [Cut(_last_days(spec, scope))]
    if spec.trailing is None or spec.trailing == 1 or not buckets:
        return [Cut(scope.period, edges)]
    before = scope.calendar.before(buckets[0], spec.interval, spec.trailing - 1)
    edges = tuple(bucket.start for bucket in before) + edges
    return [Cut(Period(edges[0], scope.period.end), edges, spec.trailing), Cut(scope.period)]


def _last_days(spec: TrendsSpec, scope: Scope) -> Period:
    """The period of `total`: the range, or the trailing days that end with its last one."""
    if spec.trailing is None:
        return scope.period
    last = scope.calendar.buckets(Period(scope.period.end - 1, scope.period.end), "day")[0]
    before = scope.calendar.before(last, "day", spec.trailing - 1)
    return Period((before or [last])[0].start, scope.period.end)


def cell_period(spec: TrendsUsersSpec, scope: Scope) -> Period:
    """The time that a cell counts: its bucket's part inside the range, or its trailing window."""
    buckets = scope.calendar.buckets(scope.period, spec.interval)
    bucket = None if spec.cell.bucket is None else buckets[place_of_bucket(spec.cell.bucket, buckets)]
    if bucket is None or spec.interval == "total":
        return cuts_of(spec, scope, buckets)[-1].period
    end = min(bucket.end, scope.period.end)
    if spec.trailing is None or spec.trailing == 1:
        return Period(max(bucket.start, scope.period.start), end)
    return Period(scope.calendar.before(bucket, spec.interval, spec.trailing - 1)[0].start, end)
