"""The months by which events are stored: partitions named 202611; 0 is for times before 2020, after 2039."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

ODD_TIMES: Final = "0"
"""The partition of times that no month has."""

_FIRST_YEAR: Final = 2020


def month_of(time_ms: int) -> str:
    """The month (UTC) of an epoch time in ms.

    >>> month_of(1795301590252)
    '202611'
    """
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y%m}"


def month_end(part: str) -> int:
    """The instant (epoch ms) at which a month is over; of odd times, where those before all months are.

    >>> month_end("202611") == month_end("202610") + 30 * 86_400_000, month_end("0")
    (True, 1577836800000)
    """
    if part == ODD_TIMES:
        year, month = _FIRST_YEAR, 1
    else:
        year, month = divmod(12 * int(part[:4]) + int(part[4:]), 12)
        month += 1
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000)
