"""From the host's thread to the server: a buffer in memory, a writer to disk, a sender.

The host's thread only appends to the buffer. The writer stores what has gathered every `group_seconds`
(50 ms) in one transaction, so the host never waits for the disk, and a killed process loses at most its last
moments. The sender takes batches from the front of the disk queue and removes them once each record has a
verdict; until then it sends the same records, with the same event ids, again.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import orjson

from footfall_sdk.backoff import Backoff
from footfall_sdk.disk_queue import DiskQueue, Waiting
from footfall_sdk.losses import Loss, Losses
from footfall_sdk.options import Options
from footfall_sdk.records import now_ms, write_record
from footfall_sdk.transport import Answer, Outcome, Rejection, Transport
from footfall_sdk.version import VERSION

_log = logging.getLogger("footfall_sdk")

_LEAST_JOIN_SECONDS = 0.5
_NAP_SECONDS = 0.05
REPORT_EVENT = "$SDKReport"
REPORT_ID = "none"
"""An id that identifies nobody: reports count as events and belong to no person."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What became of the records since the client was made in this process."""

    tracked: int
    delivered: int  # has a verdict, rejected ones included
    waiting: int  # in memory and on disk, also from earlier processes
    retries: int
    dropped: dict[str, int]  # by Loss


class Delivery:
    """One process's way to the server. Starts its threads with the first record."""

    def __init__(self, options: Options, transport: Transport) -> None:
        self._options = options
        self._transport = transport
        self.losses = Losses()
        self.queue = DiskQueue(options.queue_directory, options.max_queue_bytes, self.losses)
        self._buffer = _Buffer(options.max_buffer_records, options.max_buffer_bytes)
        self._backoff = Backoff(options.first_backoff_seconds, options.longest_backoff_seconds)
        self._start_lock = threading.Lock()
        self._writer = threading.Thread(target=self._write_forever, name="footfall-writer", daemon=True)
        self._sender = threading.Thread(target=self._send_forever, name="footfall-sender", daemon=True)
        self._started = False
        self._stopping = False
        self._written = threading.Condition()
        self._something_written = threading.Event()
        self._settled = threading.Condition()
        self._settled_id = 0
        self._hurry = threading.Event()
        self._limit = options.batch_records
        self._delivered = 0
        self._retries = 0
        self._logged = ""
        self._told_reasons: set[str] = set()
        self._report: tuple[bytes, dict[str, int]] | None = None
        self._last_report = time.monotonic()

    # --- the host's threads -------------------------------------------------------------------------------

    def enqueue(self, record: bytes) -> None:
        """Takes a record; never waits."""
        if len(record) > self._options.max_record_bytes:
            self.losses.add(Loss.TOO_LARGE)
        elif not self._buffer.put(record):
            self.losses.add(Loss.BUFFER_FULL)
        self.start()

    def start(self) -> None:
        """Starts the threads unless they run. Also sends what an earlier process left."""
        if self._started:
            return
        with self._start_lock:
            if self._writer.ident is not None:
                return
            self._writer.start()
            self._sender.start()
            self._started = True

    def flush(self, timeout_seconds: float) -> bool:
        """Waits until all records taken so far have a verdict; False if that took too long."""
        if not self._started:
            return True
        deadline = time.monotonic() + timeout_seconds
        last_id = self._wait_until_written(deadline)
        if last_id is None:
            return False
        self._hurry.set()
        self._something_written.set()
        with self._settled:
            return self._settled.wait_for(
                lambda: self._settled_id >= last_id or self.queue.count == 0, deadline - time.monotonic()
            )

    def close(self, timeout_seconds: float) -> bool:
        """Flushes; what is not delivered by then stays on disk for the next process."""
        deadline = time.monotonic() + timeout_seconds
        flushed = self.flush(timeout_seconds)
        self._stopping = True
        self._buffer.hurry.set()
        self._buffer.wake.set()
        self._hurry.set()
        self._something_written.set()
        if self._started:
            self._sender.join(max(_LEAST_JOIN_SECONDS, deadline - time.monotonic()))
        return flushed

    def counters(self) -> Counters:
        waiting = self._buffer.count + self.queue.count
        return Counters(self._buffer.taken, self._delivered, waiting, self._retries, self.losses.total())

    def abandon_after_fork(self) -> None:
        """In a forked child: leaves everything to the parent, whose records and files these are."""
        self.queue.abandon_after_fork()

    def _wait_until_written(self, deadline: float) -> int | None:
        """The last id on disk once the buffer's records are there; None if that took too long."""
        target = self._buffer.taken
        self._buffer.hurry.set()
        self._buffer.wake.set()
        with self._written:
            in_time = self._written.wait_for(
                lambda: self._buffer.written >= target, max(0.0, deadline - time.monotonic())
            )
        return self.queue.last_id if in_time else None

    # --- the writer's thread ------------------------------------------------------------------------------

    def _write_forever(self) -> None:
        with suppress(sqlite3.Error):
            self.queue.append([], {})  # opens it: earlier processes may have left something to send
        self._something_written.set()
        while not (self._stopping and self._buffer.count == 0 and not self.losses.waiting):
            self._buffer.wake.wait(self._options.report_seconds)
            self._buffer.hurry.wait(self._options.group_seconds)
            self._buffer.clear_signals()
            try:
                self._write_group()
            except Exception as error:  # noqa: BLE001 - the thread must live: a full disk may be emptied
                self._log_once("write", f"cannot write to the queue on disk: {error}")
                if self._stopping:
                    return
                time.sleep(self._options.first_backoff_seconds)
                self._buffer.wake.set()

    def _write_group(self) -> None:
        records = self._buffer.peek()
        losses = self.losses.take_unwritten()
        if not records and not losses:
            return self._notify_written()
        try:
            self.queue.append(records, losses)
        except sqlite3.Error:
            self.losses.give_back(losses)
            raise
        self._buffer.drop(records)
        self._something_written.set()
        return self._notify_written()

    def _notify_written(self) -> None:
        with self._written:
            self._written.notify_all()

    # --- the sender's thread ------------------------------------------------------------------------------

    def _send_forever(self) -> None:
        while not self._stopping:
            self._something_written.wait()
            self._something_written.clear()
            try:
                self._send_what_waits()
            except Exception as error:  # noqa: BLE001 - the thread must live, whatever the disk or a callback does
                self.losses.add(Loss.ERROR)
                self._log_once("send", f"sending failed: {type(error).__name__}: {error}")
                time.sleep(self._options.first_backoff_seconds)
                self._something_written.set()
        self._transport.close()
        self._writer.join(_LEAST_JOIN_SECONDS)
        self.queue.close()

    def _send_what_waits(self) -> None:
        while not self._stopping:
            if 0 < self.queue.count < self._limit:
                self._hurry.wait(self._options.send_seconds)  # a batch gathers
            batch = self.queue.front(self._limit, self._options.batch_bytes)
            report = self._due_report(bool(batch))
            if not batch and report is None:
                break
            records = [waiting.record for waiting in batch]
            answer = self._transport.post([*records, *([report] if report else [])])
            self._settle(batch, report is not None, answer)
        self._hurry.clear()
        with self._settled:
            self._settled.notify_all()

    def _settle(self, batch: Sequence[Waiting], reported: bool, answer: Answer) -> None:
        if answer.outcome is Outcome.ACCEPTED:
            self._accept(batch, reported, answer.rejections)
        elif answer.outcome in (Outcome.TOO_LARGE, Outcome.REFUSED):
            self._split(batch, answer)
        else:
            self._wait_to_retry(answer)

    def _accept(self, batch: Sequence[Waiting], reported: bool, rejections: dict[int, Rejection]) -> None:
        if reported and self._report is not None:
            self.queue.forget_losses(self._report[1])
            self._report = None
            self._last_report = time.monotonic()
        if rejections:
            self._tell_rejections(batch, rejections)
        self._remove(batch)
        self._backoff.reset()
        self._limit = min(self._options.batch_records, self._limit * 2)
        if self._logged:
            _log.info("delivering again")
            self._logged = ""

    def _remove(self, batch: Sequence[Waiting]) -> None:
        self.queue.remove(batch)
        self._delivered += len(batch)
        if batch:
            self._settled_id = batch[-1].id
        with self._settled:
            self._settled.notify_all()

    def _tell_rejections(self, batch: Sequence[Waiting], rejections: dict[int, Rejection]) -> None:
        for index, rejection in rejections.items():
            if not 0 <= index < len(batch):
                continue  # the report's own
            self.losses.add(Loss.REJECTED)
            if rejection.reason not in self._told_reasons:
                self._told_reasons.add(rejection.reason)
                _log.warning("a record was rejected (told once): %s: %s", rejection.reason, rejection.message)
            if self._options.on_rejection is not None:
                try:
                    self._options.on_rejection(rejection, orjson.loads(batch[index].record))
                except Exception:  # noqa: BLE001 - the host's code
                    self.losses.add(Loss.ERROR)
                    _log.exception("on_rejection raised")

    def _split(self, batch: Sequence[Waiting], answer: Answer) -> None:
        """Halves the next batch until the record that the server does not take is alone; then drops it."""
        self._log_once(answer.outcome.name, f"a batch of {len(batch)} records: {answer.detail}")
        if len(batch) > 1:
            self._limit = max(1, len(batch) // 2)
            return
        if self._report is not None:  # may be what is wrong: try without
            self._report = None
            self._last_report = time.monotonic()
            self._hurry.clear()
            return
        self.losses.add(Loss.TOO_LARGE if answer.outcome is Outcome.TOO_LARGE else Loss.REFUSED)
        self._remove(batch)

    def _wait_to_retry(self, answer: Answer) -> None:
        self._retries += 1
        self._log_once(answer.outcome.name, f"cannot deliver, will try again: {answer.detail}")
        wish = min(answer.retry_after_seconds, self._options.longest_retry_after_seconds)
        began = time.monotonic()
        pause = max(wish, self._backoff.next_seconds())
        self._hurry.clear()
        while not self._stopping and (waited := time.monotonic() - began) < pause:
            if not self._hurry.is_set():
                self._hurry.wait(pause - waited)
            elif waited >= wish:
                return  # flush() asks for one try now
            else:
                time.sleep(min(wish - waited, _NAP_SECONDS))

    def _due_report(self, beside_others: bool) -> bytes | None:
        """The `$SDKReport` record if losses are to be told now; the same one until the server has it."""
        if self._report is None:
            since = time.monotonic() - self._last_report
            if since < self._options.report_seconds and not (self._hurry.is_set() and not beside_others):
                return None
            losses = self.queue.losses()
            if not losses:
                return None
            self._report = (_report_record(losses), losses)
        return self._report[0]

    def _log_once(self, kind: str, message: str) -> None:
        """A warning when the kind of trouble changes, not at every retry."""
        if self._logged != kind:
            self._logged = kind
            _log.warning(message)


class _Buffer:
    """Records in memory between the host's threads and the writer."""

    def __init__(self, max_records: int, max_bytes: int) -> None:
        self._lock = threading.Lock()
        self._records: list[bytes] = []
        self._bytes = 0
        self._max_records = max_records
        self._max_bytes = max_bytes
        self.taken = 0
        self.written = 0
        self.wake = threading.Event()
        self.hurry = threading.Event()

    @property
    def count(self) -> int:
        return len(self._records)

    def put(self, record: bytes) -> bool:
        """False if there is no room."""
        with self._lock:
            size = self._bytes + len(record)
            if len(self._records) >= self._max_records or size > self._max_bytes:
                return False
            self._records.append(record)
            self._bytes = size
            self.taken += 1
        if not self.wake.is_set():
            self.wake.set()
        return True

    def peek(self) -> list[bytes]:
        with self._lock:
            return list(self._records)

    def drop(self, records: Sequence[bytes]) -> None:
        """Forgets the first records: they are on disk."""
        with self._lock:
            del self._records[: len(records)]
            self._bytes -= sum(map(len, records))
            self.written += len(records)

    def clear_signals(self) -> None:
        self.wake.clear()
        self.hurry.clear()


def _report_record(losses: dict[str, int]) -> bytes:
    """`$SDKReport`: a number `dropped_<reason>` for each reason since the last report."""
    return write_record(
        {
            "type": "track",
            "event": REPORT_EVENT,
            "distinct_id": REPORT_ID,
            "time": now_ms(time.time()),
            "event_id": uuid.uuid4().hex,
            "properties": {f"dropped_{reason}": count for reason, count in losses.items()},
            "lib": {"$lib": "footfall-python", "$lib_version": VERSION, "$lib_method": "code"},
        }
    )
