"""The gate: so many at once, fair between projects, and who leaves makes room."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from footfall.storage.store import QueryLimits, Store
from query_api.flights import Flights
from query_api.gate import Gate
from query_api.options import QueryOptions
from query_api.problems import Busy, TooManyQueries
from query_api.store_reader import StoreReader
from query_api.ticket import Ticket


class Works:
    """Work that goes on until it is told to end, or until its ticket is cancelled in the store."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.running: dict[str, threading.Event] = {}
        self.cancelled: list[str] = []

    def until_told(self, name: str) -> Callable[[Ticket], str]:
        def work(ticket: Ticket) -> str:
            end = self.running[ticket.tag] = self.running[name] = threading.Event()
            self.started.append(name)
            assert end.wait(20)
            return name

        return work

    def cancel(self, tag: str) -> None:
        """As the store's: ends what runs with this tag."""
        if tag in self.running:
            self.cancelled.append(tag)
            self.running[tag].set()

    async def wait_for(self, *names: str) -> None:
        while not set(names) <= set(self.started):
            await asyncio.sleep(0.001)


@asynccontextmanager
async def opened(works: Works, **options: Any) -> AsyncIterator[Gate]:
    gate = Gate(QueryOptions(**options), works.cancel)
    try:
        yield gate
    finally:
        for end in works.running.values():
            end.set()
        await gate.close()


def ask(gate: Gate, works: Works, project: str, name: str) -> asyncio.Task[str]:
    return asyncio.create_task(gate.run(project, works.until_told(name)))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def test_beyond_its_queue_it_says_when_to_come_again() -> None:
    works = Works()
    async with opened(works, concurrency=1, project_concurrency=1, queue=2, project_queue=1) as gate:
        tasks = [ask(gate, works, "a", "a1"), ask(gate, works, "a", "a2"), ask(gate, works, "b", "b1")]
        await until(lambda: gate.waiting == 2)
        with pytest.raises(TooManyQueries) as own:
            await gate.run("a", works.until_told("a3"))
        with pytest.raises(Busy) as all_of_it:
            await gate.run("c", works.until_told("c1"))
        for caught in (own, all_of_it):
            assert caught.value.retry_after is not None
            assert 1 <= caught.value.retry_after <= 60
        for name in ("a1", "a2", "b1"):
            await works.wait_for(name)
            works.running[name].set()
        assert await asyncio.gather(*tasks) == ["a1", "a2", "b1"]
        assert (gate.running, gate.waiting) == (0, 0)


async def test_a_greedy_project_leaves_a_place_for_others() -> None:
    works = Works()
    async with opened(works, concurrency=3, project_concurrency=2, queue=99, project_queue=99) as gate:
        greedy = [ask(gate, works, "greedy", f"g{n}") for n in range(20)]
        await works.wait_for("g0", "g1")
        modest = ask(gate, works, "modest", "m")
        await works.wait_for("m")
        assert works.started == ["g0", "g1", "m"]
        works.running["m"].set()
        assert await modest == "m"
        for task in greedy:
            task.cancel()
        await asyncio.gather(*greedy, return_exceptions=True)
        await until(lambda: gate.running == gate.waiting == 0)
        assert len(works.started) == 3  # the others left the queue


async def test_projects_take_turns() -> None:
    works = Works()
    async with opened(works, concurrency=1, project_concurrency=1, queue=99, project_queue=99) as gate:
        order = [("a", "a0"), ("a", "a1"), ("a", "a2"), ("b", "b0"), ("b", "b1"), ("c", "c0")]
        tasks = []
        for project, name in order:
            tasks.append(ask(gate, works, project, name))
            await asyncio.sleep(0)
        turns = ["a0", "a1", "b0", "c0", "a2", "b1"]
        for name in turns:
            await works.wait_for(name)
            works.running[name].set()
        await asyncio.gather(*tasks)
        assert works.started == turns


