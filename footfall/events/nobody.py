"""Ids that identify nobody: what apps send when a variable was empty. docs/identity.md lists them; a test
compares.

Events under such an id count as events and belong to no user; such an id never binds.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

NOBODY_IDS: Final = (
    "",
    "-1",
    "0",
    "(null)",
    "<null>",
    "[object object]",
    "9774d56d682e549c",
    "anonymous",
    "distinct_id",
    "email",
    "false",
    "guest",
    "id",
    "nan",
    "nil",
    "none",
    "not_authenticated",
    "null",
    "true",
    "undefined",
    "unknown",
    "user_id",
)
"""Compared without regard to case and surrounding white space. 9774d56d682e549c is the Android id that a
whole generation of devices shares. Beside these, ids of nothing but zeros and `-`, `:` or `.` (all-zero
uuids).
"""

_IDS: Final = frozenset(NOBODY_IDS)


@lru_cache(maxsize=16_384)  # one device's records come together
def identifies_nobody(distinct_id: str) -> bool:
    """Whether an id is one of NOBODY_IDS, or nothing but zeros.

    >>> identifies_nobody("NULL "), identifies_nobody("0000-00"), identifies_nobody("7")
    (True, True, False)
    """
    text = distinct_id.strip().lower()
    return text in _IDS or not text.strip("0-:.")
