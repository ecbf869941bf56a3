"""Requests at a door run without a task of asyncio's: what a task would have done for them."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from collector.answers import Overloaded
from collector.memory import Budget, Memory
from collector.options import CollectorOptions
from collector.protocol import Errand
from tests.collector_worker import Worker, read_answer


def run(coroutine: Any) -> None:
    asyncio.run(coroutine)


def test_runs_as_far_as_its_first_wait_at_once_and_on_from_there():
    async def main() -> None:
        seen: list[str] = []
        future = asyncio.get_running_loop().create_future()

        async def work() -> None:
            seen.append("begun")
            seen.append(await future)
            await asyncio.sleep(0)
            seen.append(await asyncio.to_thread(lambda: "a thread"))

        errands: set[Any] = set()
        Errand(work(), errands)
        assert seen == ["begun"]
        future.set_result("the future")
        while errands:
            await asyncio.sleep(0.001)
        assert seen == ["begun", "the future", "a thread"]

    run(main())


def test_hears_what_its_future_raises():
    async def main() -> None:
        heard: list[BaseException] = []
        future = asyncio.get_running_loop().create_future()

        async def work() -> None:
            try:
                await future
            except OSError as error:
                heard.append(error)

        errands: set[Any] = set()
        Errand(work(), errands)
        future.set_exception(OSError("the disk"))
        await asyncio.sleep(0.01)
        assert [str(error) for error in heard] == ["the disk"]
        assert not errands

    run(main())


def test_ends_where_it_waits_when_it_is_cancelled():
    async def main() -> None:
        ended: list[str] = []

        async def work() -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.append("in order")

        errands: set[Any] = set()
        Errand(work(), errands).cancel(msg="the server stops")
        await asyncio.sleep(0.01)
        assert ended == ["in order"]
        assert not errands

    run(main())


def test_a_question_to_the_workspace_needs_no_task(monkeypatch: pytest.MonkeyPatch):
    """As the library's own time limits do from Python 3.12 on."""
    wait_for = asyncio.wait_for

    def of_newer_pythons(waited: Any, timeout: float | None) -> Any:
        if asyncio.current_task() is None:
            raise RuntimeError("Timeout should be used inside a task")
        return wait_for(waited, timeout)

    async def main() -> None:
        monkeypatch.setattr(asyncio, "wait_for", of_newer_pythons)
        memory = Memory(lambda name: f"what {name} is", 60.0, 60.0, Budget(5))
        told: list[str | None] = []
        errands: set[Any] = set()

        async def ask() -> None:
            try:
                told.append(await memory.find("it"))
            except Overloaded as error:
                told.append(str(error))

        asyncio.get_running_loop().call_soon(lambda: Errand(ask(), errands))
        while not told:
            await asyncio.sleep(0.01)
        assert told == ["what it is"]

    run(main())


@pytest.mark.parametrize("path", ["/v1/events", "/sa", "/prefix/sa.gif"])
def test_a_door_that_fails_is_answered_500(path: str):
    worker = Worker()

    async def door(_scope: Any, _receive: Any, _send: Any) -> None:
        raise ValueError("a bug")

    worker.app.door_of = lambda _path: door  # type: ignore[method-assign]
    with worker.listening() as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
        assert b" 500 " in read_answer(connection)


def test_a_connection_that_was_answered_at_once_does_not_rest_for_ever():
    worker = Worker(CollectorOptions(keep_alive_seconds=1))
    with worker.listening() as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"OPTIONS /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 204 " in connection.recv(1_000)
        connection.settimeout(20)
        assert connection.recv(100) == b""


def test_requests_one_behind_the_other_are_answered_in_their_order():
    worker = Worker()
    requests = b"".join(
        b"OPTIONS /v1/events HTTP/1.1\r\nHost: x\r\nOrigin: %d\r\n\r\n" % n for n in range(50)
    )
    with worker.listening() as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(requests)
        heard = b""
        connection.settimeout(20)
        while heard.count(b"\r\n\r\n") < 50:
            heard += connection.recv(100_000)
    origins = [line for line in heard.split(b"\r\n") if line.startswith(b"access-control-allow-origin")]
    assert origins == [b"access-control-allow-origin: %d" % n for n in range(50)]
