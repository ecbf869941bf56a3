"""Ids that identify nobody: what apps send when a variable was empty. docs/identity.md lists them; a test
compares.

Events under such an id count as events and belong to no user; such an id never binds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

IsNobody = Callable[[str], bool]
"""Whether an id identifies nobody."""

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
    text = folded(distinct_id)
    return text in _IDS or not text.strip("0-:.")


def nobody_test(added: Iterable[str] = (), removed: Iterable[str] = ()) -> IsNobody:
    """`identifies_nobody` for a project that adds ids to the list or takes some off it.

    An empty id identifies nobody whatever a project says.

    >>> nobody_test(["visitor"], ["0"])("Visitor"), nobody_test(["visitor"], ["0"])("0")
    (True, False)
    """
    more, fewer = frozenset(map(folded, added)), frozenset(map(folded, removed)) - {""}
    if not more and not fewer:
        return identifies_nobody

    @lru_cache(maxsize=16_384)
    def test(distinct_id: str) -> bool:
        text = folded(distinct_id)
        return text not in fewer and (text in more or identifies_nobody(text))

    return test


def folded(distinct_id: str) -> str:
    """An id as the list has it: without regard to case and surrounding white space."""
    return distinct_id.strip().lower()
