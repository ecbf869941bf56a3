"""A log elsewhere, as a collector sees it: a log of this process that a test makes refuse, hang or forget."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Literal

from footfall.eventlog.log import Log, LogError, LogWriter, Tally

Mood = Literal["fine", "refuses", "hangs", "forgets", "unreachable"]
"""hangs: stores nothing, answers nobody. forgets: stores, answers nobody. unreachable: no new writer."""


class FailingLog:
    """Writers before a log; all have the mood of now."""

    def __init__(self, log: Log, mood: Mood = "fine") -> None:
        self.log = log
        self.mood: Mood = mood
        self.error: LogError = LogError("the broker is away")
        self.refused: dict[bytes, LogError] = {}  # by payload: what of it is refused, in any mood
        self.unanswered: list[Future[int]] = []

    def open_writer(self, lane: int) -> LogWriter:
        if self.mood == "unreachable":
            raise self.error
        return _Writer(self, self.log.open_writer(lane))


class _Writer:
    routes = True

    def __init__(self, log: FailingLog, writer: LogWriter) -> None:
        self._log = log
        self._writer = writer
        self._lock = threading.Lock()

    def append(self, payload: bytes, tally: Tally, key: bytes = b"") -> Future[int]:
        failed: Future[int] = Future()
        if error := self._log.refused.get(payload):
            failed.set_exception(error)
        elif self._log.mood == "fine":
            return self._writer.append(payload, tally, key)
        elif self._log.mood == "hangs":
            self._log.unanswered.append(failed)
        elif self._log.mood == "forgets":
            self._writer.append(payload, tally, key).result(10)
            self._log.unanswered.append(failed)
        else:
            failed.set_exception(self._log.error)
        return failed

    def append_async(self, payload: bytes, tally: Tally, key: bytes = b"") -> asyncio.Future[int]:
        return asyncio.wrap_future(self.append(payload, tally, key))

    def close(self) -> None:
        self._writer.close()
