"""What every analysis offers to run.py: an answer, the people behind a cell, and its SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from footfall.storage.store import Query
from query_api.buckets import Bucket
from query_api.problems import Fault, refused
from query_api.scope import Scope
from query_api.spec.query import QuerySpec
from query_api.spec.spellings import nearest_word
from query_api.store_reader import StoreReader

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
