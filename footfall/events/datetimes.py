"""Datetimes as property values: what counts as one, and the one form in which they are stored."""

from __future__ import annotations

import re
from datetime import date

_DATETIME = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]) (?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,3})?\Z"
)


def normal_datetime(text: str) -> str | None:
    """'YYYY-MM-DD HH:MM:SS.mmm' if the text is a datetime, else None.

    >>> normal_datetime("2026-01-31 08:00:00.5"), normal_datetime("2026-02-30 08:00:00")
    ('2026-01-31 08:00:00.500', None)
    """
    if not is_datetime(text):
        return None
    return f"{text}.000" if len(text) == 19 else text.ljust(23, "0")


def is_datetime(text: str) -> bool:
    """Whether the text is a datetime.

    >>> is_datetime("2026-01-31 08:00:00"), is_datetime("2026-01-31")
    (True, False)
    """
    if not 19 <= len(text) <= 23 or _DATETIME.match(text) is None:
        return False
    if text[8:10] <= "28" and text[:4] != "0000":
        return True
    try:
        date.fromisoformat(text[:10])
    except ValueError:  # no calendar has a 30 February, nor a year 0
        return False
    return True
