"""The supervisor: what dies is started again, what must end ends in order, nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from footfall.cli.home import HomeInUse, hold_home
from footfall.cli.sockets import PortUnavailable, listen
from footfall.cli.supervisor import ChildSpec, StartFailed, Supervisor

# A child that writes down what happens to it, in one file that all children share.
_CHILD = """
    import os, signal, sys, time
    from pathlib import Path
    from footfall.cli.child import SupervisorLink

    name, behaviour, diary = sys.argv[1:4]
    fds = dict(argument[2:].split("=") for argument in sys.argv[4:])
    link = SupervisorLink(int(fds["ready-fd"]), int(fds["alive-fd"]))

    def write(word):
        with Path(diary).open("a") as file:
            file.write(f"{name} {word} {os.getpid()}\\n")

    def end(word):
        write(word)
        os._exit(0)

    if behaviour == "fails":
        sys.exit(3)
    signal.signal(signal.SIGTERM, lambda *_: None if behaviour == "stubborn" else end("ended"))
    signal.signal(signal.SIGINT, lambda *_: end("hurried"))
    link.watch(lambda: end("orphaned"))
    write("started")
    link.report_ready()
    while True:
        time.sleep(0.05)  # wakes also when a signal was delivered to another thread
"""


class Diary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> list[tuple[str, str, int]]:
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [(name, word, int(pid)) for name, word, pid in (line.split() for line in lines)]

    def words(self) -> list[str]:
        return [f"{name} {word}" for name, word, _ in self.entries()]

    def wait_for(self, enough: Callable[[list[str]], bool]) -> None:
        deadline = time.monotonic() + 30
        while not enough(self.words()):
            assert time.monotonic() < deadline, self.words()
            time.sleep(0.02)


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path / "diary")


def child(diary: Diary, name: str, behaviour: str = "ends", end_seconds: float = 20.0) -> ChildSpec:
    command = [sys.executable, "-c", textwrap.dedent(_CHILD), name, behaviour, str(diary.path)]
    return ChildSpec(name, command, end_seconds=end_seconds)


@pytest.fixture
def running() -> Iterator[Callable[[Supervisor], threading.Thread]]:
    """Runs a supervisor in a thread, ended at the end of the test whatever happens in it."""
    started: list[tuple[Supervisor, threading.Thread]] = []

    def run(supervisor: Supervisor) -> threading.Thread:
        def work() -> None:
            supervisor.start()
            supervisor.run()
            supervisor.end()

        thread = threading.Thread(target=work)
        thread.start()
        started.append((supervisor, thread))
        return thread

    yield run
    for supervisor, thread in started:
        if thread.is_alive():
            supervisor.stop()
            thread.join(60)
        assert not thread.is_alive()


def test_children_end_in_the_order_in_which_they_stand(
    diary: Diary, running: Callable[[Supervisor], threading.Thread]
) -> None:
    supervisor = Supervisor([child(diary, "collector"), child(diary, "engine")])
    thread = running(supervisor)
    diary.wait_for(lambda words: len(words) == 2)
    supervisor.stop()
    thread.join(60)
    assert diary.words()[2:] == ["collector ended", "engine ended"]
    assert not any(psutil.pid_exists(pid) for _, _, pid in diary.entries())


def test_a_child_that_dies_is_started_again(
    diary: Diary, running: Callable[[Supervisor], threading.Thread]
) -> None:
    running(Supervisor([child(diary, "engine")]))
    for lives in (1, 2, 3):
        diary.wait_for(lambda words, lives=lives: words.count("engine started") == lives)  # type: ignore[misc]
        os.kill(diary.entries()[-1][2], signal.SIGKILL)
    diary.wait_for(lambda words: words.count("engine started") == 4)


def test_a_child_that_does_not_start_stops_the_start(diary: Diary) -> None:
    supervisor = Supervisor([child(diary, "collector"), child(diary, "engine", "fails")])
    with pytest.raises(StartFailed, match="engine ended with code 3"):
        supervisor.start()
    assert not any(psutil.pid_exists(pid) for _, _, pid in diary.entries())


def test_a_child_that_does_not_end_is_hurried_and_killed(
    diary: Diary, running: Callable[[Supervisor], threading.Thread]
) -> None:
    supervisor = Supervisor([child(diary, "engine", "stubborn", end_seconds=0.5)])
    thread = running(supervisor)
    diary.wait_for(lambda words: words == ["engine started"])
    supervisor.stop()
    thread.join(60)
    assert diary.words() == ["engine started"]
    assert not psutil.pid_exists(diary.entries()[0][2])


def test_a_second_stop_hurries_the_children(
    diary: Diary, running: Callable[[Supervisor], threading.Thread]
) -> None:
    supervisor = Supervisor([child(diary, "engine", "stubborn", end_seconds=60.0)])
    thread = running(supervisor)
    diary.wait_for(lambda words: words == ["engine started"])
    supervisor.stop()
    supervisor.stop()
    thread.join(60)
    assert diary.words() == ["engine started", "engine hurried"]


def test_children_of_a_killed_supervisor_end_by_themselves(diary: Diary) -> None:
    script = """
        import sys
        from footfall.cli.supervisor import ChildSpec, Supervisor
        before, behind = sys.argv[1:4], sys.argv[4:]
        supervisor = Supervisor([ChildSpec(name, [*before, name, *behind]) for name in ("a", "b")])
        supervisor.start()
        supervisor.run()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    spec = child(diary, "NAME")
    arguments = [part for part in spec.command if part != "NAME"]
    supervisor = subprocess.Popen([*command, *arguments], stderr=subprocess.DEVNULL)
    try:
        diary.wait_for(lambda words: len(words) == 2)
    finally:
        supervisor.kill()
        supervisor.wait()
    diary.wait_for(lambda words: sorted(words[2:]) == ["a orphaned", "b orphaned"])


