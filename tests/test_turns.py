"""Turns and leases: who may do something now, on both engines; with PostgreSQL in several processes, too."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from footfall.workspace import Workspace, open_workspace
from footfall.workspace.errors import WorkspaceUnavailable
from footfall.workspace.leases import LeaseKeeper, LeaseLost
from footfall.workspace.postgresql_turns import _SessionTurn
from footfall.workspace.turns import Turn, TurnBusy, TurnLost
from tests.postgres import PostgresServer, masked


@pytest.fixture
def workspace(workspace_url: str) -> Iterator[Workspace]:
    with closing(open_workspace(workspace_url)) as opened:
        yield opened


@pytest.fixture
def other(workspace_url: str, workspace: Workspace) -> Iterator[Workspace]:
    """The same place, opened by somebody else."""
    with closing(open_workspace(workspace_url)) as opened:
        yield opened


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def is_free(workspace: Workspace, threads: ThreadPoolExecutor, *, exclusive: bool) -> bool:
    def ask() -> bool:
        turns = workspace.turns
        try:
            with (turns.exclusive if exclusive else turns.shared)("x", 0.05):
                return True
        except TurnBusy:
            return False

    return threads.submit(ask).result()


def test_many_share_a_turn(workspace: Workspace, other: Workspace, threads: ThreadPoolExecutor) -> None:
    with workspace.turns.shared("x") as turn:
        assert (turn.name, turn.exclusive, turn.is_held()) == ("x", False, True)
        assert is_free(other, threads, exclusive=False)
        assert not is_free(other, threads, exclusive=True)
        turn.check()
    assert is_free(other, threads, exclusive=True)


def test_one_has_it_exclusively(workspace: Workspace, other: Workspace, threads: ThreadPoolExecutor) -> None:
    with workspace.turns.exclusive("x") as turn:
        assert not is_free(workspace, threads, exclusive=False)
        assert not is_free(other, threads, exclusive=True)
        with other.turns.exclusive("y", 1):
            turn.check()
    assert is_free(other, threads, exclusive=False)


def test_a_turn_ends_with_what_was_done_in_it(workspace: Workspace, threads: ThreadPoolExecutor) -> None:
    with pytest.raises(KeyError), workspace.turns.exclusive("x"):
        raise KeyError
    assert is_free(workspace, threads, exclusive=True)
    busy = pytest.raises(TurnBusy, match=r"no shared turn 'x' within 0\.05 s: others have it")
    with holding(workspace, threads), busy, workspace.turns.shared("x", 0.05):
        pass
    assert is_free(workspace, threads, exclusive=True)


def test_turns_are_not_nested(workspace: Workspace) -> None:
    with workspace.turns.shared("x"):
        with pytest.raises(RuntimeError, match="not nested"), workspace.turns.exclusive("x"):
            pass
        with workspace.turns.exclusive("y"):
            pass


def test_those_who_share_do_not_keep_out_who_wants_it_alone(
    workspace: Workspace, other: Workspace, threads: ThreadPoolExecutor
) -> None:
    order: list[str] = []

    def alone() -> None:
        with other.turns.exclusive("x", 20):
            order.append("alone")

    def share() -> None:
        with workspace.turns.shared("x", 20):
            order.append("shared")

    with workspace.turns.shared("x"):
        waiting = threads.submit(alone)
        time.sleep(0.2)
        behind = threads.submit(share)
        time.sleep(0.2)
        assert order == []
    waiting.result()
    behind.result()
    assert order == ["alone", "shared"]


def test_what_is_done_in_turns_is_not_done_at_once(
    workspace: Workspace, other: Workspace, threads: ThreadPoolExecutor
) -> None:
    inside = [0, 0]

    def work(number: int) -> None:
        which, exclusive = (workspace, other)[number % 2], number % 3 == 0
        turns = which.turns
        with (turns.exclusive if exclusive else turns.shared)("x", 60):
            inside[exclusive] += 1
            assert inside[1] <= 1
            assert not (inside[1] and inside[0])
            time.sleep(0.002)
            inside[exclusive] -= 1

    list(threads.map(work, range(60)))


def test_another_process_waits_for_its_turn(workspace: Workspace, workspace_url: str) -> None:
    script = f"""
        from footfall.workspace import open_workspace
        from footfall.workspace.turns import TurnBusy
        workspace = open_workspace({workspace_url!r})
        for turn, timeout in ((workspace.turns.shared, 5), (workspace.turns.exclusive, 0.05)):
            try:
                with turn("x", timeout):
                    print("got it", flush=True)
            except TurnBusy:
                print("busy", flush=True)
        with workspace.turns.exclusive("x", 60):
            print("got it", flush=True)
        workspace.close()
    """
    with ExitStack() as ended:
        turn = ended.enter_context(workspace.turns.shared("x"))
        asking = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
        )
        with asking:
            assert asking.stdout is not None
            assert [asking.stdout.readline(), asking.stdout.readline()] == ["got it\n", "busy\n"]
            turn.check()
            ended.close()
            assert asking.stdout.readline() == "got it\n"
    assert asking.returncode == 0


def test_who_is_silent_for_long_has_lost_its_turn(
    postgres_url: str, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped, or a machine; its threads stand still, here the one that speaks for it."""
    with closing(open_workspace(postgres_url)) as workspace, closing(open_workspace(postgres_url)) as other:

        def hold() -> None:
            with workspace.turns.exclusive("x"):
                time.sleep(1.5)
                assert is_free(other, threads, exclusive=True) is silent

        monkeypatch.setattr("footfall.workspace.postgresql_turns.SILENT_SECONDS", 0.6)
        silent = False
        hold()
        silent = True
        monkeypatch.setattr(_SessionTurn, "is_held", lambda turn: True)
        with pytest.raises(TurnLost):
            hold()


