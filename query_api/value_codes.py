"""Dense codes for values that SQL streams as 64-bit hashes, so that texts never travel a row at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from query_api.problems import TooExpensive
from query_api.scan import NO_VALUE

MAX_VALUES = 2_000_000
MISSING = 0
"""The hash that SQL gives to a missing value."""

Hashes = NDArray[np.uint64]
Codes = NDArray[np.uint32]


class ValueCodes:
    """Gives each hash the next code when it is first seen; MISSING is NO_VALUE."""

    def __init__(self) -> None:
        self._sorted: Hashes = np.array([MISSING], np.uint64)
        self._codes: Codes = np.array([NO_VALUE], np.uint32)
        self._by_code: list[Hashes] = []
        self._count = 0

    def encode(self, hashes: NDArray[Any]) -> Codes:
        """The codes of a block of hashes."""
        places = self._places(hashes)
        unknown = self._sorted[places] != hashes
        if unknown.any():
            self._learn(np.unique(hashes[unknown]))
            places = self._places(hashes)
        return self._codes[places]

    def texts(self, read: Callable[[], Mapping[int, str]]) -> list[str]:
        """The text of each code, from a reader of texts by hash."""
        if not self._count:
            return []
        known = read()
        return [known.get(int(value), "") for value in np.concatenate(self._by_code)]

    def _places(self, hashes: NDArray[Any]) -> NDArray[np.int64]:
        places: NDArray[np.int64] = np.searchsorted(self._sorted, hashes)
        return np.minimum(places, len(self._sorted) - 1)

    def _learn(self, hashes: Hashes) -> None:
        codes = np.arange(self._count, self._count + len(hashes), dtype=np.uint32)
        self._count += len(hashes)
        if self._count > MAX_VALUES:
            raise TooExpensive(f"the breakdown has more than {MAX_VALUES} values: choose another property")
        self._by_code.append(hashes)
        merged = np.concatenate([self._sorted, hashes])
        order = np.argsort(merged)
        self._sorted = merged[order]
        self._codes = np.concatenate([self._codes, codes])[order]


def ranks_of(texts: Sequence[str], order: Callable[[str], Any]) -> Codes:
    """ranks_of(...)[code] is the place of that code's text in the given order."""
    ranks = np.empty(len(texts), np.uint32)
    ranks[sorted(range(len(texts)), key=lambda code: order(texts[code]))] = np.arange(
        len(texts), dtype=np.uint32
    )
    return ranks
