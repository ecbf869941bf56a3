"""Bad weather: something outside is away, and is tried again and again. A metric and a log line say what, and
since when.

`footfall_retrying_since_seconds{what}` is the Unix time at which it began, and 0 while all is well. The line
`weather.bad` comes when it begins and then every half minute, `weather.fine` when it is over. Closed list of
what: see WHAT.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from footfall.metrics import gauge

WHAT: Final = ("log", "block", "erasure", "upkeep", "workspace")
"""What is tried again: appending to the log (the spool holds what comes), a processor's block, an erasure,
work of upkeep, a collector's questions to the workspace.
"""

_TOLD_EVERY_SECONDS: Final = 30.0
_logger = structlog.get_logger(__name__)


class Weather:
    """Of one process. Safe in several threads."""

    def __init__(
        self, registry: CollectorRegistry | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` gives Unix time; without a registry, `since` is to be shown by other means."""
        self._clock = clock
        self._lock = threading.Lock()
        self._since: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._gauge = None if registry is None else gauge("footfall_retrying_since_seconds", registry)

    @property
    def since(self) -> Mapping[str, float]:
        """What is bad now, and since when (Unix time)."""
        with self._lock:
            return dict(self._since)

    def bad(self, what: str, error: BaseException | str) -> None:
        """It failed, and will be tried again."""
        now = self._clock()
        with self._lock:
            since = self._since.setdefault(what, now)
            if now - self._told.get(what, float("-inf")) < _TOLD_EVERY_SECONDS:
                return
            self._told[what] = now
        if self._gauge is not None:
            self._gauge.labels(what).set(since)
        self._log(
            "weather.bad",
            retried=what,
            since=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since)),
            for_seconds=round(now - since, 1),
            error=error if isinstance(error, str) else f"{type(error).__name__}: {error}",
        )

    def fine(self, what: str) -> None:
        """It worked. Cheap where nothing was bad."""
        if what not in self._since:
            return
        now = self._clock()
        with self._lock:
            since = self._since.pop(what, now)
            self._told.pop(what, None)
        if self._gauge is not None:
            self._gauge.labels(what).set(0)
        self._log("weather.fine", retried=what, lasted_seconds=round(now - since, 1))

    def _log(self, event: str, **told: object) -> None:
        _logger.warning(event, **told)
