"""Keys of ids, remembered: the same ids, and records with the same ids, come again and again."""

from __future__ import annotations

from footfall.events.keys import NOBODY, KeyedHash
from footfall.events.nobody import identifies_nobody
from footfall.events.record import Record, carried_id
from processor.recent import Recent


class IdKeys:
    """KeyedHash.id_key with a memory; NOBODY for ids that identify nobody."""

    def __init__(self, keyed_hash: KeyedHash, capacity: int = 200_000) -> None:
        self._hash = keyed_hash
        self._recent: Recent[tuple[str, str], int] = Recent(capacity)
        self._carried: Recent[tuple[str, str | None, str | None, str | None], int] = Recent(capacity)

    def key(self, project: str, distinct_id: str) -> int:
        """The 64-bit key of an id within a project."""
        key = self._recent.get((project, distinct_id))
        if key is None:
            key = NOBODY if identifies_nobody(distinct_id) else self._hash.id_key(project, distinct_id)
            self._recent[project, distinct_id] = key
        return key

    def carried(self, project: str, record: Record) -> int:
        """The key of the id that a record carries."""
        ids = (project, record.distinct_id, record.login_id, record.anonymous_id)
        key = self._carried.get(ids)
        if key is None:
            key = self._carried[ids] = self.key(project, carried_id(record))
        return key
