"""A bounded memory of what was looked up lately."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Keeps at least the last `capacity` keys used, at most twice as many, for the price of two dict lookups.

    Two generations: when the younger is full it becomes the older, and what was the older is forgotten.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}

    def get(self, key: Key) -> Value | None:
        value = self._young.get(key)
        if value is None and (value := self._old.get(key)) is not None:
            self[key] = value
        return value

    def __setitem__(self, key: Key, value: Value) -> None:
        self._young[key] = value
        if len(self._young) > self.capacity:
            self._old, self._young = self._young, {}

    def forget(self, keys: Iterable[Key]) -> None:
        """These are looked up again."""
        for key in keys:
            self._young.pop(key, None)
            self._old.pop(key, None)

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())
