"""Before a log on other machines: what it cannot take in time waits on the collector's own disk, and is taken
there in order once the log is back.

Laws, each a test in tests/test_spooled_log.py:

1. Acknowledged is durable: in the log, or in the spool, which is fsynced. A kill loses nothing.
2. What is spooled reaches the log by itself, also after a restart; then the spool is empty, to the last byte.
3. Records of one key reach the log in the order in which they were appended, but for those that were on
   their way together at the moment when the log went away.
4. While anything waits in the spool, what comes goes behind it.
5. Where the log does not answer within the patience, the record is spooled. It may then be in the log twice,
   as a client's repeat may: the processor tells repeats by their event ids.
6. When the spool is full, too, appends fail with LogFull (503), and nothing of them is stored; when there is
   room again, they are taken.
7. What the log will never take (RecordRefused) fails for its sender, and never holds up what is behind it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from footfall.crash_points import reach
from footfall.eventlog.log import LogClosed, LogError, LogFull, LogWriter, RecordRefused, Tally
from footfall.eventlog.spool import Spool, Spooled
from footfall.weather import Weather

NOT_KNOWN: Final = -1
"""The offset of a record that is in the spool."""

_LOOK_SECONDS: Final = 0.05
_IDLE_SECONDS: Final = 1.0
_SHORT_SECONDS: Final = 0.005
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_log = structlog.get_logger(__name__)

_Told = Future[int] | asyncio.Future[int]


@dataclass(slots=True, eq=False)
class _Pending:
    """A record that the log was handed, and whom to tell."""

    payload: bytes
    tally: Tally
    key: bytes
    told: _Told
    loop: asyncio.AbstractEventLoop | None
    overdue_at: float
    is_settled: bool = False  # answered, or on its way to the spool


@dataclass(slots=True)
class SpoolCounts:
    """For the metrics."""

    spooled: int = 0  # records, since the start
    waiting_since: float = 0.0  # Unix time; 0: nothing waits


@dataclass(slots=True)
class SpooledWriter:
    """LogWriter of a lane. `open_log_writer` may raise LogError while the log is away, and is tried again."""

    open_log_writer: Callable[[], LogWriter]
    spool: Spool
    patience_seconds: float = 1.0
    weather: Weather = field(default_factory=Weather)
    counts: SpoolCounts = field(default_factory=SpoolCounts)
    routes: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _wake: threading.Event = field(default_factory=threading.Event)
    _pending: deque[_Pending] = field(default_factory=deque)
    _writer: LogWriter | None = None
    _away: bool = True  # until the log's writer is open, and whatever waited is drained
    _spooling: int = 0  # appends to the spool that are under way
    _full: bool = False
    _closed: bool = False
    _look_at: float = 0.0  # into the spool, while the log is there
    _reached: set[int] = field(default_factory=set)  # offsets of the wave that the log has
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="spool")
        self._thread.start()

    # Appending ----------------------------------------------------------------------------------------------

    def append(self, payload: bytes, tally: Tally, key: bytes = b"") -> Future[int]:
        future: Future[int] = Future()
        future.set_running_or_notify_cancel()
        self._take(payload, tally, key, future, None)
        return future

    def append_async(self, payload: bytes, tally: Tally, key: bytes = b"") -> asyncio.Future[int]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        self._take(payload, tally, key, future, loop)
        return future

    def close(self) -> None:
        """What was appended is in the log or in the spool; what waits there is drained by the next start."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._wake.set()
        self._thread.join()
        give_up_at = time.monotonic() + self.patience_seconds
        while self._unsettled() and time.monotonic() < give_up_at:
            time.sleep(_SHORT_SECONDS)
        for pending in self._unsettled():
            self._to_spool(pending)
        self.spool.close()
        if self._writer is not None:
            self._writer.close()  # at last: a log that hangs holds nothing up that is not safe

    def refusal(self) -> str | None:
        """Why nothing can be taken; None while it can."""
        return "the log cannot be reached, and the spool is full" if self._away and self._full else None

    @property
    def is_direct(self) -> bool:
        """Whether records go to the log at once, since nothing waits in the spool."""
        return not self._away

    @property
    def waiting_bytes(self) -> int:
        """What waits in the spool."""
        return self.spool.stored_bytes if self._away else 0

    def _take(
        self,
        payload: bytes,
        tally: Tally,
        key: bytes,
        told: _Told,
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        pending = _Pending(payload, tally, key, told, loop, time.monotonic() + self.patience_seconds)
        with self._lock:
            if self._closed:
                inner: _Told | None = None
            elif self._away:
                inner = self._append_to_spool(pending)
            else:
                assert self._writer is not None
                if not self._pending:
                    self._wake.set()
                self._pending.append(pending)
                append = self._writer.append if loop is None else self._writer.append_async
                inner = append(payload, tally, key)
        # Beyond the lock: what is done already calls back at once.
        if inner is None:
            _tell(pending, LogClosed("the writer is closed"))
        elif pending.is_settled:
            self._when_spooled(inner, pending)
        else:
            inner.add_done_callback(lambda done: self._answered(pending, done))

    def _answered(self, pending: _Pending, done: Any) -> None:
        """The log said what became of a record, in whatever thread."""
        error = _error_of(done)
        with self._lock:
            if pending.is_settled:
                return  # spooled meanwhile
            pending.is_settled = error is None or isinstance(error, RecordRefused)
        if error is None:  # in the event loop, if it waits in one: a callback of its future
            _set(pending.told, done.result())
            if not self._away:
                self.weather.fine("log")
        elif isinstance(error, RecordRefused):
            _set(pending.told, error)
        else:
            self.weather.bad("log", error)
            self._to_spool(pending)

    def _to_spool(self, pending: _Pending) -> None:
        with self._lock:
            if pending.is_settled:
                return
            self._away = True
            inner = self._append_to_spool(pending)
        self._when_spooled(inner, pending)
        self._wake.set()

    def _append_to_spool(self, pending: _Pending) -> Future[int]:
        """Within the lock: what is appended first lies first."""
        pending.is_settled = True
        self._spooling += 1
        return self.spool.append(pending.payload, pending.tally, pending.key)

    def _when_spooled(self, inner: Any, pending: _Pending) -> None:
        def done(future: Future[int]) -> None:
            error = _error_of(future)
            with self._lock:
                self._spooling -= 1
                self._full = isinstance(error, LogFull)
                self.counts.spooled += error is None
            _tell(pending, NOT_KNOWN if error is None else error)

        inner.add_done_callback(done)

    # Draining -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._closed:
            try:
                self._settle_overdue()
                busy = self._drain()
                pause = _FIRST_PAUSE
            except Exception as error:  # noqa: BLE001 - this thread must not end: what waits is not lost
                if not isinstance(error, LogError):
                    _log.exception("the spool cannot be drained")
                self.weather.bad("log", error)
                self._wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            if not busy:
                self._wake.wait(_LOOK_SECONDS if self._pending or self._away else _IDLE_SECONDS)
                self._wake.clear()

    def _drain(self) -> bool:
        """One wave; whether there may be more at once. LogError while the log does not take it."""
        if not self._away and time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + _IDLE_SECONDS
        wave = self.spool.next_wave()
        self.counts.waiting_since = wave[0].at if wave else 0.0
        if self._writer is None:
            opened = self.open_log_writer()
            with self._lock:
                self._writer = opened
            self.weather.fine("log")
        if wave:
            self._append_wave(wave)
            reach("S1")
            self.spool.drained(wave[-1].offset + 1)
            self._reached.clear()
            self.weather.fine("log")
            return True
        if not self._away:
            return False
        self.spool.tidy()
        with self._lock:
            if not self._spooling and not self.spool.waiting:
                self._away = False
        return False

    def _append_wave(self, wave: Sequence[Spooled]) -> None:
        assert self._writer is not None
        under_way = {
            self._writer.append(record.payload, record.tally, record.key): record
            for record in wave
            if record.offset not in self._reached
        }
        give_up_at = time.monotonic() + self.patience_seconds
        left: set[Future[int]] = set(under_way)
        while left and time.monotonic() < give_up_at and not self._closed:
            _, left = wait_for(left, _LOOK_SECONDS)
            self._settle_overdue()
        failure: BaseException | None = None
        for future, record in under_way.items():
            error = _error_of(future) if future.done() else LogError("the log does not answer")
            if isinstance(error, RecordRefused):
                self.spool.put_aside(record, error)
            elif error is not None:
                failure = failure or error
                continue
            self._reached.add(record.offset)
        if failure is not None:
            raise failure

    def _settle_overdue(self) -> None:
        """What the log has not answered for too long is spooled, with all that came after it."""
        now = time.monotonic()
        with self._lock:
            while self._pending and self._pending[0].is_settled:
                self._pending.popleft()
            overdue = bool(self._pending) and self._pending[0].overdue_at <= now
            late = list(self._pending) if overdue else []
        if late:
            self.weather.bad("log", f"no answer for {self.patience_seconds:g} s")
        for pending in late:
            self._to_spool(pending)

    def _unsettled(self) -> list[_Pending]:
        with self._lock:
            return [pending for pending in self._pending if not pending.is_settled]

    def _wait(self, seconds: float) -> None:
        """While the log is away: what it was handed before must be answered all the same."""
        give_up_at = time.monotonic() + seconds
        while not self._closed and (left := give_up_at - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_SECONDS))
            self._settle_overdue()


def _error_of(future: Any) -> BaseException | None:
    """Also of one that was cancelled: whoever waited is gone, the record is not."""
    if future.cancelled():
        return LogError("the append was cancelled")
    error: BaseException | None = future.exception()
    return error


def _tell(pending: _Pending, outcome: int | BaseException) -> None:
    """In whatever thread."""
    loop = pending.loop
    if loop is None:
        _set(pending.told, outcome)
    elif not loop.is_closed():
        loop.call_soon_threadsafe(_set, pending.told, outcome)


def _set(told: _Told, outcome: int | BaseException) -> None:
    if told.done():  # cancelled: the client went away
        return
    if isinstance(outcome, int):
        told.set_result(outcome)
    else:
        told.set_exception(outcome)
