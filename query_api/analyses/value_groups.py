"""Groups of what a scan found: from a value code for each row to the largest groups, in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from query_api.analyses.breakdown_values import hash_sql, look_up
from query_api.group_keys import GroupKeys, join_key, split_key
from query_api.scan import NO_VALUE
from query_api.scope import Scope
from query_api.spec.breakdown import Part
from query_api.sql.events import EventSql
from query_api.store_reader import StoreReader
from query_api.value_codes import MISSING, Codes, ValueCodes

Rows = NDArray[np.int64]

_TABLE_SIZE = 1 << 20
"""So many pairs of values are counted in a table; more are sorted."""


@dataclass(frozen=True, slots=True)
class CodedValues:
    """A value for each row of the scan: a code, NO_VALUE where it is missing, and the texts of the codes."""

    parts: Sequence[Part]
    codes: Codes
    texts: Sequence[str]

    def split(self, code: int) -> list[str]:
        """The texts of the single properties."""
        if code == NO_VALUE:
            return [""] * len(self.parts)
        return split_key(self.texts[code], len(self.parts))


@dataclass(frozen=True, slots=True)
class Pairs:
    """Which codes each place of a table of all pairs stands for, or of a list of those that occur."""

    width: int
    listed: NDArray[np.uint64] | None = None

    def __call__(self, place: int) -> tuple[int, int]:
        """The codes of the event's and of the user's value."""
        pair = place if self.listed is None else int(self.listed[place])
        event_code, user_code = divmod(pair, self.width)
        return (event_code - 1) & NO_VALUE, (user_code - 1) & NO_VALUE


def pair_codes(of_event: CodedValues, of_user: CodedValues, rows: Rows) -> tuple[NDArray[Any], Pairs]:
    """A small number for each row's pair of codes; a missing value's code counts as the one before 0."""
    width, height = len(of_user.texts) + 1, len(of_event.texts) + 1
    pairs = (of_event.codes[rows] + np.uint32(1)).astype(np.uint64) * np.uint64(width)
    pairs += (of_user.codes[rows] + np.uint32(1)).astype(np.uint64)
    if width * height <= _TABLE_SIZE:
        return pairs.astype(np.uint16 if width * height <= 1 << 16 else np.int64), Pairs(width)
    listed, places = np.unique(pairs, return_inverse=True)
    return places, Pairs(width, listed)


def largest(sizes: NDArray[Any], text: Callable[[int], str], keys: GroupKeys, limit: int) -> list[int]:
    """The places of the groups that are shown, in their order. Texts are made only for those that may be."""
    threshold = np.partition(sizes, -limit)[-limit] if len(sizes) > limit else 0
    candidates = np.flatnonzero((sizes >= threshold) & (sizes > 0))
    ranked = sorted(candidates.tolist(), key=lambda index: (-int(sizes[index]), keys.order(text(index))))
    return ranked[:limit]


def join_texts(parts: Sequence[Part], of_event: Sequence[str], of_user: Sequence[str]) -> str:
    """The key's text, its parts in the order of the breakdown."""
    event_texts, user_texts = iter(of_event), iter(of_user)
    return join_key([next(user_texts) if part.is_of_user else next(event_texts) for part in parts])


def profiles_sql(sql: EventSql, parts: Sequence[Part], columns: str) -> str:
    """Of all current profiles: the person and the value's hash, or the texts by hash.

    A profile without the values is as one that is not there: both are in the group of missing values.
    """
    key, nothing = sql.key(parts), sql.parameters.text(join_key([""] * len(parts)))
    value = f"if(text = {nothing}, {MISSING}, {hash_sql('text')})"
    return f"SELECT {columns} FROM {sql.profiles(f'SELECT user_key, {key} AS text, {value} AS value')}"


def values_of_users(
    scope: Scope, reader: StoreReader, parts: Sequence[Part], actors: NDArray[np.uint64]
) -> CodedValues:
    """The current profile's value of each actor."""
    if not parts:
        return CodedValues(parts, np.full(len(actors), NO_VALUE, np.uint32), [])
    sql, codes = EventSql(scope), ValueCodes()
    query = sql.parameters.query(profiles_sql(sql, parts, "user_key, value"))
    blocks = [(keys, codes.encode(values)) for keys, values in reader.stream(query)]
    by_hash = sql.parameters.query(f"{profiles_sql(sql, parts, 'value, any(text)')} GROUP BY value")
    texts = codes.texts(lambda: dict(reader.rows(by_hash).rows))
    return CodedValues(parts, look_up(actors, blocks), texts)
