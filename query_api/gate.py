"""The gate before the store: so many queries at once, fair between projects; the rest wait or come again.

A project has at most its own share of the places, so that one is left for others, and its own share of the
queue. Who waits is let in by turns of the projects, within a project in the order of coming. A query whose
client went away leaves the queue, or is ended in the store: its place is free as soon as it has ended.

What is quick has threads of its own, so that it does not wait for what is slow: the desk, where requests are
checked and answers written, and the counter, where persons and lists are looked up.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

from footfall.storage.store import StoreError
from query_api.options import QueryOptions
from query_api.problems import Busy, TooManyQueries
from query_api.ticket import Ticket

Answer = TypeVar("Answer")

DESK_THREADS = 4
LONGEST_WAIT_SECONDS = 60
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0  # seconds between two attempts to end a query
_USUAL_SECONDS = 1.0  # that a query takes, before any was seen
_logger = structlog.get_logger("query_api")


class Gate:
    """Runs blocking work in its own threads, never on the event loop. Of one event loop at a time."""

    def __init__(self, options: QueryOptions, cancel: Callable[[str], None]) -> None:
        """`cancel` ends what runs in the store with a ticket's tag; it blocks, and may fail."""
        self._options = options
        self._cancel = cancel
        self._threads = ThreadPoolExecutor(options.concurrency, thread_name_prefix="query")
        self._desk = _Desk("query-desk", options.queue)
        self._counter = _Desk("query-counter", options.queue)
        self._ending = ThreadPoolExecutor(1, thread_name_prefix="query-end")
        self._running: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._works: dict[asyncio.Future[Any], Ticket] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._usual_seconds = _USUAL_SECONDS
        self.cancelled = 0  # queries that were ended because nobody waited for them any more

    @property
    def running(self) -> int:
        return self._running.total()

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    async def run(self, project: str, work: Callable[[Ticket], Answer]) -> Answer:
        """What `work` returns, once it is the project's turn.

        TooManyQueries where the project has its share of the queue already, Busy where the queue is full.
        Cancelling this call ends the work.
        """
        await self._enter(project)
        ticket, started = Ticket(self.running), time.monotonic()
        future = asyncio.get_running_loop().run_in_executor(self._threads, work, ticket)
        self._works[future] = ticket

        def leave(done: asyncio.Future[Answer]) -> None:
            self._works.pop(done, None)
            self._usual_seconds += (time.monotonic() - started - self._usual_seconds) / 8
            self._leave(project)

        future.add_done_callback(leave)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            self._end(future, ticket)
            raise

    async def at_desk(self, work: Callable[[], Answer]) -> Answer:
        """What `work`, of some milliseconds, returns. Busy if too much waits for the desk."""
        return await self._desk.run(work)

    async def at_counter(self, work: Callable[[], Answer]) -> Answer:
        """What `work`, which looks something up, returns. Busy if too much waits for the counter."""
        return await self._counter.run(work)

    def turn_away(self) -> None:
        """Turns away what waits, and begins to end what runs: both are answered 503. On the event loop."""
        for waiter in [waiter for line in self._waiting.values() for waiter in line]:
            if not waiter.done():
                waiter.set_exception(Busy("Footfall is being stopped", retry_after=LONGEST_WAIT_SECONDS))
        for future, ticket in list(self._works.items()):
            self._end(future, ticket)

    async def close(self) -> None:
        """Turns away what waits, ends what runs, and waits for it."""
        self.turn_away()
        while self._endings:
            await asyncio.wait(self._endings)
        for pool in (self._threads, self._desk.threads, self._counter.threads, self._ending):
            pool.shutdown(cancel_futures=True)

    async def _enter(self, project: str) -> None:
        """Takes a place, after waiting for it if need be."""
        if self._may_enter(project) and not self._waiting.get(project):
            self._running[project] += 1
            return
        self._check_queue(project)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(project, deque()).append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._leave(project)  # let in and cancelled at the same moment
            else:
                self._forget(project, waiter)
            raise

    def _check_queue(self, project: str) -> None:
        own = len(self._waiting.get(project, ()))
        if own >= self._options.project_queue:
            message = f"{own} queries of project {project!r} wait already"
            raise TooManyQueries(message, retry_after=self._wait_seconds(own, self._project_places))
        if self.waiting >= self._options.queue:
            message = f"{self.waiting} queries wait already"
            raise Busy(message, retry_after=self._wait_seconds(self.waiting, self._options.concurrency))

    @property
    def _project_places(self) -> int:
        return max(1, min(self._options.project_concurrency, self._options.concurrency))

    def _wait_seconds(self, ahead: int, places: int) -> int:
        """After how long it is worth coming again: when half of those ahead are likely through."""
        return max(1, min(LONGEST_WAIT_SECONDS, math.ceil(self._usual_seconds * ahead / places / 2)))

    def _may_enter(self, project: str) -> bool:
        return self.running < self._options.concurrency and self._running[project] < self._project_places

    def _leave(self, project: str) -> None:
        self._running[project] -= 1
        if not self._running[project]:
            del self._running[project]
        self._let_in()

    def _let_in(self) -> None:
        """Gives free places to those who wait, a project after the other."""
        for project in list(self._waiting):
            line = self._waiting[project]
            while line and line[0].done():  # left, and about to say so
                line.popleft()
            if line and self._may_enter(project):
                self._running[project] += 1
                line.popleft().set_result(None)
                self._waiting.move_to_end(project)  # its next one waits for the others' turn
            if not line:
                del self._waiting[project]

    def _forget(self, project: str, waiter: asyncio.Future[None]) -> None:
        line = self._waiting.get(project)
        if line is not None and waiter in line:
            line.remove(waiter)
            if not line:
                del self._waiting[project]

    def _end(self, future: asyncio.Future[Answer], ticket: Ticket) -> None:
        if not ticket.is_cancelled:
            self.cancelled += 1
            ticket.cancel()
            task = asyncio.ensure_future(self._end_in_store(future, ticket))
            self._endings.add(task)
            task.add_done_callback(self._endings.discard)

    async def _end_in_store(self, future: asyncio.Future[Answer], ticket: Ticket) -> None:
        """Again and again, since between two queries of the work there is nothing in the store to end."""
        pause = _FIRST_PAUSE
        while not future.done():
            try:
                await asyncio.get_running_loop().run_in_executor(self._ending, self._cancel, ticket.tag)
            except StoreError as error:
                _logger.warning("a query could not be ended", error=str(error))
            await asyncio.wait({future}, timeout=pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


class _Desk:
    """A few threads and a bounded queue before them, in the order of coming."""

    def __init__(self, name: str, queue: int) -> None:
        self.threads = ThreadPoolExecutor(DESK_THREADS, thread_name_prefix=name)
        self._places = DESK_THREADS + queue
        self._inside = 0

    async def run(self, work: Callable[[], Answer]) -> Answer:
        if self._inside >= self._places:
            raise Busy("too many requests at once", retry_after=1)
        self._inside += 1
        future = asyncio.get_running_loop().run_in_executor(self.threads, work)
        future.add_done_callback(self._leave)
        return await asyncio.shield(future)

    def _leave(self, _: asyncio.Future[Answer]) -> None:
        self._inside -= 1
