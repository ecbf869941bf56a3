"""The other processors on the same log and store: what one does because there are some.

The fence. Blocks of one number of the log (footfall/eventlog/lanes.py), of all its lanes, are one chain. A
block is planned under a token that names the block before it, so of two processors that both think that a
number is theirs only one plans the next block. Both read back what was planned and do that block or none:
their inserts carry the same tokens, and the store keeps each once (ADR 0022).

Turns and news: what a block derives from other blocks it derives alone, knowing all that others said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple, Protocol

from footfall.eventlog.lanes import LANES_APART, number_of
from footfall.eventlog.log import Log
from footfall.storage.rows import NewsRow, build_table
from footfall.storage.store import Query, Store, StoreUnavailable
from footfall.workspace.turns import TurnLost
from processor.blocks import Plan, newest_version
from processor.news import BlockNews, Heard
from processor.ownership import Ownership
from processor.prepare import Prepared
from processor.turns import NEWS, STORE, Held, Turns

_LOOK_AGAIN_SECONDS = 30.0
_POLL_SECONDS = 0.05
_NOTHING_HEARD = Heard((), (), anew=False, too_late=False)

_ALONE = frozenset(("profile_operations", "profiles", "item_operations", "items"))
"""Tables whose rows are derived from rows of other blocks, too."""


def is_alone(prepared: Prepared) -> bool:
    """Whether others must not derive anything at the same time."""
    people = prepared.people
    return bool(
        people.bindings
        or people.rulings
        or people.links
        or people.moved
        or prepared.properties
        or any(insert.table in _ALONE for insert in prepared.inserts)
    )


def news_of(plan: Plan, prepared: Prepared) -> NewsRow:
    """What others must know of a block."""
    people = prepared.people
    return NewsRow(
        version=plan.derived,
        log_partition=plan.partition,
        first_offset=plan.first,
        last_offset=plan.last,
        bound=sorted(people.bound.ties),
        linked=sorted({*people.linked.ties, *people.linked.components, *people.linked.moved}),
        profiled=sorted(prepared.profile_ids),
        projects=sorted({row.project for row in prepared.properties}),
        anew=any(row.kind in ("merge", "unmerge") for row in people.rulings),
    )


class LetGo(Exception):  # noqa: N818 - reads as what it is
    """The block is somebody else's to do now."""


class HeldUp(Exception):  # noqa: N818
    """A block of another processor, which was begun, must be done first."""


@dataclass(slots=True)
class Turn:
    """What a block is processed in."""

    plan: Plan
    heard: Heard = _NOTHING_HEARD
    alone: bool = True
    held: Sequence[Held] = ()
    ownership: Ownership | None = None

    def check(self) -> None:
        """Before each insert. LetGo if somebody else may be at it."""
        if not all(held.is_held() for held in self.held):
            raise LetGo(f"the turn of block {self.plan.token} was lost")
        if self.ownership is not None and not self.ownership.holds(number_of(self.plan.partition)):
            raise LetGo(f"partition {self.plan.partition} is another processor's")

    def is_enough_for(self, prepared: Prepared) -> bool:
        """Whether what was derived may be inserted within."""
        return self.alone or not is_alone(prepared)


class Still(NamedTuple):
    """How the store stands while nobody inserts anything, as far as a processor does not know by itself."""

    begun: Sequence[Plan] = ()  # and not done: whoever owns them must end them first
    version: int = 0  # the newest
    ends: Mapping[int, int] = MappingProxyType({})  # next offsets to process, by partition


class Peers(Protocol):
    """See Alone and Several."""

    late_days: int
    """For so many days longer than anybody else somebody may lag behind."""

    def numbers(self) -> frozenset[int]:
        """Those that are ours to process."""
        ...

    def number_of(self, partition: int) -> int: ...

    def where(self, number: int) -> str:
        """A condition on log_partition: rows of a number."""
        ...

    def begin(self) -> None:
        """Before all that is remembered is read from the store."""
        ...

    def follow(self, number: int) -> int:
        """Before the first block of a number that was not ours. The version of its last one that is done."""
        ...

    def turn(self, plan: Plan, *, alone: bool) -> AbstractContextManager[Turn]:
        """HeldUp, LetGo."""
        ...

    def agree(self, plan: Plan, done: Mapping[int, int], *, is_planned: bool) -> bool:
        """Plans the block; False if another one is the next of its number. `done`: next offsets, by
        partition, of what this processor knows to be done. `is_planned`: the store has the plan.
        """
        ...

    def announce(self, turn: Turn, prepared: Prepared) -> None:
        """Before the block's first insert."""
        ...

    def note_done(self, plan: Plan) -> None: ...

    def still(self) -> AbstractContextManager[Still]:
        """No processor inserts anything within."""
        ...

    def say_anew(self) -> None:
        """All others read again what they remember. Within `still`."""
        ...


