"""Dead letters that could not be read when a person was erased, and told of them when they could be.

An envelope whose key came later, bytes that somebody mended: what they hold of before the erasure is refused
when it is replayed, and by that they are found. They go as the rest went.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Mapping
from typing import Final

from footfall.rights.belongings import KIND
from footfall.rights.person import LONGEST
from footfall.rights.traces import Place
from footfall.storage.store import Query, Store
from footfall.workspace import FOOTFALL, Workspace
from processor.removals import Removal, Removals, place_condition

_TABLE: Final = "dead_letters"
_NAME: Final = "late-letters-"
_REFUSED: Final = f"""
SELECT project, log_partition, log_offset, seq FROM {_TABLE}
WHERE reason != 'erased' AND (log_partition, log_offset, seq) IN (
    SELECT letter_partition, letter_offset, letter_seq FROM replays
    WHERE outcome = 'rejected' AND (log_partition, log_offset, seq) IN (
        SELECT log_partition, log_offset, seq FROM {_TABLE} WHERE reason = 'erased'))
ORDER BY project, log_partition, log_offset, seq"""  # noqa: S608 - ours


class LateLetters:
    """For one thread at a time."""

    def __init__(self, store: Store, workspace: Workspace, removals: Removals) -> None:
        self._store = store
        self._workspace = workspace
        self._removals = removals

    def find(self) -> dict[str, list[Place]]:
        """By project; none of a project with a legal hold. StoreError."""
        found: dict[str, list[Place]] = {}
        for project, partition, offset, seq in self._store.rows(Query(_REFUSED), LONGEST).rows:
            found.setdefault(str(project), []).append((int(partition), int(offset), int(seq)))
        return {name: places for name, places in found.items() if not self._workspace.holds.of_project(name)}

    def take_out(self, found: Mapping[str, Collection[Place]], stop: threading.Event) -> None:
        """They go, first in the audit log. AuditUnavailable, StoreError, Stopped."""
        for project, places in found.items():
            of = repr((project, sorted(places))).encode()
            name = _NAME + hashlib.blake2b(of, digest_size=8).hexdigest()
            detail = {"dead_letters": len(places)}
            self._workspace.audit.record(FOOTFALL, "erasure.letters", project, "", detail)
            self._removals.note_places(name, _TABLE, places)
            self._removals.take_out(Removal(name, KIND, _TABLE, place_condition(name, _TABLE)), stop)
            self._removals.forget_places(name)

    def finish(self, stop: threading.Event) -> bool:
        """Whether a kill had left something. StoreError, Stopped."""
        left = [name for name in self._removals.unfinished(KIND) if name.startswith(_NAME)]
        for name in left:
            self._removals.finish(name, _TABLE, stop)
            self._removals.forget_places(name)
        return bool(left)
