"""A filter that answers "never seen" for 64-bit keys, without a look at the store; it grows as it fills."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rbloom import Bloom

FALSE_POSITIVES = 1e-4
_SMALLEST = 100_000


class KeyFilter:
    """A Bloom filter of as many parts as it takes; each new one is twice as large.

    ~20 bits a key. A part that is full stays as it is, so more keys than planned never spoil the answers.
    """

    def __init__(self, expected: int = _SMALLEST) -> None:
        self._next_capacity = max(expected, _SMALLEST)
        self._parts: list[Bloom] = []
        self._room = 0

    def add(self, keys: Iterable[int]) -> None:
        """Keys from now on "perhaps seen"."""
        rest = list(keys)
        while rest:
            if self._room <= 0:
                self._parts.append(Bloom(self._next_capacity, FALSE_POSITIVES))
                self._room = self._next_capacity
                self._next_capacity *= 2
            fitting, rest = rest[: self._room], rest[self._room :]
            self._parts[-1].update(fitting)
            self._room -= len(fitting)

    def seen(self, keys: Collection[int]) -> set[int]:
        """Those of the keys that were added, and one in ten thousand that was not."""
        found: set[int] = set()
        for part in self._parts:
            found.update(filter(part.__contains__, keys))
        return found
