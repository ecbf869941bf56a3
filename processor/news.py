"""What processors tell each other: the table `block_news`.

A block that changes what others remember writes that down before anything else of it. Until it is done, no
other block with news begins: what it derives does not depend on who does it, nor on how often it is tried.
Who looks has one tiny query to make if there is nothing new.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from footfall.storage.rows import NewsRow, build_table
from footfall.storage.store import Query, Store

LONGEST_SECONDS = 48 * 3600.0
"""Who has not looked for longer reads everything: the table forgets after three days."""

_NEWEST = "SELECT max(version) FROM block_news"

_SINCE = """
SELECT version, log_partition, first_offset, last_offset, bound, linked, profiled, projects, anew
FROM block_news WHERE version > {seen:UInt64} ORDER BY version"""

_DONE = """
SELECT DISTINCT log_partition, first_offset FROM ingest_blocks WHERE state = 'done' AND ({where})"""

_UNDONE = """
SELECT min(version) FROM block_news WHERE {where}"""


class Heard(NamedTuple):
    """What is new since the last look."""

    rows: Sequence[NewsRow]
    pending: Sequence[NewsRow]  # those of blocks that are not done
    anew: bool  # what administrators and erasures change is to be read again
    too_late: bool  # all that is remembered is


class BlockNews:
    """One processor's view of the table."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen = 0
        self._looked_at = time.monotonic()
        self._own: set[int] = set()
        self.newest = 0
        """The newest version that was seen, or written."""

    def begin(self, unfinished: Iterable[tuple[int, int]]) -> None:
        """Before everything is read from the store: what comes from now on is new, and what blocks that are
        not done (partition, first offset) said.
        """
        self._looked_at = time.monotonic()
        self._own.clear()
        self.newest = self._seen = int(self._store.rows(Query(_NEWEST)).rows[0][0])
        where = _blocks(unfinished)
        if where:
            oldest = int(self._store.rows(Query(_UNDONE.format(where=where))).rows[0][0])
            self._seen = min(self._seen, oldest - 1) if oldest else self._seen

    def hear(self) -> Heard:
        """What others wrote since the last look."""
        too_late = time.monotonic() - self._looked_at > LONGEST_SECONDS
        rows = [NewsRow(*row) for row in self._store.rows(Query(_SINCE, {"seen": self._seen})).rows]
        self._looked_at = time.monotonic()
        others = [row for row in rows if row.version not in self._own]
        self.newest = max([self.newest, *(row.version for row in rows)])
        pending = self._pending(others)
        self._seen = min((row.version - 1 for row in pending), default=self.newest)
        self._own = {version for version in self._own if version > self._seen}
        return Heard(others, pending, any(row.anew for row in others), too_late)

    def write(self, row: NewsRow, token: str) -> None:
        """StoreError."""
        self.newest = max(self.newest, row.version)
        self._store.insert("block_news", build_table([row]), token)

    def note_done(self, version: int) -> None:
        """What this processor wrote under the version need not be told to itself."""
        self._own.add(version)

    def _pending(self, rows: Sequence[NewsRow]) -> list[NewsRow]:
        of_blocks = [row for row in rows if row.first_offset <= row.last_offset]
        where = _blocks((row.log_partition, row.first_offset) for row in of_blocks)
        if not where:
            return []
        done = set(self._store.rows(Query(_DONE.format(where=where))).rows)
        return [row for row in of_blocks if (row.log_partition, row.first_offset) not in done]


def _blocks(places: Iterable[tuple[int, int]]) -> str:
    """A condition by which the engine finds them in its primary key."""
    return " OR ".join(
        f"(log_partition = {int(partition)} AND first_offset = {int(first)})" for partition, first in places
    )