async def test_queries_that_run_at_once_share_the_cores(store: Store) -> None:
    works, beside = Works(), []
    async with opened(works, concurrency=3, project_concurrency=3) as gate:
        slow = ask(gate, works, "a", "slow")
        await works.wait_for("slow")
        await gate.run("a", lambda ticket: beside.append(ticket.beside))
        works.running["slow"].set()
        await slow
        await gate.run("a", lambda ticket: beside.append(ticket.beside))
    assert beside == [2, 1]
    limits = QueryLimits(threads=5)
    assert [StoreReader(store, limits, Ticket(n)).threads for n in (1, 2, 5, 9)] == [5, 2, 1, 1]


async def test_who_leaves_ends_the_work_and_frees_its_place() -> None:
    works = Works()
    async with opened(works, concurrency=1, project_concurrency=1, queue=9, project_queue=9) as gate:
        left, next_one = ask(gate, works, "a", "left"), ask(gate, works, "a", "next")
        await works.wait_for("left")
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        await works.wait_for("next")  # nobody told the first to end but the gate
        assert len(works.cancelled) >= 1
        assert gate.cancelled == 1
        works.running["next"].set()
        assert await next_one == "next"


async def test_who_leaves_the_moment_it_is_let_in_keeps_no_place() -> None:
    works = Works()
    async with opened(works, concurrency=1, project_concurrency=1, queue=9, project_queue=9) as gate:
        for _ in range(20):
            first, second = ask(gate, works, "a", "first"), ask(gate, works, "a", "second")
            await until(lambda: gate.running == 1 and gate.waiting == 1)
            await works.wait_for("first")
            works.running["first"].set()
            await first
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)
            works.started.clear()
            await until(lambda: gate.running == gate.waiting == 0)


async def test_closing_turns_away_what_waits_and_ends_what_runs() -> None:
    works = Works()
    gate = Gate(QueryOptions(concurrency=1, project_concurrency=1), works.cancel)
    running, waiting = ask(gate, works, "a", "running"), ask(gate, works, "b", "waiting")
    await works.wait_for("running")
    await until(lambda: gate.waiting == 1)
    await gate.close()
    with pytest.raises(Busy):
        await waiting
    assert await running == "running"
    assert works.started == ["running"]


async def test_what_is_quick_does_not_wait_for_what_is_slow() -> None:
    works = Works()
    async with opened(works, concurrency=1, project_concurrency=1) as gate:
        slow = ask(gate, works, "a", "slow")
        await works.wait_for("slow")
        assert await gate.at_desk(lambda: 7) == 7
        works.running["slow"].set()
        await slow


async def test_equal_queries_fly_together_until_the_last_one_leaves() -> None:
    flights, go, computed = Flights[int](), asyncio.Event(), []

    async def compute() -> int:
        computed.append(1)
        await go.wait()
        return 7

    tasks = [asyncio.create_task(flights.join("k", compute)) for _ in range(3)]
    await until(lambda: bool(computed))
    tasks[0].cancel()
    await asyncio.gather(tasks[0], return_exceptions=True)
    go.set()
    assert [await task for task in tasks[1:]] == [(7, True), (7, True)]
    assert len(computed) == 1
    assert await flights.join("k", compute) == (7, False)


async def test_a_flight_that_everybody_left_is_cancelled_and_a_failure_is_everybodys() -> None:
    flights, ended = Flights[int](), []

    async def compute() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)
        return 0

    async def fail() -> int:
        await asyncio.sleep(0)
        raise Busy("no")

    tasks = [asyncio.create_task(flights.join("k", compute)) for _ in range(2)]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await until(lambda: bool(ended))
    failing = [asyncio.create_task(flights.join("k", fail)) for _ in range(2)]
    found = await asyncio.gather(*failing, return_exceptions=True)
    assert [type(one) for one in found] == [Busy, Busy]


async def test_what_is_turned_away_is_ended_and_told() -> None:
    works = Works()
    async with opened(works, concurrency=1) as gate:
        runs = asyncio.create_task(gate.run("a", works.until_told("runs")))
        await works.wait_for("runs")
        waits = asyncio.create_task(gate.run("b", works.until_told("waits")))
        await asyncio.sleep(0)
        gate.turn_away()
        with pytest.raises(Busy, match="being stopped"):
            await waits
        assert await runs == "runs", "its end is what the store makes of it"
        assert len(works.cancelled) == 1