class Alone:
    """There is no other: all partitions are of one number, and nothing costs anything."""

    late_days = 0

    def __init__(self, store: Store) -> None:
        self._store = store

    def numbers(self) -> frozenset[int]:
        return frozenset((0,))

    def number_of(self, partition: int) -> int:  # noqa: ARG002
        return 0

    def where(self, number: int) -> str:  # noqa: ARG002
        return "1"

    def begin(self) -> None:
        """Nothing to do."""

    def follow(self, number: int) -> int:  # noqa: ARG002
        return 0

    def turn(self, plan: Plan, *, alone: bool) -> AbstractContextManager[Turn]:  # noqa: ARG002
        return nullcontext(Turn(plan))

    def agree(self, plan: Plan, done: Mapping[int, int], *, is_planned: bool) -> bool:  # noqa: ARG002
        self._store.insert("ingest_blocks", build_table([plan.row("planned")]), f"{plan.token}:planned")
        return True

    def announce(self, turn: Turn, prepared: Prepared) -> None:
        """Nobody wants to know."""

    def note_done(self, plan: Plan) -> None:
        """Nobody asks."""

    def still(self) -> AbstractContextManager[Still]:
        return nullcontext(Still())

    def say_anew(self) -> None:
        """Nobody listens."""


_BLOCKS = """
SELECT log_partition, first_offset, last_offset, min(toUnixTimestamp64Milli(written_at)) AS version,
    max(state = 'done')
FROM ingest_blocks WHERE {where}
GROUP BY log_partition, first_offset, last_offset ORDER BY version, log_partition, first_offset"""

_HEAD = """
SELECT max(toUnixTimestamp64Milli(written_at)) FROM ingest_blocks
WHERE log_partition IN {partitions:Array(UInt16)} AND state = 'done'"""


