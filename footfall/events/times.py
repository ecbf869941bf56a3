"""When an event happened: reading the time a client wrote, and correcting it by the client's clock.

All times are epoch milliseconds, UTC.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final, NamedTuple

from footfall.events.limits import CLOCK_SKEW_MS, OLDEST_MS

Written = int | float | str
"""A time as a record may carry it."""

END_MS: Final = 10**13
"""Times lie in [0, END_MS): from 1970 to November 2286."""

_FIRST_SECONDS, _FIRST_MS = 10**9, 10**10


_ISO = re.compile(r"[0-9-]{8,10}[T ][0-9:.,]+([+-][0-9:.]+|Z)?\Z", re.ASCII)


class InvalidTime(ValueError):  # noqa: N818 - reads as what it is
    """A value that says no time; the text says why."""


def read_time(value: int | float | str) -> int:
    """Epoch milliseconds from what a record may carry.

    A number with 11 to 13 digits before the point is milliseconds, with 10 digits seconds. A text is ISO 8601
    with an offset. Raises InvalidTime.

    >>> read_time(1795301590252), read_time(1795301590), read_time("2026-11-22T05:33:10.252+08:00")
    (1795301590252, 1795301590000, 1795296790252)
    """
    if isinstance(value, str):
        return _read_iso(value)
    if _FIRST_MS <= value < END_MS:
        return int(value)
    if _FIRST_SECONDS <= value < _FIRST_MS:
        return round(value * 1000)
    raise InvalidTime(
        f"'{value}' is not epoch milliseconds: 13 digits are expected (10 digits count as seconds)"
    )


def _read_iso(text: str) -> int:
    shown = repr(text if len(text) <= 60 else text[:57] + "...")
    try:
        if _ISO.match(text) is None:  # Python itself lets any character stand between date and time
            raise ValueError
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidTime(f"{shown} is neither ISO 8601 nor epoch milliseconds") from None
    offset = moment.utcoffset()
    if offset is None:
        raise InvalidTime(f"{shown} says no offset: append Z or +08:00")
    days = moment.toordinal() - _EPOCH_DAY
    seconds = days * 86_400 + moment.hour * 3_600 + moment.minute * 60 + moment.second
    milliseconds = seconds * 1000 + moment.microsecond // 1000 - round(offset.total_seconds() * 1000)
    if not 0 <= milliseconds < END_MS:
        raise InvalidTime(f"{shown} is not between 1970 and 2286")
    return milliseconds


_EPOCH_DAY = datetime(1970, 1, 1).toordinal()  # noqa: DTZ001 - a day number has no zone


class Moment(NamedTuple):
    """A written time in epoch ms: on our clock, and as the client's clock said."""

    corrected: int
    original: int


def read_moment(written: Written, sent: Sequence[Written | None], received_ms: int) -> Moment:
    """When it happened, by what the client wrote and by the first readable of the times of sending.

    A device that lost its clock counts from 1970: where time of sending and time are milliseconds of that
    age, one shortly behind the other, they are taken as such. A time of sending that says nothing is as good
    as absent: it only tells the clock. Raises InvalidTime for `written`.
    """
    for each in sent:
        if each is None:
            continue
        young = _young_clock_ms(each, received_ms)
        if young is not None:
            original = _young_ms(written)
            if original is not None and original <= young + CLOCK_SKEW_MS:
                return Moment(correct_time(original, young, received_ms), original)
            continue
        with suppress(InvalidTime):
            sent_ms = read_time(each)
            original = read_time(written)
            return Moment(correct_time(original, sent_ms, received_ms), original)
    original = read_time(written)
    return Moment(original, original)


def _young_clock_ms(sent: Written, received_ms: int) -> int | None:
    """Milliseconds since 1970 if that is what a small time of sending means; None: `read_time` reads it.

    10 digits are seconds if these tell a clock that is less than a year wrong.
    """
    young = _young_ms(sent)
    if young is None or (young >= _FIRST_SECONDS and abs(received_ms - young * 1000) <= OLDEST_MS):
        return None
    return young


def _young_ms(value: Written) -> int | None:
    """Milliseconds, if there are fewer than four months of them."""
    if isinstance(value, str):
        with suppress(InvalidTime):
            value = _read_iso(value)
    return int(value) if isinstance(value, int | float) and 0 < value < _FIRST_MS else None


def correct_time(time_ms: int, sent_ms: int | None, received_ms: int) -> int:
    """`time_ms` on our clock: moved by (received - sent) where that is more than 60 s, else as it is."""
    if sent_ms is None:
        return time_ms
    skew = received_ms - sent_ms
    return time_ms + skew if skew > CLOCK_SKEW_MS or skew < -CLOCK_SKEW_MS else time_ms
