"""Keys of ids, remembered: the same ids, and records with the same ids, come again and again."""

from __future__ import annotations

from collections.abc import Callable

from footfall.events.keys import NOBODY, KeyedHash
from footfall.events.nobody import IsNobody, identifies_nobody
from footfall.events.record import Record, carried_id
from processor.recent import Recent


class IdKeys:
    """KeyedHash.id_key with a memory; NOBODY for ids that identify nobody."""

    def __init__(
        self,
        keyed_hash: KeyedHash,
        capacity: int = 200_000,
        nobody_of: Callable[[str], IsNobody] = lambda _: identifies_nobody,
    ) -> None:
        """`nobody_of` a project says which of its ids identify nobody; it is asked once a project."""
        self._hash = keyed_hash
        self._nobody_of = nobody_of
        self._tests: dict[str, IsNobody] = {}
        self._recent: Recent[tuple[str, str], int] = Recent(capacity)
        self._carried: Recent[tuple[str, str | None, str | None, str | None], int] = Recent(capacity)

    def key(self, project: str, distinct_id: str) -> int:
        """The 64-bit key of an id within a project."""
        key = self._recent.get((project, distinct_id))
        if key is None:
            nobody = self.nobody_in(project)(distinct_id)
            key = NOBODY if nobody else self._hash.id_key(project, distinct_id)
            self._recent[project, distinct_id] = key
        return key

    def carried(self, project: str, record: Record) -> int:
        """The key of the id that a record carries."""
        ids = (project, record.distinct_id, record.login_id, record.anonymous_id)
        key = self._carried.get(ids)
        if key is None:
            key = self._carried[ids] = self.key(project, self.carried_id(project, record))
        return key

    def carried_id(self, project: str, record: Record) -> str:
        """The id that a record carries."""
        return carried_id(record, self.nobody_in(project))

    def nobody_in(self, project: str) -> IsNobody:
        """Which ids of a project identify nobody."""
        test = self._tests.get(project)
        if test is None:
            test = self._tests[project] = self._nobody_of(project)
        return test
