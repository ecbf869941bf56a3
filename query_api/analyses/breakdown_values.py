"""The values of a breakdown by event properties, on their way to the small codes that the scanner carries.

Few values: they are read first, and SQL gives each row its code. Many, or one that came in between: SQL
streams hashes, which become codes here, and the texts are read afterwards. Texts never travel a row at a
time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from footfall.storage.store import Query
from query_api.group_keys import GroupKeys, join_key
from query_api.scan import NO_VALUE
from query_api.sql.parameters import Parameters
from query_api.store_reader import StoreReader
from query_api.value_codes import MISSING, Codes, ValueCodes, ranks_of

Scanned = TypeVar("Scanned")

MAX_LISTED = 5_000
"""So many values SQL can look up by their text."""

UNKNOWN = NO_VALUE - 1
"""The code of a value that came after the values had been read."""


class ValuesMovedError(Exception):
    """A value turned up that was not there when the values were read."""


class Values(Protocol):
    """How values become codes. `nothing` is what is streamed for a missing value."""

    nothing: int

    def column(self, key: str, parameters: Parameters) -> str:
        """SQL of what is streamed for a row, from SQL of its key."""
        ...

    def encode(self, column: NDArray[Any]) -> Codes:
        """The codes of a block. May raise ValuesMovedError."""
        ...

    def ranks(self) -> Codes:
        """After the last block: the place of each code in the order in which a tie takes the smallest."""
        ...

    def texts(self) -> Sequence[str]:
        """After the last block: the text of each code."""
        ...


class ListedValues:
    """Values that are known before the rows are read."""

    nothing = NO_VALUE

    def __init__(self, found: Sequence[str], missing: frozenset[str], keys: GroupKeys) -> None:
        """`found` are all values; those in `missing` count as none."""
        self._texts = sorted(set(found) - missing, key=keys.smallest)
        self._missing = sorted(missing)

    def column(self, key: str, parameters: Parameters) -> str:
        texts = parameters.texts([*self._texts, *self._missing])
        codes = parameters.keys([*range(len(self._texts)), *([NO_VALUE] * len(self._missing))])
        return f"CAST(transform({key}, {texts}, {codes}, toUInt64({UNKNOWN})), 'UInt32')"

    def encode(self, column: NDArray[Any]) -> Codes:
        if (column == UNKNOWN).any():
            raise ValuesMovedError
        return column

    def ranks(self) -> Codes:
        return np.arange(len(self._texts), dtype=np.uint32)

    def texts(self) -> Sequence[str]:
        return self._texts


class HashedValues:
    """Any number of values."""

    nothing = MISSING

    def __init__(
        self, missing: frozenset[str], keys: GroupKeys, read_texts: Callable[[], Mapping[int, str]]
    ) -> None:
        """`read_texts` reads the texts by their `hash_sql`, once the rows have been read."""
        self._missing = missing
        self._keys = keys
        self._read_texts = read_texts
        self._codes = ValueCodes()
        self._texts: Sequence[str] | None = None

    def column(self, key: str, parameters: Parameters) -> str:
        return f"if({key} IN {parameters.one_of(sorted(self._missing))}, 0, {hash_sql(key)})"

    def encode(self, column: NDArray[Any]) -> Codes:
        return self._codes.encode(column)

    def ranks(self) -> Codes:
        return ranks_of(self.texts(), self._keys.smallest)

    def texts(self) -> Sequence[str]:
        if self._texts is None:
            self._texts = self._codes.texts(self._read_texts)
        return self._texts


def scan_with_values(
    scan: Callable[[Values], Scanned],
    reader: StoreReader,
    *,
    listed: Query,
    texts: Query,
    missing: frozenset[str],
    keys: GroupKeys,
) -> Scanned:
    """A scan with the values by list if they are few, else by hash.

    listed, texts: the queries of `values_sql` and `texts_sql`; missing: keys that count as no value
    """
    found = [row[0] for row in reader.rows(listed).rows]
    if len(found) <= MAX_LISTED:
        try:
            return scan(ListedValues(found, missing, keys))
        except ValuesMovedError:
            pass
    return scan(HashedValues(missing, keys, lambda: dict(reader.rows(texts).rows)))


def values_sql(key: str, rows: str) -> str:
    """The values of FROM and WHERE, one more than can be listed to see whether there are more."""
    return f"SELECT DISTINCT {key} AS text\n{rows}\nLIMIT {MAX_LISTED + 1}"


def texts_sql(key: str, rows: str) -> str:
    """The values' texts by their hashes."""
    return f"SELECT {hash_sql(key)} AS value, any({key})\n{rows}\nGROUP BY value"


def hash_sql(key: str) -> str:
    """SQL of a key's hash; never 0, which stands for a missing value."""
    return f"greatest(sipHash64({key}), 1)"


def missing_keys(parts: int, *, empty_too: bool) -> frozenset[str]:
    """The keys whose values are all missing, or (`empty_too`) missing or ''."""
    return frozenset(join_key(texts) for texts in product(("", "=") if empty_too else ("",), repeat=parts))


def look_up(actors: NDArray[np.uint64], blocks: Sequence[tuple[NDArray[Any], Codes]]) -> Codes:
    """The code of each actor from blocks of (actor, code); NO_VALUE for those not in them."""
    known = np.concatenate([np.zeros(1, np.uint64), *(keys for keys, _ in blocks)])
    codes = np.concatenate([np.full(1, NO_VALUE, np.uint32), *(codes for _, codes in blocks)])
    order = np.argsort(known)
    places = np.minimum(np.searchsorted(known[order], actors), len(order) - 1)
    found = order[places]
    return np.where(known[found] == actors, codes[found], np.uint32(NO_VALUE))
