"""Which secret keys and which private keys a worker used: for the audit log, once an hour each.

A request notes what it uses; what is new is written a moment later, beside the requests. So no client waits
for the disk, and a row may be a second late. Write keys are in every app: their uses tell nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from footfall.workspace.audit import FOOTFALL, Audit

MOST_USES: Final = 10_000
"""Rows an hour, of a worker: of so many keys and addresses."""

_HOUR: Final = 3600
_log = logging.getLogger(__name__)


class _Use(NamedTuple):
    action: str
    project: str
    subject: str
    detail: Mapping[str, str]


class KeyUses:
    """Noted by one event loop, written by any thread."""

    def __init__(self, audit: Callable[[], Audit], clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds."""
        self._audit = audit
        self._clock = clock
        self._hour = 0
        self._seen: set[tuple[str, str, str]] = set()
        self._new: deque[_Use] = deque()
        self._writing = threading.Lock()

    def secret_key(self, fingerprint: str, door: str, address: str) -> None:
        """A secret key opened a door to someone."""
        if self._is_first(("key.use", fingerprint, address)):
            detail = {"address": address, "door": door}
            self._new.append(_Use("key.use", "", f"key {fingerprint}", detail))

    def private_key(self, project: str, name: str) -> None:
        """An envelope's session key was opened, or could not be, with a key of the project."""
        if self._is_first(("envelope_keys.use", project, name)):
            self._new.append(_Use("envelope_keys.use", project, name, {"door": "sensors"}))

    def write(self) -> None:
        """Writes what is new; what cannot be written now stays for the next time. Blocks."""
        with self._writing:
            while self._new:
                use = self._new[0]
                try:
                    self._audit().record(FOOTFALL, use.action, use.project, use.subject, use.detail)
                except Exception as error:  # noqa: BLE001 - whatever a workspace raises, it did not record
                    _log.warning("the use of keys cannot be written into the audit log now: %s", error)
                    return
                self._new.popleft()

    def _is_first(self, use: tuple[str, str, str]) -> bool:
        hour = int(self._clock()) // _HOUR
        if hour != self._hour:
            self._hour = hour
            self._seen.clear()
        if use in self._seen or len(self._seen) >= MOST_USES or len(self._new) >= MOST_USES:
            return False
        self._seen.add(use)
        return True
