"""Times of day as properties hold them: wall-clock text in the project's zone, `2026-10-01 08:00:00.000`.

Such texts sort as the times they say, also beside bare dates, so that SQL compares them as text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from query_api.spec.time_range import read_date

PATTERN = "^[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9:.]+)?$"
"""RE2: the texts that are times."""

_WRITTEN = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?([+-]\d{2}:?\d{2}|Z)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `begin` to before `end`, as texts: a day, or a millisecond."""

    begin: str
    end: str


def read_stretch(text: str, zone: ZoneInfo) -> Stretch | None:
    """What a condition's value means: a bare date is its whole day; None if it is no time.

    >>> read_stretch("2026-10-01", ZoneInfo("UTC"))
    Stretch(begin='2026-10-01', end='2026-10-02')
    >>> read_stretch("2026-10-01T08:00:00Z", ZoneInfo("Asia/Shanghai")).begin
    '2026-10-01 16:00:00.000'
    """
    try:
        if len(text) == 10:
            day = read_date(text)
            return Stretch(day.isoformat(), (day + timedelta(days=1)).isoformat())
        if not _WRITTEN.fullmatch(text):
            return None
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(zone).replace(tzinfo=None)
        return Stretch(write_wall_clock(moment), write_wall_clock(moment + timedelta(milliseconds=1)))
    except (ValueError, OverflowError):
        return None


def write_wall_clock(moment: datetime) -> str:
    """The text of a local time, to the millisecond."""
    return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")