@pytest.mark.parametrize("name", ["", "X", "../x", "x/y", "x" * 65])
def test_a_turn_has_a_simple_name(workspace: Workspace, name: str) -> None:
    with pytest.raises(ValueError, match="small letters"), workspace.turns.shared(name):
        pass


def test_a_turn_whose_session_ended_is_lost_at_once(
    postgres: PostgresServer, postgres_url: str, threads: ThreadPoolExecutor
) -> None:
    with closing(open_workspace(postgres_url)) as workspace, closing(open_workspace(postgres_url)) as other:
        done: list[str] = []

        def lose(then: Callable[[Turn], object]) -> None:
            with workspace.turns.exclusive("x", 5) as turn:
                turn.check()
                end_sessions(postgres, postgres_url)
                assert is_free(other, threads, exclusive=True)
                then(turn)
                done.append("went on")

        with pytest.raises(TurnLost, match="exclusive turn 'x' was lost"):
            lose(lambda turn: None)
        assert done == ["went on"]
        with pytest.raises(TurnLost):
            lose(lambda turn: turn.check())
        with pytest.raises(KeyError):
            lose(lambda turn: {}["what the holder raised"])
        assert done == ["went on"]
        end_sessions(postgres, postgres_url)  # what breaks while nobody holds a turn is replaced
        with workspace.turns.exclusive("x", 5) as turn:
            turn.check()


def test_turns_of_a_server_that_is_away(postgres: PostgresServer, postgres_url: str) -> None:
    with closing(open_workspace(postgres_url)) as workspace:
        with pytest.raises(TurnLost), workspace.turns.exclusive("x"):
            postgres.stop(signal.SIGQUIT)
        with pytest.raises(WorkspaceUnavailable) as caught, workspace.turns.exclusive("x"):
            pytest.fail("a turn that nobody gave")
        assert masked(str(caught.value))
        postgres.start()
        with workspace.turns.exclusive("x", 5) as turn:
            turn.check()


