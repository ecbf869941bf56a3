"""What rights work with: opened engines, what lies beside it, and how patient a job is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from footfall.eventlog.log import Log
from footfall.events.keys import KeyedHash
from footfall.rights.traces import Letters
from footfall.sealing import Sealer
from footfall.storage.store import Store
from footfall.workspace import Workspace
from footfall.workspace.erasures import Erasure


@dataclass(frozen=True, slots=True)
class Opened:
    """Beside a processor or without one."""

    store: Store
    log: Log
    workspace: Workspace
    keyed_hash: KeyedHash
    sealer: Sealer
    clock: Callable[[], int]  # epoch ms
    forms: Callable[[str, str], Sequence[str]] = lambda _project, distinct_id: (distinct_id,)
    """How an id rests in a project: as it was given, and as privacy's rules write it."""
    inside: Callable[[str, bytes], Sequence[bytes]] = lambda _project, _raw: ()
    """The records of a dead letter that is an encrypted envelope, as far as the project's keys open it."""

    @property
    def letters(self) -> Letters:
        """Opens dead letters."""
        return Letters(self.store, self.sealer, self.keyed_hash, self.inside, self.forms)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What lies outside of log and store, and who must be told; made where the home is known."""

    clean_files: Callable[[str, Sequence[str]], None] = lambda _project, _ids: None
    """Takes the ids out of import journals, and removes files that were left over."""
    backups: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    """Backups that there are: `path`, `taken_at` (epoch ms), `expires_at`."""
    note_tombstone: Callable[[Erasure], None] = lambda _erasure: None
    """Leaves the tombstone where a restore finds it; may be repeated."""


@dataclass(frozen=True, slots=True)
class ErasureOptions:
    """How patient a job is."""

    settle_seconds: float = 2.0  # a request that arrived before the cut is in the log after so long
    parts_seconds: float = 900.0  # the engine takes so long at most to delete files that nobody reads
    poll_seconds: float = 2.0  # between two looks for work
    letters_seconds: float = 600.0  # between two looks for letters that are read only now
