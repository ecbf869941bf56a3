"""Many appends, one transaction: a thread stores everything that waits, then tells everyone who waits.

While one group is being made durable the next one gathers, so the cost of an fsync is shared by as many
records as came meanwhile. A record that comes after a pause does not wait for company.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from queue import SimpleQueue

from footfall.eventlog.log import LogClosed, LogError, LogFull, Tally

GROUP_SECONDS = 0.005
"""At least between the beginnings of two groups: a commit costs 250 us of CPU time, however small it is, and
holds up those who bring records, with whom its thread shares Python's lock.
"""

GROUP_RECORDS = 256
GROUP_BYTES = 1 << 20
"""What a group holds at most (or one record, however big): a reader reads it at once."""

WAITING_BYTES_LIMIT = 64 << 20
"""What may wait in memory for a disk that hangs; beyond it appends are refused at once."""

Appended = tuple[bytes, Tally]
Outcome = int | LogError
_Waiting = tuple[bytes, Tally, "Future[int] | asyncio.Future[int]", asyncio.AbstractEventLoop | None]


class GroupCommit:
    """Feeds groups of records to `store`, which makes them durable and returns an offset or an error of each.

    `store` runs in a thread of its own, one group at a time, in the order of the appends; `close_store` is
    called in the same thread at the end.
    """

    def __init__(
        self,
        name: str,
        store: Callable[[Sequence[Appended]], Sequence[Outcome]],
        close_store: Callable[[], None],
    ) -> None:
        self._name = name
        self._store = store
        self._close_store = close_store
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._closed = False
        self._wake: SimpleQueue[None] = SimpleQueue()  # holds a token while something waits
        self._thread = threading.Thread(target=self._run, name=f"log-{name}", daemon=True)
        self._thread.start()

    def append(self, payload: bytes, tally: Tally, key: bytes = b"") -> Future[int]:  # noqa: ARG002
        future: Future[int] = Future()
        future.set_running_or_notify_cancel()  # what was appended cannot be taken back
        refused = self._enqueue((payload, tally, future, None))
        if refused is not None:
            future.set_exception(refused)
        return future

    def append_async(self, payload: bytes, tally: Tally, key: bytes = b"") -> asyncio.Future[int]:  # noqa: ARG002
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        refused = self._enqueue((payload, tally, future, loop))
        if refused is not None:
            future.set_exception(refused)
        return future

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._wake.put(None)
        self._thread.join()

    def _enqueue(self, waiting: _Waiting) -> LogError | None:
        with self._lock:
            if self._closed:
                return LogClosed(f"the writer of {self._name} is closed")
            if self._waiting_bytes >= WAITING_BYTES_LIMIT:
                return LogFull(f"{self._waiting_bytes} bytes already wait for the disk of {self._name}")
            if not self._waiting:
                self._wake.put(None)
            self._waiting.append(waiting)
            self._waiting_bytes += len(waiting[0])
            return None

    def _run(self) -> None:
        closed = False
        next_group_at = 0.0
        while not closed:
            self._wake.get()
            if (pause := next_group_at - time.monotonic()) > 0:
                time.sleep(pause)
            next_group_at = time.monotonic() + GROUP_SECONDS
            with self._lock:
                waiting, self._waiting = self._waiting, []
                self._waiting_bytes = 0
                closed = self._closed
            for group in _groups(waiting):
                _tell(group, self._outcomes(group))
        self._close_store()

    def _outcomes(self, group: Sequence[_Waiting]) -> Sequence[Outcome]:
        try:
            return self._store([(payload, tally) for payload, tally, _, _ in group])
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            failure = LogError(f"{self._name} could not be written: {error}")
            failure.__cause__ = error
            return [failure] * len(group)


def _groups(waiting: Sequence[_Waiting]) -> Iterator[Sequence[_Waiting]]:
    first, size = 0, 0
    for at, (payload, *_) in enumerate(waiting):
        size += len(payload)
        if at > first and (size > GROUP_BYTES or at - first == GROUP_RECORDS):
            yield waiting[first:at]
            first, size = at, len(payload)
    if first < len(waiting):
        yield waiting[first:]


def _tell(group: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
    """Completes every future; those of an event loop in one call into that loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[int], Outcome]]] = {}
    for (_, _, future, loop), outcome in zip(group, outcomes, strict=True):
        if loop is not None:
            assert isinstance(future, asyncio.Future)
            by_loop.setdefault(loop, []).append((future, outcome))
        elif isinstance(outcome, int):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)
    for loop, answers in by_loop.items():
        # A closed loop has nobody left to tell; the records are durable all the same.
        if not loop.is_closed():
            loop.call_soon_threadsafe(_tell_loop, answers)


def _tell_loop(answers: Sequence[tuple[asyncio.Future[int], Outcome]]) -> None:
    for future, outcome in answers:
        if future.done():  # cancelled: the client went away
            continue
        if isinstance(outcome, int):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)
