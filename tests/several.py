"""Several processors on one log that routes and one store, for tests: each test has numbers of the log of its
own.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from footfall import crash_points
from footfall.eventlog.lanes import number_of, place
from footfall.eventlog.log import Tally
from footfall.eventlog.memory_log import MemoryLog
from footfall.events.log_record import Header, write_log_record
from footfall.proof.findings import Finding
from footfall.proof.verify import verify
from footfall.sealing import Sealer
from footfall.storage.store import Store
from footfall.workspace import IdentityRules, Project
from processor.loop import Processor, ProcessorOptions
from processor.ownership import Ownership
from processor.peers import Several
from processor.turns import ThreadTurns
from tests.processor_world import HASH, KEY, NOON, World, new_event_id

NUMBERS = 2
_bases = itertools.count(0, NUMBERS)  # below 1,000


class Died(Exception):  # noqa: N818
    """Stands for the end of a process."""


@dataclass
class Member:
    """A processor, what it owns, and the turns that it sees."""

    processor: Processor
    ownership: Ownership

    def process(self) -> None:
        while self.processor.step():
            pass


@dataclass
class Company:
    """Processors come and go; `world` looks at what they stored."""

    store: Store
    log: MemoryLog
    project: str
    rules: IdentityRules = field(default_factory=IdentityRules)
    now: int = NOON
    turns: ThreadTurns = field(default_factory=ThreadTurns)
    number: int | None = None  # on which records go that are not told theirs

    def __post_init__(self) -> None:
        self.base = next(_bases)
        self.numbers = frozenset(range(self.base, self.base + NUMBERS))
        self._writers = {lane: self.log.open_writer(lane + self.base) for lane in (0, 1_000, 2_000)}
        self.world = World(self.store, self.project, self.rules, log=MemoryLog(max_bytes=1 << 20))

    def member(self, *numbers: int, turns: ThreadTurns | None = None, most: int = 20_000) -> Member:
        """Another processor, which owns these numbers, counted from 0."""
        ownership = Ownership(self.base + number for number in numbers)
        peers = Several(self.store, self.log, ownership, turns or self.turns, lambda: self.now)
        processor = Processor(
            self.log,
            self.store,
            HASH,
            Sealer(KEY),
            lambda name: Project(name, identity=self.rules),
            peers=peers,
            clock=lambda: self.now,
            options=ProcessorOptions(max_events=most),
        )
        return Member(processor, ownership)

    def append(
        self,
        *events: dict[str, Any],
        lane: int = 0,
        received_at: int = NOON,
        number: int | None = None,
        event_ids: Sequence[str] = (),
        **header: Any,
    ) -> int:
        """A log record, placed by the id of its first event, or on a number (else `self.number`); which one
        that is.
        """
        ids = list(event_ids) or [new_event_id(self.project, event) for event in events]
        header = {"project": self.project, "door": "native"} | header
        payload = write_log_record(
            Header(received_at=received_at, count=len(events), event_ids=ids, **header),
            json.dumps(events).encode(),
        )
        number = self.number if number is None else number
        key = self.world.key(events[0]["distinct_id"]) if number is None else number
        tally = Tally(header["project"], header["door"], received_at // 60_000, len(events))
        told = key.to_bytes(8, "big")
        self._writers[lane].append(payload, tally, told).result()
        return number_of(place(told, lane + self.base, NUMBERS)) - self.base

    def findings(self) -> list[Finding]:
        """What `verify` has to say of the store of all tests."""
        found = verify(self.store, self.log, lambda _: self.rules.resolution)
        return [each for each in found if isinstance(each, Finding)]

    def lag(self) -> int:
        return sum(
            self.log.position(partition).lag
            for partition in self.log.partitions()
            if number_of(partition) in self.numbers
        )


Place = tuple[str, int]
"""A crash point, and the how many-th arrival there."""


def _dies_at(place: Place) -> Callable[[str], None]:
    point, left = place[0], [place[1]]

    def observe(reached: str) -> None:
        if reached == point:
            left[0] -= 1
            if left[0] == 0:
                raise Died(point)

    return observe


@contextmanager
def crashing(point: str, hits: int = 1) -> Iterator[None]:
    """Whoever gets to a point for the n-th time dies there."""
    crash_points.observe(_dies_at((point, hits)))
    try:
        yield
    finally:
        crash_points.observe(None)


@contextmanager
def stopped_at(
    point: str, hits: int, work: Callable[[], None], others_die_at: Place = ("", 0)
) -> Iterator[None]:
    """`work`, in a thread of its own, stands still within at the n-th arrival at a point, and goes on to its
    end behind. AssertionError if it does not get there.
    """
    left, there, go_on = [hits], threading.Event(), threading.Event()
    thread = threading.Thread(target=work)
    others = _dies_at(others_die_at)

    def observe(reached: str) -> None:
        if threading.current_thread() is not thread:
            others(reached)
        elif reached == point:
            left[0] -= 1
            if left[0] == 0:
                there.set()
                go_on.wait(60)

    crash_points.observe(observe)
    thread.start()
    try:
        assert there.wait(60), f"never got to {point} for the {hits}. time"
        yield
    finally:
        go_on.set()
        thread.join()
        crash_points.observe(None)
