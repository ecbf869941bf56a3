"""A whole Footfall in processes of its own, and ways to hurt it.

with Machine(directory, faults=["P6:2"]) as machine:
    machine.start()
    machine.kill("engine")
    machine.stop()
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil

ROOT = Path(__file__).parent.parent.parent
WRITE_KEY = "ff_wk_faults"
SECRET_KEY = "ff_sk_faults"
_NOT_INHERITED = ("FOOTFALL_", "COVERAGE_")  # whoever is killed cannot save what it covered
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_ROLES = {"collector": "collect-worker", "engine": "engine"}


class Machine:
    """`footfall up` with a home below `directory`; its words go to up.log there."""

    def __init__(
        self, directory: Path, *, workers: int = 1, kept_bytes: int = 64 << 20, faults: Sequence[str] = ()
    ) -> None:
        self.home = directory / "home"
        self.words = directory / "up.log"
        self.collect_port, self.query_port = _free_ports(2)
        self._fault_files = {fault: directory / f"{fault.replace(':', '-')}-happened" for fault in faults}
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)},
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "sdk/python")]),
            "FOOTFALL_HOME": str(self.home),
            "FOOTFALL_COLLECT_PORT": str(self.collect_port),
            "FOOTFALL_QUERY_PORT": str(self.query_port),
            "FOOTFALL_COLLECT_WORKERS": str(workers),
            "FOOTFALL_LOG_KEEP_BYTES": str(kept_bytes),
            "FOOTFALL_WRITE_KEY": WRITE_KEY,
            "FOOTFALL_SECRET_KEY": SECRET_KEY,
            "FOOTFALL_RESTAMP_OVERRIDES": "1",
            "FOOTFALL_RESTAMP_SECONDS": "0.2",
            "FOOTFALL_RESTAMP_SHARE": "1",
            "FOOTFALL_QUERY_SECONDS": "5",  # overrides stay for longer than any question takes
        }
        if faults:
            self._environment["FOOTFALL_FAULT"] = ",".join(
                f"{fault}@{file}" for fault, file in self._fault_files.items()
            )
        self._up: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill_everything()

    @property
    def collect_url(self) -> str:
        return f"http://127.0.0.1:{self.collect_port}"

    @property
    def query_url(self) -> str:
        return f"http://127.0.0.1:{self.query_port}"

    @property
    def faults_happened(self) -> bool:
        """Whether there was a death at each crash point."""
        return all(file.exists() for file in self._fault_files.values())

    def start(self) -> None:
        """Returns when both ports answer."""
        with self.words.open("ab") as words:
            self._up = subprocess.Popen(
                [sys.executable, "-m", "footfall.cli", "up"],
                env=self._environment,
                cwd=self.words.parent,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        for port in (self.collect_port, self.query_port):
            while not _answers(f"http://127.0.0.1:{port}/healthz"):
                assert self._up is not None
                if self._up.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"footfall up did not come up:\n{self.last_words()}")
                time.sleep(0.1)

    def kill(self, role: str) -> int:
        """SIGKILL to every process of a role, `collector` or `engine`; how many there were."""
        return self._signal(role, signal.SIGKILL)

    def pause(self, role: str) -> None:
        self._signal(role, signal.SIGSTOP)

    def go_on(self, role: str) -> None:
        self._signal(role, signal.SIGCONT)

    def kill_everything(self) -> None:
        """SIGKILL to the supervisor and all it started, as a machine that stops."""
        if self._up is None:
            return
        processes = self._children()
        with suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(self._up.pid))
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._up.wait()
        psutil.wait_procs(processes, timeout=10)
        self._up = None

    def stop(self) -> None:
        """SIGTERM; AssertionError unless everything ends in order."""
        assert self._up is not None
        self._up.terminate()
        try:
            code = self._up.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"footfall up did not stop:\n{self.last_words()}") from None
        self._up = None
        assert code == 0, f"footfall up ended with code {code}:\n{self.last_words()}"

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """An answer of the query API; httpx.TransportError while it is down."""
        url = self.query_url + path
        response = httpx.request(
            "GET" if body is None else "POST",
            url,
            json=body,
            headers={"Authorization": f"Bearer {SECRET_KEY}"},
            timeout=30,
            trust_env=False,
        )
        assert response.status_code == 200, f"{path}: {response.status_code} {response.text[:500]}"
        return response.json()

    def count_words(self, words: str) -> int:
        """How often the processes said something."""
        return self.words.read_text(errors="replace").count(words)

    def last_words(self) -> str:
        return self.words.read_text(errors="replace")[-4_000:]

    def _children(self) -> list[psutil.Process]:
        assert self._up is not None
        children: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            children += psutil.Process(self._up.pid).children(recursive=True)
        return children

    def _signal(self, role: str, number: signal.Signals) -> int:
        signalled = 0
        for process in self._children():
            with suppress(psutil.NoSuchProcess):
                if _ROLES[role] in process.cmdline():
                    process.send_signal(number)
                    signalled += 1
        return signalled


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for opened in sockets:
        opened.bind(("127.0.0.1", 0))
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports
