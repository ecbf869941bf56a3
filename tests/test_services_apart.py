"""Collectors, a processor and the query API as services of their own: what they need, and how they end."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from footfall.cli.apart import check_apart
from footfall.cli.child import SupervisorLink
from footfall.cli.duty import Duty
from footfall.cli.home import HomeInUse, hold_home, hold_role, is_held, share_home
from footfall.cli.process import run_process
from footfall.cli.query import run_query
from footfall.cli.serving import QuietServer
from footfall.settings import InvalidSettings, Settings
from footfall.workspace import open_workspace

ALONE = SupervisorLink(None, None)
KEY = "ab" * 32
SERVER = "clickhouse://someone:password@127.0.0.1:9/footfall"


@pytest.mark.parametrize("run", [run_process, run_query])
def test_chdb_belongs_to_one_process(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("process", "query"):
        monkeypatch.setattr(f"footfall.cli.{module}.set_up_logging", lambda: None)
    with pytest.raises(InvalidSettings, match=r"FOOTFALL_STORE_URL: chDB .*`footfall up`"):
        run(Settings(home=tmp_path), ALONE)


def test_a_collector_needs_no_store(tmp_path: Path) -> None:
    check_apart(Settings(home=tmp_path), with_store=False)


def test_services_that_share_no_home_are_given_one_key(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"FOOTFALL_INSTALLATION_KEY: .*need one key"):
        check_apart(Settings(home=tmp_path, store_url=SERVER), with_store=True)
    check_apart(Settings(home=tmp_path, store_url=SERVER, installation_key=KEY), with_store=True)
    (tmp_path / "installation.key").write_text(KEY)
    check_apart(Settings(home=tmp_path, store_url=SERVER), with_store=True)


def test_services_share_a_home_that_up_has_alone(tmp_path: Path) -> None:
    shared = [share_home(tmp_path), share_home(tmp_path)]
    assert is_held(tmp_path)
    with pytest.raises(HomeInUse, match="services of its own"):
        hold_home(tmp_path, patience_seconds=60)
    for each in shared:
        each.release()
    held = hold_home(tmp_path)
    with pytest.raises(HomeInUse, match="in use by process"):
        share_home(tmp_path)
    held.release()
    assert not is_held(tmp_path)


def test_an_sqlite_log_has_one_processor(tmp_path: Path) -> None:
    first = hold_role(tmp_path, "process")
    with pytest.raises(HomeInUse, match="in use by process"):
        hold_role(tmp_path, "process")
    first.release()
    hold_role(tmp_path, "process").release()


def test_one_of_several_has_the_duty_and_leaves_it_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("footfall.cli.duty._LOOK_SECONDS", 0.02)
    with closing(open_workspace(f"sqlite:///{tmp_path}/workspace.db")) as workspace:
        with Duty.shared(workspace, "upkeep") as first:
            assert first.mine()
            with Duty.shared(workspace, "upkeep") as second, Duty.shared(workspace, "other") as other:
                assert [first.mine(), second.mine(), other.mine()] == [True, False, True]
        with Duty.shared(workspace, "upkeep") as third, Duty.shared(workspace, "upkeep") as fourth:
            assert third.mine()
            assert not fourth.mine()
    assert Duty().mine()


def test_the_duty_goes_to_who_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("footfall.cli.duty._LOOK_SECONDS", 0.02)
    with closing(open_workspace(f"sqlite:///{tmp_path}/workspace.db")) as workspace, ExitStack() as stack:
        first = ExitStack()
        first.enter_context(Duty.shared(workspace, "upkeep"))
        waits = stack.enter_context(Duty.shared(workspace, "upkeep"))
        assert not waits.mine()
        first.close()
        give_up_at = time.monotonic() + 20
        while not waits.mine():
            assert time.monotonic() < give_up_at
            time.sleep(0.01)


class Slow:
    """An app that answers when it is turned away, and no sooner; a server before it."""

    def __init__(self, drain_seconds: float) -> None:
        self.turned_away = asyncio.Event()
        self.asked = threading.Event()
        self.server = QuietServer(self, drain_seconds=drain_seconds, turn_away=self.turned_away.set)
        self.server.config.lifespan = "off"
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._thread = threading.Thread(target=self.server.run, args=([self.listener],))
        self._answers: list[int] = []
        self._asking = threading.Thread(target=self._ask)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.asked.set()
        await self.turned_away.wait()
        await Response(status_code=503)(scope, receive, send)

    def begin(self) -> None:
        self._thread.start()
        while not self.server.started:
            time.sleep(0.01)
        self._asking.start()
        assert self.asked.wait(20)

    def end(self) -> list[int]:
        self._asking.join(30)
        self._thread.join(30)
        assert not self._thread.is_alive()
        self.listener.close()
        return self._answers

    def _ask(self) -> None:
        answer = httpx.get(f"http://127.0.0.1:{self.port}/", timeout=30)
        self._answers.append(answer.status_code)


def test_what_still_runs_when_the_time_is_over_is_answered_503() -> None:
    slow = Slow(drain_seconds=0.2)
    slow.begin()
    slow.loop.call_soon_threadsafe(slow.server.told, signal.SIGTERM)
    assert slow.end() == [503]


def test_a_second_signal_does_not_wait_for_that() -> None:
    slow = Slow(drain_seconds=600)
    slow.begin()
    slow.loop.call_soon_threadsafe(slow.server.told, signal.SIGTERM)
    assert not slow.turned_away.is_set()
    slow.loop.call_soon_threadsafe(slow.server.told, signal.SIGINT)
    assert slow.end() == [503]
