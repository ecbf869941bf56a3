"""Rewrites rows that are stamped for somebody other than their person now, and empties the overrides.

A pass: the overrides up to a moment are taken; each partition of `events` with rows that they correct is
copied slice by slice, with corrected stamps, and replaced by its copy in one step between two blocks
(ADR 0013); when no query can be reading the parts that were replaced any more, the overrides are deleted. At
every moment a row's person is the same: before the step by its override, after it by its stamp, while the
override still stands.

A kill at any point costs the pass, never a row: the copy is thrown away, or, if the step was begun, it is
done again at the next start.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import structlog

from footfall.crash_points import reach
from footfall.storage.rows import RestampRow, build_table
from footfall.storage.store import Query, Store, StoreError
from processor.loop import Processor, Standstill, Unsure
from processor.metrics import RestampMetrics
from processor.mutations import unfinished
from processor.removals import stored_before

_log = structlog.get_logger(__name__)

_OWN = "if(alias_key = 0, user_key, alias_key)"
_PERSON = f"dictGetOrDefault('overrides_map', 'user_key', {_OWN}, user_key)"
_LARGEST_KEY = (1 << 64) - 1

_WRONG_STAMPS = (
    f"SELECT _partition_id, count() FROM events WHERE user_key != {_PERSON} "  # noqa: S608 - ours
    "GROUP BY _partition_id ORDER BY _partition_id SETTINGS max_threads = 1"
)

_ROWS_OF_PARTITION = "SELECT count() FROM events WHERE _partition_id = {partition:String}"
_ROWS_OF_COPY = "SELECT count() FROM events_restamped WHERE _partition_id = {partition:String}"
_OVERRIDES = "SELECT count(), min(version) FROM overrides"
_NEXT_VERSION = "SELECT max(version) + 1 FROM restamps"
_UNFINISHED = """
SELECT partition_id, version, max(stored) FROM restamps GROUP BY partition_id, version
HAVING max(state) = 'planned' ORDER BY version"""


@dataclass(frozen=True, slots=True)
class RestampOptions:
    """When a pass begins, and what it may use."""

    from_overrides: int = 10_000  # a pass begins at so many,
    after_seconds: float = 3600.0  # or when the oldest has waited for so long
    rows_per_turn: int = 200_000
    share: float = 0.2  # of the time of one thread; the rest of it is waited
    poll_seconds: float = 5.0
    longest_query_seconds: float = 60.0  # after which no query reads what was replaced


@dataclass(slots=True)
class _Copy:
    """A partition that is being copied."""

    partition: str
    slices: list[tuple[int, int]]  # of user keys, both ends included; those that are left
    copied: Standstill  # rows of blocks up to here are in the copy once all slices are
    wrong: int  # rows that get another stamp


@dataclass(slots=True)
class _Pass:
    """Where a pass is."""

    version: int  # overrides up to this one are taken
    todo: list[tuple[str, int]] = field(default_factory=list)  # partitions and their wrong rows
    copy: _Copy | None = None
    copies_left: int = 5  # that may turn out wrong
    replaced_at: float | None = None  # the last partition, by the monotonic clock


class Restamper:
    """Does its work in turns, each a bounded piece. One thread calls `turn` or `run`."""

    def __init__(
        self,
        store: Store,
        processor: Processor,
        *,
        clock: Callable[[], int],
        options: RestampOptions | None = None,
        metrics: RestampMetrics | None = None,
    ) -> None:
        """`clock` gives epoch ms, as the processor's."""
        self._store = store
        self._between_blocks: Callable[[], AbstractContextManager[Standstill | None]] = (
            processor.between_blocks
        )
        self._clock = clock
        self._options = options or RestampOptions()
        self._metrics = metrics
        self._pass: _Pass | None = None
        self._reload_is_due = False
        self._turns = threading.Lock()
        self._is_unsure = False

    @contextmanager
    def kept_away(self) -> Iterator[None]:
        """Nothing is copied or replaced within, and no copy is left: what is taken out of `events` then does
        not come back with one. StoreError while the copy may be needed to finish a replacement.
        """
        with self._turns:
            if self._is_unsure:
                raise StoreError("a month of events may be half replaced by its copy: start the engine again")
            self.give_up()
            # Also where no pass is under way: one that was given up after an error leaves its copy.
            self._store.command("DROP TABLE IF EXISTS events_restamped SYNC")
            yield

    def recover(self) -> None:
        """Finishes a replacement that a kill cut off. Before anything else is inserted."""
        for partition, version, stored in self._store.rows(Query(_UNFINISHED)).rows:
            plan = RestampRow(partition, version, "planned", stored)
            if self._count(_ROWS_OF_PARTITION, partition) == stored:
                self._note_done(plan)
                continue
            _log.info("restamp.redo", partition=partition)
            if self._count(_ROWS_OF_COPY, partition) != stored:
                raise StoreError(
                    f"partition {partition} of events was to be replaced by its copy of {stored} rows in "
                    "events_restamped, and neither has so many: restore the store from a backup"
                )
            self._replace(plan)
        self._store.command("DROP TABLE IF EXISTS events_restamped SYNC")

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set, within its share of the time."""
        while not stop.is_set():
            began = time.monotonic()
            try:
                worked = self.turn(stop)
            except Unsure as error:
                _log.error("restamp.unsure", error=str(error))
                return
            except Exception as error:  # noqa: BLE001 - this thread must not end: a later pass does it all
                _log.warning("restamp.given_up_for_now", error=f"{type(error).__name__}: {error}")
                self.give_up()
                worked = False
            took = time.monotonic() - began
            stop.wait(took * (1 / self._options.share - 1) if worked else self._options.poll_seconds)

    def turn(self, stop: threading.Event | None = None) -> bool:
        """One piece of work; False if there is nothing to do now."""
        with self._turns:
            return self._turn(stop or threading.Event())

    def _turn(self, stop: threading.Event) -> bool:
        if self._pass is None:
            if self._reload_is_due:
                self._reload()
            return self._is_due() and self._begin()
        if self._pass.copy is not None:
            self._go_on(self._pass, self._pass.copy, stop)
            return True
        if self._pass.todo:
            self._pass.copy = self._begin_copy(*self._pass.todo.pop(0))
            return True
        return self._empty_overrides(self._pass)

    def give_up(self) -> None:
        """Ends the pass where it is, after an error: a later one does it all."""
        self._pass = None

    def _is_due(self) -> bool:
        count, oldest = self._store.rows(Query(_OVERRIDES)).rows[0]
        if self._metrics is not None:
            self._metrics.overrides.set(count)
        waited = (self._clock() - oldest) / 1000
        return bool(count) and (
            count >= self._options.from_overrides or waited >= self._options.after_seconds
        )

    def _begin(self) -> bool:
        """Takes the overrides up to now, all of which queries know of."""
        with self._between_blocks() as standstill:
            if standstill is None:
                return False
        self._store.command("DROP TABLE IF EXISTS events_restamped SYNC")
        self._store.command("CREATE TABLE events_restamped AS events")
        todo = [(partition, count) for partition, count in self._store.rows(Query(_WRONG_STAMPS)).rows]
        self._pass = _Pass(standstill.version, todo)
        _log.info("restamp.begun", partitions=len(todo), rows=sum(count for _, count in todo))
        return True

    def _begin_copy(self, partition: str, wrong: int) -> _Copy | None:
        with self._between_blocks() as standstill:
            if standstill is None:
                assert self._pass is not None
                self._pass.todo.insert(0, (partition, wrong))
                return None
        rows = self._count(_ROWS_OF_PARTITION, partition)
        return _Copy(partition, _slices(-(-rows // self._options.rows_per_turn)), standstill, wrong)

    def _go_on(self, current: _Pass, copy: _Copy, stop: threading.Event) -> None:
        """The next slice, then what came meanwhile, then the replacement."""
        if copy.slices:
            first, last = copy.slices[0]
            self._copy(copy.partition, f"user_key BETWEEN {first} AND {last} AND {_done(copy.copied)}")
            copy.slices.pop(0)
            reach("R1")
            return
        with self._between_blocks() as standstill:
            if standstill is None:
                return
        if standstill != copy.copied:
            self._copy(copy.partition, f"NOT {_done(copy.copied)} AND {_done(standstill)}")
            copy.copied = standstill
        is_whole = self._is_whole(copy)
        with self._between_blocks() as standstill:
            if standstill is None:
                return
            if standstill != copy.copied:
                self._copy(copy.partition, f"NOT {_done(copy.copied)}")
                copy.copied = standstill
            if unfinished(self._store, "events"):
                return  # a deletion that would not reach the copy; what it leaves is compared next time
            stored = self._count(_ROWS_OF_PARTITION, copy.partition)
            copied = self._count(_ROWS_OF_COPY, copy.partition)
            if is_whole and stored == copied:
                reach("R2")
                version = int(self._store.rows(Query(_NEXT_VERSION)).rows[0][0])
                self._replace_for_certain(RestampRow(copy.partition, version, "planned", stored), stop)
                current.replaced_at = time.monotonic()
        current.copy = None
        self._store.command(f"ALTER TABLE events_restamped DROP PARTITION ID '{copy.partition}'")
        if not is_whole or stored != copied:
            # Rows were deleted meanwhile (or copied twice): what was copied is not what there is.
            _log.info("restamp.again", partition=copy.partition, stored=stored, copied=copied)
            current.todo.append((copy.partition, copy.wrong))
            current.copies_left -= 1
            if not current.copies_left:
                raise StoreError(f"partition {copy.partition} of events changes while it is copied")
        elif self._metrics is not None:
            self._metrics.rows.inc(copy.wrong)

    def _copy(self, partition: str, condition: str) -> None:
        # In the inner query user_key is the stamp: beside REPLACE it is taken for the person now, who may be
        # another one when the next slice is copied.
        self._store.command(
            f"INSERT INTO events_restamped SELECT * REPLACE ({_PERSON} AS user_key, "  # noqa: S608 - ours
            f"if({_PERSON} = {_OWN}, 0, {_OWN}) AS alias_key) FROM (SELECT * FROM events "
            f"WHERE _partition_id = '{partition}' AND {condition}) "
            "SETTINGS max_threads = 1, max_insert_threads = 1, insert_deduplicate = 0"
        )

    def _is_whole(self, copy: _Copy) -> bool:
        """Whether the copy has each row of the blocks that were done then, once."""
        tables = (("events", _done(copy.copied)), ("events_restamped", "1"))
        sums = {
            self._store.rows(
                Query(
                    "SELECT count(), sum(cityHash64(log_partition, log_offset, seq, event_key)), "  # noqa: S608
                    f"sum(cityHash64({_OWN}, log_partition, log_offset, seq)) FROM {table} "
                    f"WHERE _partition_id = {{partition:String}} AND {condition} SETTINGS max_threads = 1",
                    {"partition": copy.partition},
                )
            ).rows[0]
            for table, condition in tables
        }
        return len(sums) == 1

    def _replace_for_certain(self, plan: RestampRow, stop: threading.Event) -> None:
        """The step itself. It holds up all inserts until it is sure that it was done, or not begun.

        Raises the StoreError of one that was not done, and Unsure when it must end before it knows.
        """
        try:
            self._replace(plan)
            return
        except StoreError as error:
            _log.warning("restamp.unsure", partition=plan.partition_id, error=str(error))
            problem = error
        while not stop.wait(0.2):
            try:
                if self._count(_ROWS_OF_PARTITION, plan.partition_id) == plan.stored:
                    self._note_done(plan)
                    raise problem
                self._replace(plan)
            except StoreError as error:
                if error is problem:
                    raise
                continue
            return
        self._is_unsure = True
        raise Unsure(f"partition {plan.partition_id} of events is in an unknown state: {problem}")

    def _replace(self, plan: RestampRow) -> None:
        """May be repeated while nothing else is inserted."""
        token = f"{plan.partition_id}:{plan.version}"
        self._store.insert("restamps", build_table([plan]), f"{token}:planned")
        reach("R3")
        self._store.command(
            f"ALTER TABLE events REPLACE PARTITION ID '{plan.partition_id}' FROM events_restamped"
        )
        reach("R4")
        self._note_done(plan)

    def _note_done(self, plan: RestampRow) -> None:
        token = f"{plan.partition_id}:{plan.version}:done"
        self._store.insert("restamps", build_table([plan._replace(state="done")]), token)

    def _empty_overrides(self, current: _Pass) -> bool:
        """Once no query can be reading what was replaced."""
        replaced_at = current.replaced_at
        if replaced_at is not None:
            left = self._options.longest_query_seconds - (time.monotonic() - replaced_at)
            if left > 0:
                return False
        reach("R5")
        self._reload_is_due = True
        version = int(current.version)
        self._store.command(
            f"ALTER TABLE overrides DELETE WHERE version <= {version} SETTINGS mutations_sync = 2"
        )
        reach("R6")
        self._reload()
        self._store.command("DROP TABLE IF EXISTS events_restamped SYNC")
        self._pass = None
        _log.info("restamp.done")
        return True

    def _reload(self) -> None:
        self._store.command("SYSTEM RELOAD DICTIONARY overrides_map")
        self._reload_is_due = False

    def _count(self, sql: str, partition: str) -> int:
        return int(self._store.rows(Query(sql, {"partition": partition})).rows[0][0])


def _slices(count: int) -> list[tuple[int, int]]:
    """The range of all user keys in so many parts of the same length, at least one."""
    count = max(count, 1)
    edges = [number * (1 << 64) // count for number in range(count)]
    return list(zip(edges, [*(edge - 1 for edge in edges[1:]), _LARGEST_KEY], strict=True))


def _done(standstill: Standstill) -> str:
    """Rows of the blocks that were done then."""
    return stored_before(standstill.next_offsets)
