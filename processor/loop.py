"""The loop: plans a block, prepares it, inserts it under its tokens, commits, and goes on; exactly once.

After a crash the planned block is redone first. While the store is away the same block is tried again with
the same tokens. One thread runs the loop; `data_until` and `wait_idle` may be called from others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry

from footfall.crash_points import reach
from footfall.eventlog.data_until import DataUntil
from footfall.eventlog.log import Log, LogError
from footfall.events.keys import KeyedHash
from footfall.sealing import Sealer
from footfall.storage.rows import TombstoneRow, build_outcome_table, build_table
from footfall.storage.store import Store, StoreError
from footfall.weather import Weather
from footfall.workspace import IdentityRules, Project
from footfall.workspace.errors import WorkspaceUnavailable
from processor.blocks import (
    LogReplacedError,
    Plan,
    newest_version,
    read_offsets,
)
from processor.collection import no_cycle_search
from processor.commits import Commits
from processor.failures import what_failed, where_it_failed
from processor.holdings import Holdings
from processor.intake import Opened, open_record
from processor.metrics import ProcessorMetrics
from processor.peers import Alone, HeldUp, LetGo, Peers, Still, Turn, is_alone, still_and_done
from processor.planned_types import TypesOf, no_plans
from processor.prepare import BlockPreparer, NearlyAllUnprocessable, Prepared

_log = structlog.get_logger(__name__)
_GAP_SECONDS = 0.005
_LAG_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ProcessorOptions:
    """How blocks are cut and how patient the loop is."""

    enough_events: int = 10_000  # go as soon as so many wait
    max_events: int = 20_000  # of a block
    linger_seconds: float = 0.3  # go when the first has waited for so long
    poll_seconds: float = 0.05  # between two looks at an idle log
    kept_bytes: int = 64 << 20  # of processed records that stay in the log, for a look back
    first_retry_seconds: float = 0.1  # doubled up to
    longest_retry_seconds: float = 10.0


@dataclass(slots=True)
class _Current:
    """The block in work; kept over retries."""

    plan: Plan
    records: Sequence[Opened]
    began: float
    is_planned: bool = False  # the store has the plan
    prepared: Prepared | None = None


@dataclass(frozen=True, slots=True)
class Standstill:
    """How far the blocks are that are done: what is stored is of them alone."""

    version: int  # of the last
    next_offsets: Mapping[int, int]  # by log partition


class Unsure(Exception):  # noqa: N818 - reads as what it is
    """What was done between two blocks may or may not have been done: only a new start finds out."""


def wall_clock() -> int:
    """Epoch ms."""
    return time.time_ns() // 1_000_000


class Processor:
    """Log in, store out."""

    def __init__(
        self,
        log: Log,
        store: Store,
        keyed_hash: KeyedHash,
        sealer: Sealer,
        project_of: Callable[[str], Project | None],
        *,
        types_of: TypesOf = no_plans,
        peers: Peers | None = None,
        dedup_days: int = 7,
        clock: Callable[[], int] = wall_clock,
        options: ProcessorOptions | None = None,
        registry: CollectorRegistry | None = None,
        weather: Weather | None = None,
    ) -> None:
        """`project_of` knows a project's identity rules and time zone (None: the defaults), `types_of` what
        types a version of its tracking plan declares; `peers` of the other processors on the same log and
        store (None: there are none); `clock` gives epoch ms.
        """
        self._log = log
        self._store = store
        self._clock = clock
        self._options = options or ProcessorOptions()
        self._metrics = ProcessorMetrics(registry or CollectorRegistry())
        self._weather = weather or Weather()
        self._project_of = project_of
        self._peers = peers or Alone(store)
        self._preparer = BlockPreparer(
            store,
            keyed_hash,
            sealer,
            rules_of=self._rules_of,
            zone_of=self._zone_of,
            types_of=types_of,
            dedup_days=dedup_days,
            numbers=self._peers,
            spent=self._note_step,
        )
        self._commits = Commits(log, store)
        self._holdings = Holdings(
            log,
            store,
            self._peers,
            self._commits,
            self._preparer.seen,
            max_events=self._options.max_events,
            kept_bytes=self._options.kept_bytes,
        )
        self._lock = threading.Lock()
        self._standstills_wanted = 0
        self._unsure: Unsure | None = None
        self._current: _Current | None = None
        self._held_up: list[_Current] = []
        self._needs_to_be_alone = False  # the last block did
        self._round = 0
        self._lags_noted_until = 0.0
        self._recovered = False
        self._kept_by = 0
        self._data_until = DataUntil(log, clock)

    def recover(self) -> None:
        """Rebuilds what is remembered and finds the blocks that a crash left unfinished. Once; step does
        it too.
        """
        with self._lock:
            self._recover()

    def step(self) -> bool:
        """Does one block of what waits, however little; True if there was one.

        StoreError, LogError and NearlyAllUnprocessable leave the block where it is: the next step goes on
        with it.
        """
        with self._lock:
            return self._step(patient=False)

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set; ends between two blocks, or two tries of one."""
        failing_since = 0.0
        pause = self._options.first_retry_seconds
        while not stop.is_set():
            if self._standstills_wanted:
                stop.wait(_GAP_SECONDS)  # or the lock would be taken again before anybody else gets it
            try:
                with self._lock:
                    worked = self._step(patient=True)
            except Exception as error:  # noqa: BLE001 - this thread must not end: what waits is not lost
                failing_since = failing_since or time.monotonic()
                self._note_failure(error, time.monotonic() - failing_since)
                stop.wait(pause)
                pause = min(2 * pause, self._options.longest_retry_seconds)
                continue
            if failing_since:
                _log.info(
                    "processor.recovered", failed_for_seconds=round(time.monotonic() - failing_since, 1)
                )
                failing_since, pause = 0.0, self._options.first_retry_seconds
                self._metrics.failing_seconds.set(0)
                self._weather.fine("block")
            if not worked:
                stop.wait(self._options.poll_seconds)
        with self._lock, suppress(StoreError, LogError):  # else the next start does it
            self._commit(patient=False)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is inserted within, in whatever thread, by whatever processor: for upkeep that must see a
        table at rest.
        """
        with self._lock, self._peers.still():
            yield

    @contextmanager
    def between_blocks(self) -> Iterator[Standstill | None]:
        """No block is processed meanwhile, and queries know of every person that was moved.

        None while a block that was begun must be finished first. An Unsure raised within ends processing for
        good.
        """
        self._standstills_wanted += 1
        self._lock.acquire()
        self._standstills_wanted -= 1
        try:
            self._recover()
            if self._is_at_work():
                yield None
            else:
                self._commit(patient=False)
                with self._peers.still() as still:
                    yield None if still.begun else self._standstill(still)
        except Unsure as error:
            self._unsure = error
            raise
        finally:
            self._lock.release()

    @contextmanager
    def at_rest(self) -> Iterator[dict[int, int]]:
        """Nothing is inserted within, no block is half done, and all that is done is committed: for backups.

        Gives the next offset to process of each log partition. What keeps a block from its end is raised.
        """
        self._standstills_wanted += 1
        with self._lock:
            self._standstills_wanted -= 1
            self._recover()
            while self._is_at_work():
                if not self._step(patient=False):
                    time.sleep(_GAP_SECONDS)
            self._commit(patient=False)
            with still_and_done(self._peers) as still:
                yield {
                    partition: position.committed for partition, position in self._log.positions().items()
                } | dict(still.ends)

    def _is_at_work(self) -> bool:
        return self._current is not None or bool(self._held_up or self._holdings.unfinished)

    def _standstill(self, still: Still) -> Standstill:
        version = max(self._holdings.version, still.version)
        return Standstill(version, {**self._holdings.done, **still.ends})

    def bury(self, rows: Sequence[TombstoneRow]) -> None:
        """From now on what these ids did before is refused. Within `at_rest`; may be repeated. StoreError."""
        first = rows[0]
        self._store.insert("tombstones", build_table(rows), f"{first.erasure}:tombstones")
        self._preparer.tombstones.add(rows)
        self._peers.say_anew()

    def forget_people(self) -> None:
        """What is known of bindings is read again. Within `at_rest`. StoreError."""
        self._preparer.forget_people()
        self._peers.say_anew()
        self._store.command("SYSTEM RELOAD DICTIONARY overrides_map")

    @contextmanager
    def keeping_log(self) -> Iterator[None]:
        """Nothing is truncated within."""
        with self._lock:
            self._kept_by += 1
        try:
            yield
        finally:
            with self._lock:
                self._kept_by -= 1

    @contextmanager
    def cutting_log(self) -> Iterator[bool]:
        """Nothing is processed within. False while somebody keeps the log as it is."""
        with self._lock:
            yield not self._kept_by

    def data_until(self) -> int:
        """Everything accepted before this moment (epoch ms) is in answers."""
        return self._data_until()

    def wait_idle(self, timeout_seconds: float = 30.0) -> None:
        """Until nothing waits, with `run` in another thread. TimeoutError."""
        give_up_at = time.monotonic() + timeout_seconds
        while any(position.lag for position in self._log.positions().values()):
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"the log was not processed within {timeout_seconds} s")
            time.sleep(0.01)

    def _rules_of(self, project: str) -> IdentityRules:
        known = self._project_of(project)
        return IdentityRules() if known is None else known.identity

    def _zone_of(self, project: str) -> str:
        known = self._project_of(project)
        return Project("").timezone if known is None else known.timezone

    def _recover(self) -> None:
        if self._recovered:
            return
        self._peers.begin()
        self._preparer.rebuild()
        self._holdings.version = newest_version(self._store)
        self._holdings.follow()
        self._commit(patient=False)
        self._recovered = True

    def _step(self, *, patient: bool) -> bool:
        if self._unsure is not None:
            raise self._unsure
        self._recover()
        self._follow()
        if self._current is None:
            self._current = self._next_block(patient)
        worked = self._current is not None
        if self._current is not None:
            worked = self._try(self._current)
            self._current = None
        self._commit(patient=patient)
        return worked

    def _follow(self) -> None:
        """What was begun of partitions that are not ours any more is left to their new owner."""
        self._holdings.follow()
        if self._current is not None and not self._holdings.has(self._current.plan.partition):
            self._current = None
        self._held_up = [each for each in self._held_up if self._holdings.has(each.plan.partition)]

    def _next_block(self, patient: bool) -> _Current | None:
        """Unfinished blocks first, then the partitions in turn."""
        unfinished = self._holdings.unfinished
        if unfinished:
            plan = unfinished[0]
            _log.info("processor.redo", block=plan.token)
            found = read_offsets(self._log, plan.partition, plan.first, plan.last)
            unfinished.pop(0)
            return _Current(plan, [open_record(record) for record in found], time.monotonic(), True)
        if self._held_up:
            return self._held_up.pop(0)
        self._note_lags()
        ready = []
        for waiting in self._holdings.waiting.values():
            waiting.read_ahead()
            seconds = self._options.linger_seconds if patient else 0.0
            if waiting.is_ready(self._options.enough_events, seconds):
                ready.append(waiting)
        if not ready:
            return None
        self._round += 1
        records = ready[self._round % len(ready)].take()
        self._holdings.version = version = max(self._clock(), self._holdings.version + 1)
        plan = Plan(records[0].partition, records[0].offset, records[-1].offset, version)
        return _Current(plan, records, time.monotonic())

    def _try(self, current: _Current) -> bool:
        """Does the block, or leaves it to whoever is to do it; False if that must be waited for."""
        try:
            while not self._work(current):
                self._needs_to_be_alone = True
        except HeldUp:
            self._held_up.append(current)
            return False
        except LetGo as reason:
            _log.info("processor.left_to_another", block=current.plan.token, reason=str(reason))
            self._holdings.drop(self._peers.number_of(current.plan.partition))
        return True

    def _work(self, current: _Current) -> bool:
        """Plan, inserts, outcome, commit: each may be repeated. False: once more, alone."""
        plan = current.plan
        with self._peers.turn(plan, alone=self._needs_to_be_alone) as turn:
            self._preparer.hear(turn.heard)
            if not self._peers.agree(plan, self._holdings.done, is_planned=current.is_planned):
                raise LetGo(f"another processor went on with partition {plan.partition}")
            current.is_planned = True
            reach("P4")
            prepared = self._prepare(current, turn)
            reach("P5")
            if not turn.is_enough_for(prepared):
                return False
            self._insert(turn, prepared)
            self._note_done(current, prepared)
        return True

    def _prepare(self, current: _Current, turn: Turn) -> Prepared:
        """Alone, what was prepared once is as good for another try."""
        if current.prepared is not None and not turn.held:
            return current.prepared
        with no_cycle_search():
            prepared = self._preparer.prepare(turn.plan, current.records)
        current.prepared = prepared
        return prepared

    def _insert(self, turn: Turn, prepared: Prepared) -> None:
        plan = turn.plan
        self._peers.announce(turn, prepared)
        for insert in prepared.inserts:
            reach("P6")
            turn.check()
            self._store.insert(insert.table, insert.rows, plan.token)
        reach("P6")
        turn.check()
        outcome = plan.row("done", prepared.stored, prepared.checksum, prepared.received_until)
        self._store.insert(
            "ingest_blocks", build_outcome_table(outcome, prepared.digests), f"{plan.token}:done"
        )

    def _note_done(self, current: _Current, prepared: Prepared) -> None:
        plan = current.plan
        self._peers.note_done(plan)
        self._holdings.done[plan.partition] = plan.last + 1
        self._preparer.remember(plan.partition, prepared)
        self._commits.add(plan.partition, plan.last + 1, moved_persons=bool(prepared.people.overrides))
        self._needs_to_be_alone = is_alone(prepared)
        self._note_block(current, prepared)

    def _commit(self, *, patient: bool) -> None:
        for partition, next_offset in self._commits.flush(patient=patient):
            if not self._kept_by:
                self._holdings.waiting[partition].truncate(next_offset)

    def _note_block(self, current: _Current, prepared: Prepared) -> None:
        for outcome in ("stored", "duplicate", "rejected"):
            self._metrics.events.labels(outcome).inc(prepared.outcomes.total(outcome))
        self._metrics.block_seconds.observe(time.monotonic() - current.began)
        arrivals = [record.header.received_at for record in current.records if record.header is not None]
        if arrivals:
            self._metrics.fresh_seconds.observe(max(0.0, (self._clock() - arrivals[0]) / 1000))

    def _note_lags(self) -> None:
        """Once in a while: the end of a log elsewhere is a question to others."""
        if time.monotonic() < self._lags_noted_until:
            return
        positions = self._log.positions()
        self._lags_noted_until = time.monotonic() + _LAG_SECONDS
        for partition, waiting in self._holdings.waiting.items():
            oldest = waiting.oldest_received_at
            seconds = 0.0 if oldest is None else max(0.0, (self._clock() - oldest) / 1000)
            if partition in positions:
                self._metrics.lag_records.labels(str(partition)).set(positions[partition].lag)
            self._metrics.oldest_seconds.labels(str(partition)).set(seconds)

    def _note_step(self, step: str, seconds: float) -> None:
        self._metrics.step_seconds.labels(step).inc(seconds)

    def _note_failure(self, error: Exception, seconds: float) -> None:
        expected = isinstance(
            error, StoreError | LogError | WorkspaceUnavailable | NearlyAllUnprocessable | LogReplacedError
        )
        self._metrics.retries.labels(type(error).__name__).inc()
        self._metrics.failing_seconds.set(max(seconds, 0.001))
        self._weather.bad("block", error)
        _log.error(
            "processor.cannot_go_on",
            block=None if self._current is None else self._current.plan.token,
            error=f"{type(error).__name__}: {error}" if expected else what_failed(error),
            failing_for_seconds=round(seconds, 1),
            calls=[] if expected else where_it_failed(error),
        )
