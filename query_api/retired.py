"""Which of a project's events were dropped because it keeps them for so many days only.

The store writes down each month before it is dropped; here it is read again after `refresh_seconds`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from footfall.events.months import month_end
from footfall.storage.store import Query, Store

_RETIRED = """
SELECT project, max(toUInt32OrZero(part)), toUnixTimestamp64Milli(max(retired_at))
FROM retirements WHERE `table` = 'events' GROUP BY project"""

_REMOVED = "SELECT toUnixTimestamp64Milli(max(removed_at)) FROM removals"

_THINNED = """
SELECT about, max(toUInt32OrZero(part)) FROM removals
WHERE kind = 'retention' AND `table` = 'events' GROUP BY about"""


class Retired:
    """Safe to use from several threads."""

    def __init__(self, store: Store, *, refresh_seconds: float) -> None:
        self._store = store
        self._seconds = refresh_seconds
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._until: Mapping[str, int] = {}
        self._version = 0
        self._thinned: Mapping[str, int] = {}  # "project event buy", "project property amount" -> until

    def until(self, project: str) -> int | None:
        """Before this instant (epoch ms) events of the project are missing; None: none are."""
        self._refresh()
        return max(
            (until for name in (project, "") if (until := self._until.get(name)) is not None), default=None
        )

    def thinned(self, project: str) -> list[tuple[str, int]]:
        """What else is missing: ("event buy" or "property amount", before which instant in epoch ms)."""
        self._refresh()
        mine = f"{project} "
        return sorted(
            (about.removeprefix(mine), until)
            for about, until in self._thinned.items()
            if about.startswith(mine)
        )

    def version(self) -> int:
        """Grows when more was dropped."""
        self._refresh()
        return self._version

    def _refresh(self) -> None:
        with self._lock:
            if time.monotonic() - self._read_at < self._seconds:
                return
            rows = self._store.rows(Query(_RETIRED)).rows
            self._until = {project: month_end(str(part)) for project, part, _ in rows}
            removed = self._store.rows(Query(_REMOVED)).rows
            self._version = max((int(at) for *_, at in (*rows, *removed)), default=0)
            self._thinned = {
                str(about): month_end(str(part)) for about, part in self._store.rows(Query(_THINNED)).rows
            }
            self._read_at = time.monotonic()
