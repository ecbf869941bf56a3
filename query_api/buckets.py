"""Local time: periods, civil days and the buckets that a range touches.

Days are civil days: one with a change of the clock has 23 or 25 hours. All instants are epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Literal
from zoneinfo import ZoneInfo

from query_api.spec.strict import refuse
from query_api.spec.time_range import LATEST_YEAR, Comparison, Moment, Range, Span, Unit

Interval = Unit | Literal["total"]
WeekStart = Literal["monday", "sunday"]

MAX_BUCKETS = 50_000
_DAY_MS = 86_400_000
_STEP_MS = {"minute": 60_000, "hour": 3_600_000}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_DAYS = {"day": 1, "week": 7}


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` to before `end`, in epoch milliseconds."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket, whole: `name` is the local date (or date-time) at which it begins."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """Local time in one zone."""

    zone: ZoneInfo
    week_start: WeekStart = "monday"

    def period(self, given: Range, now: int) -> Period:
        """What a range means at the instant `now`."""
        if given.last is not None:
            return Period(self._begin_of_last(given.last, now), now + 1)
        assert given.from_ is not None
        assert given.to is not None
        start, end = self._edge(given.from_, last=False), self._edge(given.to, last=True)
        if end <= start:
            refuse("invalid_value", "the range ends before it begins", field="to", given=str(given.to))
        return Period(start, end)

    def compared(self, given: Range, comparison: Comparison, now: int) -> Period:
        """The other period of a comparison."""
        if comparison.range is not None:
            return self.period(comparison.range, now)
        assert comparison.shift is not None
        shift = comparison.shift
        if isinstance(given.to, date) and not isinstance(given.to, datetime) and shift.unit not in _STEP_MS:
            assert given.from_ is not None
            moved = [self._shift_moment(moment, shift) for moment in (given.from_, given.to)]
            return Period(self._edge(moved[0], last=False), self._edge(moved[1], last=True))
        period = self.period(given, now)
        start, end = self.shift(period.start, shift), self.shift(period.end, shift)
        return Period(start, max(end, start + 1))

    def shift(self, instant: int, span: Span) -> int:
        """The instant `span` earlier: elapsed minutes and hours, else the same local time of a date."""
        if span.unit in _STEP_MS:
            return instant - span.value * _STEP_MS[span.unit]
        local = self.local(instant)
        day = _earlier(local.date(), span)
        return _milliseconds(datetime.combine(day, local.time(), self.zone)) + instant % 1000

    def local(self, instant: int) -> datetime:
        """The local time of an instant, cut to the second."""
        return datetime.fromtimestamp(instant // 1000, self.zone)

    def local_exact(self, instant: int) -> datetime:
        """The local time of an instant, to the millisecond."""
        return self.local(instant).replace(microsecond=instant % 1000 * 1000)

    def first_instant(self, day: date) -> int:
        """When a civil day begins: midnight, or the first instant after it where the clock skips it."""
        guess = _milliseconds(datetime.combine(day, datetime.min.time(), self.zone))
        if self.local(guess).date() == day and self.local(guess - 1).date() < day:
            return guess
        low, high = guess - 2 * _DAY_MS, guess + 2 * _DAY_MS
        while low + 1 < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.local(middle).date() >= day else (middle, high)
        return high

    def begin_of(self, day: date, unit: Unit) -> date:
        """The first date of the bucket that a date lies in."""
        if unit == "week":
            back = day.weekday() if self.week_start == "monday" else (day.weekday() + 1) % 7
            return day - timedelta(days=back)
        if unit in _MONTHS:
            months = _MONTHS[unit]
            return day.replace(month=(day.month - 1) // months * months + 1, day=1)
        return day

    def buckets(self, period: Period, interval: Interval) -> list[Bucket]:
        """All buckets that a period touches, whole ones; for `total` one, the period itself."""
        if interval == "total":
            return [Bucket(self.local(period.start).date().isoformat(), period.start, period.end)]
        found = []
        for bucket in self._walk(period.start, interval):
            if bucket.start >= period.end:
                break
            if bucket.end > period.start:
                found.append(bucket)
            if len(found) > MAX_BUCKETS:
                message = f"more than {MAX_BUCKETS} buckets of one {interval}: narrow the range"
                refuse("invalid_value", message, field="interval", given=interval)
        return found

    def before(self, bucket: Bucket, interval: Unit, count: int) -> list[Bucket]:
        """The `count` buckets before a bucket, ascending."""
        if count == 0:
            return []
        if interval in _STEP_MS:
            start = bucket.start - (count + 2) * _STEP_MS[interval]
        else:
            first = self.local(bucket.start).date()
            start = self.first_instant(_earlier(first, Span(value=count, unit=interval)))
        return self.buckets(Period(start, bucket.start), interval)[-count:]

    def after(self, bucket: Bucket, interval: Unit, count: int) -> list[Bucket]:
        """The `count` buckets after a bucket, ascending; fewer where the calendar ends."""
        following = (found for found in self._walk(bucket.end, interval) if found.start >= bucket.end)
        return list(islice(following, count))

    def _walk(self, start: int, interval: Unit) -> Iterator[Bucket]:
        """Buckets one after the other, from one that holds `start` or lies before it."""
        if interval in _STEP_MS:
            yield from self._walk_clock(start, _STEP_MS[interval])
            return
        day = self.begin_of(self.local(start).date(), interval)
        begin = self.first_instant(day)
        while day.year < LATEST_YEAR:
            next_day = _later(day, interval)
            end = self.first_instant(next_day)
            if end > begin:  # a zone may have skipped a date altogether
                yield Bucket(day.isoformat(), begin, end)
            day, begin = next_day, end

    def _walk_clock(self, start: int, step: int) -> Iterator[Bucket]:
        """Hours or minutes of the local clock; an hour that comes twice is two buckets."""
        begin = self.first_instant(self.local(start).date())
        while True:
            local = self.local(begin)
            into = (local.minute * 60 + local.second) * 1000 if step == 3_600_000 else local.second * 1000
            end = begin + step - into
            if end > start:
                yield Bucket(local.isoformat(), begin, end)
            begin = end

    def _edge(self, moment: Moment, *, last: bool) -> int:
        if isinstance(moment, datetime):
            return _milliseconds(moment)
        return self.first_instant(moment + timedelta(days=1) if last else moment)

    def _begin_of_last(self, last: Span, now: int) -> int:
        if last.unit in _STEP_MS:
            current = self.buckets(Period(now, now + 1), last.unit)[0]
            if last.value > MAX_BUCKETS // 2:
                return current.start - (last.value - 1) * _STEP_MS[last.unit]
            return (self.before(current, last.unit, last.value - 1) or [current])[0].start
        today = self.begin_of(self.local(now).date(), last.unit)
        if last.value == 1:
            return self.first_instant(today)
        return self.first_instant(_earlier(today, Span(value=last.value - 1, unit=last.unit)))

    def _shift_moment(self, moment: Moment, span: Span) -> Moment:
        if isinstance(moment, datetime):
            return datetime.fromtimestamp(self.shift(_milliseconds(moment), span) / 1000, UTC)
        return _earlier(moment, span)


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _earlier(day: date, span: Span) -> date:
    """The date `span` before a date; a day that the month does not have becomes its last one."""
    try:
        if span.unit in _DAYS:
            return day - timedelta(days=span.value * _DAYS[span.unit])
        return _add_months(day, -span.value * _MONTHS[span.unit])
    except (OverflowError, ValueError):
        refuse("invalid_value", "this reaches too far back", field="value", given=span.value)


def _later(day: date, unit: Unit) -> date:
    if unit in _DAYS:
        return day + timedelta(days=_DAYS[unit])
    return _add_months(day, _MONTHS[unit])


def _add_months(day: date, months: int) -> date:
    month = day.year * 12 + day.month - 1 + months
    begin = date(month // 12, month % 12 + 1, 1)
    following = date((month + 1) // 12, (month + 1) % 12 + 1, 1)
    return begin.replace(day=min(day.day, (following - begin).days))