def end_sessions(postgres: PostgresServer, url: str) -> None:
    """Those of the database at the URL."""
    name = url.rpartition("/")[2]
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


def test_a_lease_has_one_holder(workspace: Workspace, other: Workspace) -> None:
    lease = workspace.leases.take("expiry", "a", 60)
    assert lease is not None
    assert (lease.name, lease.holder, lease.fence) == ("expiry", "a", 1)
    assert other.leases.take("expiry", "b", 60) is None
    assert other.leases.find("expiry") == lease
    other.leases.check(lease)
    assert other.leases.take("erasures", "b", 60) is not None
    again = workspace.leases.take("expiry", "a", 90)
    assert again is not None
    assert again.fence == 1
    assert again.until > lease.until


def test_each_holding_has_a_higher_number(workspace: Workspace, other: Workspace) -> None:
    first = workspace.leases.take("expiry", "a", 60)
    assert first is not None
    workspace.leases.release(first)
    assert workspace.leases.find("expiry") is None
    second = other.leases.take("expiry", "b", 0.1)
    assert second is not None
    assert second.fence == 2
    workspace.leases.release(first)  # over long ago: it takes nothing from who has it now
    time.sleep(0.15)
    third = workspace.leases.take("expiry", "a", 60)
    assert third is not None
    assert third.fence == 3
    for lease in (first, second):
        with pytest.raises(LeaseLost, match=r"'expiry' of \w has ended"):
            other.leases.check(lease)
        with pytest.raises(LeaseLost):
            other.leases.renew(lease, 60)
    assert workspace.leases.renew(third, 60).fence == 3


def test_of_many_that_ask_at_once_one_gets_it(
    workspace: Workspace, other: Workspace, threads: ThreadPoolExecutor
) -> None:
    def take(number: int) -> bool:
        return (workspace, other)[number % 2].leases.take("expiry", str(number), 60) is not None

    assert sum(threads.map(take, range(16))) == 1


def test_a_keeper_keeps_it_as_long_as_it_is_asked(workspace: Workspace, other: Workspace) -> None:
    now = [1_000.0]
    first = LeaseKeeper(workspace.leases, "expiry", "a", 600, lambda: now[0])
    second = LeaseKeeper(other.leases, "expiry", "b", 600)
    lease = first.mine()
    assert lease is not None
    now[0] += 100
    assert first.mine() is lease
    now[0] += 101
    renewed = first.mine()
    assert renewed is not None
    assert renewed.until > lease.until
    assert renewed.fence == 1
    assert second.mine() is None
    workspace.leases.release(renewed)  # as if its time had ended
    followed = second.mine()
    assert followed is not None
    assert followed.fence == 2
    now[0] += 201
    assert first.mine() is None
    second.release()
    assert first.mine() is not None


def test_a_keeper_goes_on_for_the_rest_of_its_time(postgres: PostgresServer, postgres_url: str) -> None:
    now = [1_000.0]
    with closing(open_workspace(postgres_url)) as workspace:
        keeper = LeaseKeeper(workspace.leases, "expiry", "a", 60, lambda: now[0])
        assert keeper.mine() is not None
        postgres.stop(signal.SIGQUIT)
        now[0] += 59
        assert keeper.mine() is not None
        now[0] += 2
        assert keeper.mine() is None
        postgres.start()
        assert keeper.mine() is not None


class holding:  # noqa: N801 - reads as a context
    """Another thread has the turn exclusively."""

    def __init__(self, workspace: Workspace, threads: ThreadPoolExecutor) -> None:
        self._held, self._over = threading.Event(), threading.Event()
        self._done = threads.submit(self._hold, workspace)
        self._held.wait(10)

    def _hold(self, workspace: Workspace) -> None:
        with workspace.turns.exclusive("x"):
            self._held.set()
            self._over.wait(10)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._done.result()
