"""The import itself: batch after batch into a log partition of its own, each exactly once, come what may.

Import or collector, the way behind is the same: judged records in the log, the processor's pipeline, the
ledger.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from footfall.crash_points import reach
from footfall.eventlog.log import Log, LogError, LogFull, LogWriter, Tally
from footfall.eventlog.partitions import IMPORTS
from footfall.events.keys import KeyedHash
from footfall.events.verdicts import IMPORT
from footfall.importing.batches import Batch, BatchWriter, RowJudge, cut
from footfall.importing.faults import ImportRefused
from footfall.importing.journal import Effects, Journal, Position, settle_all
from footfall.importing.opening import Reading
from footfall.importing.plan import Plan
from footfall.importing.records import RecordWriter
from footfall.treatment.policy import Policy

MAX_WAITING: Final = 16
"""Batches of imports that wait in the log at once while the processor works: what comes through the doors
waits for its turn, but not for the whole file."""

_PAUSE_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class State:
    """Where an import is now."""

    done: int  # of `total`: bytes of the file, or rows of Parquet
    total: int
    rows: int
    rejected: int
    waits_for: str = ""  # what it waits for: "the log is full"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Where the journal lies, and who is told."""

    directory: Path  # of the journals
    tell: Callable[[State], None] = field(default=lambda _state: None)
    is_processed: Callable[[], bool] = field(default=lambda: False)
    """Whether somebody processes the log now; else batches pile up to the log's limit."""
    clock: Callable[[], int] = field(default=lambda: time.time_ns() // 1_000_000)  # epoch ms


def identity_of(reading: Reading, plan: Plan | None, project: str) -> str:
    """The same file, read the same way into the same project: the same import. 16 hex digits."""
    told = (
        project,
        reading.source.digest,
        reading.format,
        reading.encoding,
        plan.canonical() if plan else "",
    )
    return sha256(repr(told).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Target:
    """Where the rows go."""

    project: str
    log: Log
    keyed_hash: KeyedHash
    policy: Policy  # of that project


def forget(reading: Reading, plan: Plan | None, project: str, directory: Path) -> None:
    """As if that import had never been."""
    for suffix in ("", "-wal", "-shm"):
        (directory / f"{identity_of(reading, plan, project)}.db{suffix}").unlink(missing_ok=True)


class Importer:
    """One import. Holds the imports' partition while it is open."""

    def __init__(
        self,
        reading: Reading,
        plan: Plan | None,
        target: Target,
        options: ImportOptions,
    ) -> None:
        """ImportRefused while another import runs."""
        self._reading = reading
        self._options = options
        self._project = target.project
        self._log = target.log
        self._writer = _open_writer(target.log)
        try:
            self._next_offset = target.log.position(IMPORTS).end
            settle_all(options.directory, self._next_offset)
            path = options.directory / f"{identity_of(reading, plan, target.project)}.db"
            sealer = target.policy.sealer
            self.journal = Journal(path, str(reading.source.path), target.project, sealer)
        except BaseException:
            self._writer.close()
            raise
        records = None if plan is None else RecordWriter(plan)
        self._judge = RowJudge(target.policy, records, is_sensors=reading.format == "sensors")
        self._batches = BatchWriter(target.policy, target.keyed_hash, self.journal, records)
        self._last_received = 0

    def close(self) -> None:
        self._writer.close()
        self.journal.close()

    def run(self) -> Position:
        """Imports what is left. LogError if the log cannot be written: run it again later."""
        start = self.journal.position()
        if start.is_finished:
            return start
        waiting: tuple[Future[int], Batch] | None = None
        before: Effects | None = None
        is_appended = start.is_appended
        rows_done, rejected = start.rows, start.rejected
        with self._reading.opened() as table:
            for rows in cut(table.rows(start.rows), start.pending_rows):
                received_at = self._now()
                batch = self._batches.write(self._judge.judge(rows, received_at), before, received_at)
                if is_appended:  # cut off between the log and the journal
                    is_appended, before = False, batch.effects
                else:
                    if waiting is not None:
                        self._wait(*waiting)
                    waiting = self._append(batch, before)
                    before = batch.effects
                rows_done += batch.effects.rows
                rejected += len(batch.effects.rejected)
                self._options.tell(State(*table.progress(), rows_done, rejected))
                self._let_others_in(table.progress(), rows_done, rejected)
        if waiting is not None:
            self._wait(*waiting)
        reach("I3")
        self.journal.advance(before)
        self.journal.finish()
        return self.journal.position()

    def _append(self, batch: Batch, before: Effects | None) -> tuple[Future[int], Batch]:
        """Announces the batch, then hands it to the log."""
        self.journal.advance(before, offset=self._next_offset, rows=batch.effects.rows)
        reach("I1")
        return self._hand_over(batch), batch

    def _hand_over(self, batch: Batch) -> Future[int]:
        tally = Tally(self._project, IMPORT.name, batch.received_at // 60_000, batch.effects.rows)
        return self._writer.append(batch.payload, tally)

    def _wait(self, future: Future[int], batch: Batch) -> None:
        """Until the batch is durable; a full log has stored nothing of it, and it is tried again."""
        while True:
            try:
                offset = future.result()
                break
            except LogFull as error:
                if not self._options.is_processed():
                    raise
                self._options.tell(State(0, 0, 0, 0, waits_for=str(error)))
                time.sleep(_PAUSE_SECONDS * 10)
                future = self._hand_over(batch)
        reach("I2")
        if offset != self._next_offset:
            raise LogError(
                f"the batch got offset {offset}, announced was {self._next_offset}: run the import again"
            )
        self._next_offset += 1

    def _let_others_in(self, progress: tuple[int, int], rows: int, rejected: int) -> None:
        while self._log.position(IMPORTS).lag > MAX_WAITING and self._options.is_processed():
            self._options.tell(State(*progress, rows, rejected, waits_for="the processor"))
            time.sleep(_PAUSE_SECONDS)

    def _now(self) -> int:
        """The clock, but never backwards: `received_at` is monotone in a partition."""
        self._last_received = max(self._last_received, self._options.clock())
        return self._last_received


def _open_writer(log: Log) -> LogWriter:
    try:
        return log.open_writer(IMPORTS)
    except LogError as error:
        raise ImportRefused(f"another import is running: wait until it has ended ({error})") from error
