"""Where a log that places records by their key puts them.

Such a log has P numbers, and lanes of P partitions each. A record goes to the number of its key in the lane
of its writer, so what is of one key lies in partitions of one number, and whoever owns that number, in all
lanes, finds every repeat.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

LANES_APART: Final = 1_000
"""Between the first partitions of two lanes: more numbers a log cannot have."""

MAIN: Final = 0
"""What clients send."""

BACKFILL: Final = LANES_APART
"""Imports, replays, what administrators say: none of it may hold up what clients send."""

OVERFLOW: Final = 2 * LANES_APART
"""Of keys that send more than others leave room for."""


def number_of(partition: int) -> int:
    """The number that a partition has in its lane.

    >>> number_of(BACKFILL + 7)
    7
    """
    return partition % LANES_APART


def place(key: bytes, lane: int, numbers: int) -> int:
    """The partition of a key in a lane of so many partitions. The key is hash bytes already."""
    return lane + int.from_bytes(key, "big") % numbers


def partitions_of(number: int, partitions: Iterable[int]) -> list[int]:
    """Those of the partitions that have the number, ascending."""
    return sorted(partition for partition in partitions if number_of(partition) == number)
