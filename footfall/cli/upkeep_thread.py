"""The engine's upkeep, in a thread of its own: measures the disk, drops what projects do not keep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

import structlog

from footfall.weather import Weather

_EXPIRY_SECONDS: Final = 3_600.0
_FIRST_EXPIRY_SECONDS: Final = 60.0
_MEASURE_SECONDS: Final = 10.0
_MOST_OF_THE_TIME: Final = 50.0  # measuring rests for so many times as long as it took
_logger = structlog.get_logger("engine")


class UpkeepThread:
    """Starts at once; a job that fails is tried again when it is due again."""

    def __init__(
        self,
        measure: Callable[[], Any],
        expire: Callable[[threading.Event], Any],
        weather: Weather | None = None,
    ) -> None:
        self._measure = measure
        self._expire = expire
        self._weather = weather or Weather()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends it after the step that it is at."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        expire_at = time.monotonic() + _FIRST_EXPIRY_SECONDS
        while True:
            began = time.monotonic()
            self._try("measuring the disk", self._measure)
            rest = max(_MEASURE_SECONDS, _MOST_OF_THE_TIME * (time.monotonic() - began))
            if time.monotonic() >= expire_at:
                self._try("dropping old events", lambda: self._expire(self._stop))
                expire_at = time.monotonic() + _EXPIRY_SECONDS
            if self._stop.wait(rest):
                return

    def _try(self, what: str, job: Callable[[], Any]) -> None:
        try:
            job()
            self._weather.fine("upkeep")
        except Exception as error:  # noqa: BLE001 - this thread must not end
            self._weather.bad("upkeep", error)
            _logger.warning("upkeep failed", job=what, error=f"{type(error).__name__}: {error}")