class Several:
    """Any number of processors, each owning some numbers of a log that routes."""

    late_days = 4  # a log of records keeps them for 72 h

    def __init__(
        self, store: Store, log: Log, ownership: Ownership, turns: Turns, clock: Callable[[], int]
    ) -> None:
        """`clock` gives epoch ms, as the processor's."""
        if not log.routes:
            raise ValueError("several processors need a log that places records by their key")
        self._store = store
        self._log = log
        self._ownership = ownership
        self._turns = turns
        self._clock = clock
        self._news = BlockNews(store)
        self._heads: dict[int, int] = {}  # by number: the version of the last block that is done
        self._looked_at: dict[int, float] = {}

    def numbers(self) -> frozenset[int]:
        return self._ownership.owned()

    def number_of(self, partition: int) -> int:
        return number_of(partition)

    def where(self, number: int) -> str:
        return f"log_partition % {LANES_APART} = {int(number)}"

    def begin(self) -> None:
        self._news.begin((plan.partition, plan.first) for plan in self._unfinished())
        self._news.newest = max(self._news.newest, newest_version(self._store))

    def follow(self, number: int) -> int:
        lanes = [partition for partition in self._log.partitions() if number_of(partition) == number]
        self._heads[number] = int(self._store.rows(Query(_HEAD, {"partitions": lanes})).rows[0][0])
        self._looked_at[number] = time.monotonic()
        return self._heads[number]

    @contextmanager
    def turn(self, plan: Plan, *, alone: bool) -> Iterator[Turn]:
        try:
            with self._taken(plan, alone=alone) as turn:
                yield turn
        except TurnLost as error:
            raise LetGo(str(error)) from error

    @contextmanager
    def _taken(self, plan: Plan, *, alone: bool) -> Iterator[Turn]:
        with ExitStack() as stack:
            stack.enter_context(self._ownership.working(number_of(plan.partition)))
            held = [stack.enter_context(self._turns.shared(STORE))]
            if alone:
                held.append(stack.enter_context(self._turns.exclusive(NEWS)))
            turn = Turn(plan, self._news.hear(), alone, held, self._ownership)
            turn.check()
            if alone:
                turn.plan = replace(plan, derivation=self._derivation(plan, turn.heard.pending))
            yield turn

    def _derivation(self, plan: Plan, pending: Sequence[NewsRow]) -> int:
        """The version that an earlier try wrote down, if nobody said anything since; else a new one."""
        for row in pending:
            if (row.log_partition, row.first_offset) != (plan.partition, plan.first):
                raise HeldUp(f"block {row.log_partition}:{row.first_offset}:{row.last_offset} comes first")
        newest = self._news.newest
        if pending and pending[-1].version == newest:
            return newest
        return max(self._clock(), newest + 1, plan.version)

    def agree(self, plan: Plan, done: Mapping[int, int], *, is_planned: bool) -> bool:
        number = number_of(plan.partition)
        now = time.monotonic()
        if not is_planned:
            long_ago = now - self._looked_at[number] > _LOOK_AGAIN_SECONDS
            if long_ago and self._next(number, done):
                return False  # a little later the engine may have forgotten the token
            token = f"plan:{number}:{self._heads[number]}"
            self._store.insert("ingest_blocks", build_table([plan.row("planned")]), token)
        self._looked_at[number] = now
        planned = self._next(number, done)
        if not planned:
            raise StoreUnavailable(f"the plan of block {plan.token} cannot be read yet")
        first, is_done = planned[0]
        return first == replace(plan, derivation=0) and not is_done

    def announce(self, turn: Turn, prepared: Prepared) -> None:
        if is_alone(prepared):
            turn.check()
            self._news.write(news_of(turn.plan, prepared), f"{turn.plan.token}:{turn.plan.derived}")

    def note_done(self, plan: Plan) -> None:
        self._heads[number_of(plan.partition)] = plan.version
        self._news.note_done(plan.derived)

    @contextmanager
    def still(self) -> Iterator[Still]:
        with self._turns.exclusive(STORE):
            ends = self._committed()
            begun = []
            for plan, is_done in self._blocks(ends):
                if is_done:
                    ends[plan.partition] = max(ends[plan.partition], plan.last + 1)
                else:
                    begun.append(plan)
            self._news.hear()
            version = max(self._news.newest, newest_version(self._store))
            self._store.command("SYSTEM RELOAD DICTIONARY overrides_map")  # of those that did not yet
            yield Still(begun, version, ends)

    def say_anew(self) -> None:
        self._news.hear()
        version = max(self._clock(), self._news.newest + 1)
        self._news.write(NewsRow(version, 0, 1, 0, (), (), (), (), anew=True), f"anew:{version}")
        self._news.note_done(version)

    def _next(self, number: int, done: Mapping[int, int]) -> list[tuple[Plan, bool]]:
        """The blocks of a number behind those that are done, in the order of the chain."""
        lanes = {partition: end for partition, end in done.items() if number_of(partition) == number}
        return [each for each in self._blocks(lanes) if each[0].version > self._heads[number]]

    def _unfinished(self) -> list[Plan]:
        """Blocks of any number that were begun and are not done."""
        return [plan for plan, is_done in self._blocks(self._committed()) if not is_done]

    def _committed(self) -> dict[int, int]:
        return {partition: position.committed for partition, position in self._log.positions().items()}

    def _blocks(self, ends: Mapping[int, int]) -> list[tuple[Plan, bool]]:
        where = " OR ".join(
            f"(log_partition = {int(partition)} AND first_offset >= {int(end)})"
            for partition, end in ends.items()
        )
        if not where:
            return []
        rows = self._store.rows(Query(_BLOCKS.format(where=where))).rows
        return [(Plan(*map(int, row[:4])), bool(row[4])) for row in rows]


@contextmanager
def still_and_done(peers: Peers, seconds: float = 60.0) -> Iterator[Still]:
    """`still`, with nothing begun. StoreError if somebody does not end what was begun for so long."""
    give_up_at = time.monotonic() + seconds
    while True:
        with peers.still() as still:
            if not still.begun:
                yield still
                return
        if time.monotonic() > give_up_at:
            tokens = ", ".join(plan.token for plan in still.begun)
            raise StoreUnavailable(f"blocks that other processors began are not done: {tokens}")
        time.sleep(_POLL_SECONDS)