def test_a_home_is_held_by_one(tmp_path: Path) -> None:
    held = hold_home(tmp_path / "home")
    with pytest.raises(HomeInUse, match=f"in use by process {os.getpid()}.*FOOTFALL_HOME"):
        hold_home(tmp_path / "home", patience_seconds=60)
    held.release()
    hold_home(tmp_path / "home").release()


def test_a_home_that_a_killed_process_left_is_free(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from footfall.cli.home import hold_home
        hold_home(Path(sys.argv[1]))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    home = tmp_path / "home"
    process = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(home)], check=False)
    assert process.returncode == -signal.SIGKILL
    hold_home(home).release()


def test_waits_for_what_a_killed_supervisor_left(tmp_path: Path) -> None:
    script = """
        import os, signal, subprocess, sys
        from pathlib import Path
        from footfall.cli.home import hold_home
        held = hold_home(Path(sys.argv[1]))
        sleep = [sys.executable, "-c", "import time; time.sleep(1)"]
        subprocess.Popen(sleep, pass_fds=[held.descriptor])
        os.kill(os.getpid(), signal.SIGKILL)
    """
    home = tmp_path / "home"
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(home)], check=False)
    with pytest.raises(HomeInUse, match="which are ending"):
        hold_home(home)
    hold_home(home, patience_seconds=60).release()


def test_a_port_in_use_is_named_with_its_setting() -> None:
    first = listen("127.0.0.1", 0, "FOOTFALL_COLLECT_PORT")
    port = first.getsockname()[1]
    with first, pytest.raises(PortUnavailable, match=f"port {port} is in use.*FOOTFALL_COLLECT_PORT"):
        listen("127.0.0.1", port, "FOOTFALL_COLLECT_PORT")


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(PortUnavailable, match="FOOTFALL_HOST"):
        listen("192.0.2.1", 0, "FOOTFALL_QUERY_PORT")
