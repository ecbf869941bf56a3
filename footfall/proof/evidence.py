"""What the query API asks about proof: one object, made by the command line, that knows store and log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from footfall.eventlog.log import Log
from footfall.events.identity import ResolutionRules
from footfall.proof.findings import Finding
from footfall.proof.snapshot import CannotSnapshot, Snapshots
from footfall.proof.verify import Scope, verify
from footfall.storage.store import Store


class AlreadyVerifying(BlockingIOError):  # noqa: N818 - reads as what it is
    """One verification at a time: it reads everything."""


class Evidence:
    """Safe to use from several threads."""

    def __init__(
        self,
        store: Store,
        log: Log,
        rules_of: Callable[[str], ResolutionRules],
        snapshots: Snapshots | None = None,
    ) -> None:
        """`snapshots` None: the data is not all on this machine."""
        self._store = store
        self._log = log
        self._rules_of = rules_of
        self._snapshots = snapshots
        self._verifying = threading.Lock()

    def verify(self, project: str | None, since: str, until: str) -> Iterator[dict[str, Any]]:
        """Lines as `footfall verify --json` prints them: checks, findings, at the end the verdict.

        AlreadyVerifying, StoreError, LogError.
        """
        if not self._verifying.acquire(blocking=False):
            raise AlreadyVerifying("a verification runs already: wait for its end")
        try:
            found = 0
            for each in verify(self._store, self._log, self._rules_of, Scope(project, since, until)):
                is_finding = isinstance(each, Finding)
                found += is_finding
                yield {"kind": "finding" if is_finding else "checked", **each.as_json()}
            yield {"kind": "verdict", "ok": not found, "findings": found}
        finally:
            self._verifying.release()

    def snapshot(self) -> dict[str, Any]:
        """Makes a snapshot in the home, for `footfall backup`; what is in it. CannotSnapshot, StoreError."""
        if self._snapshots is None:
            raise CannotSnapshot(
                "log, store or workspace are not in the home: back them up by their own means"
            )
        return self._snapshots.take()
