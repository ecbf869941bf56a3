"""What every analysis offers to run.py: an answer, the people behind a cell, and its SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from footfall.storage.store import Query
from query_api.buckets import Bucket
from query_api.problems import Fault, TooExpensive, refused
from query_api.scope import Scope
from query_api.spec.query import QuerySpec
from query_api.spec.spellings import nearest_word
from query_api.store_reader import StoreReader

MAX_ACTORS_LISTED = 200_000
MAX_COMPARED = 1_000
"""With so many names of buckets a misspelt one is compared: there may be tens of thousands."""


class Explained(NamedTuple):
    """One query of an analysis and what it is for."""

    purpose: str
    query: Query


@dataclass(frozen=True, slots=True)
class Page:
    """Which of the people behind a cell: those with a key above `after`, at most `limit`."""

    after: int
    limit: int


class People(NamedTuple):
    """Persons' keys, ascending, and how many there are on all pages."""

    keys: Sequence[int]
    total: int

    @classmethod
    def on_page(cls, keys: NDArray[np.uint64], page: Page) -> People:
        """Of all keys, ascending, those of a page."""
        after = keys[keys > np.uint64(page.after)][: page.limit]
        return cls(after.tolist(), len(keys))


def read_persons(
    reader: StoreReader, actors: NDArray[np.uint64], write: Callable[[list[int]], Query]
) -> NDArray[np.uint64]:
    """The persons behind actors that are no persons, ascending, by the query that `write` makes of actors."""
    if len(actors) > MAX_ACTORS_LISTED:
        raise TooExpensive(f"the people behind more than {MAX_ACTORS_LISTED} actors cannot be listed")
    persons = [block[0] for block in reader.stream(write(actors.tolist()))]
    return np.sort(np.concatenate(persons)) if persons else np.zeros(0, np.uint64)


def never(spec: Any, scope: Scope) -> None:
    """The time of answers that only change when data comes."""


def place_of_bucket(name: str, buckets: Sequence[Bucket]) -> int:
    """Which of the query's buckets a cell names. Raises InvalidQuery."""
    names = [bucket.name for bucket in buckets]
    if name not in names:
        message = f"{name!r} is no bucket of this query"
        near = nearest_word(name, names[:MAX_COMPARED])
        raise refused([Fault("cell.bucket", "unknown_value", message, name, names, near)])
    return names.index(name)


@dataclass(frozen=True, slots=True)
class Analysis:
    """An analysis: its specs and its functions. `users_spec` adds a cell and a page to `spec`.

    `changes_at` is the next instant, in epoch milliseconds, at which an answer changes though no data comes.
    """

    spec: type[QuerySpec]
    users_spec: type[QuerySpec]
    answer: Callable[[Any, Scope, StoreReader], dict[str, Any]]
    select_people: Callable[[Any, Scope, StoreReader, Page], People]
    explain: Callable[[Any, Scope], list[Explained]]
    changes_at: Callable[[Any, Scope], int | None] = never
    scanned: bool = False  # whether the rows are walked in this process after the SQL
