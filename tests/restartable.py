"""A Footfall in processes of its own that a test ends, starts again, and tells that its disk is full."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import orjson
import psutil
from sdk_server import unused_port

from footfall.cli.child import footfall_command
from footfall.cli.demo_system import _is_ready

_HAND_OVER = """
import ast, os, sys
for at, descriptor in enumerate(sorted(ast.literal_eval(sys.argv[1]))):
    os.dup2(descriptor, 3 + at)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""

SECRET_KEY = "ff_sk_of_the_outages"
HOLD_SECONDS = 6  # of itself 2: a busy machine needs as long for a change to be seen
_BUDGET = 1 << 40
_PATIENCE_SECONDS = 60


class Restartable:
    """`footfall up` on two ports that stay the same."""

    def __init__(self, home: Path, **variables: str) -> None:
        """`variables` of the environment, beside its own."""
        self.home = home
        self._variables = variables
        self.collect_port, self.query_port = unused_port(), unused_port()
        self.query = httpx.Client(
            base_url=f"http://127.0.0.1:{self.query_port}",
            headers={"Authorization": f"Bearer {SECRET_KEY}"},
            timeout=60,
        )
        self._held = ExitStack()
        self._descriptors: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it is ready."""
        command = footfall_command("up")
        variables = {"LISTEN_FDS": str(len(self._descriptors))}
        if (
            self._descriptors
        ):  # as systemd does it: from descriptor 3 on, and the process's own number is said
            command = [sys.executable, "-c", _HAND_OVER, repr(self._descriptors), *command]
        with (self.home / "footfall.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                pass_fds=self._descriptors,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={
                    **{name: text for name, text in os.environ.items() if not name.startswith("FOOTFALL_")},
                    **variables,
                    **self._variables,
                    "FOOTFALL_HOME": str(self.home),
                    "FOOTFALL_COLLECT_PORT": str(self.collect_port),
                    "FOOTFALL_QUERY_PORT": str(self.query_port),
                    "FOOTFALL_SECRET_KEY": SECRET_KEY,
                    "FOOTFALL_DISK_BUDGET_BYTES": str(_BUDGET),
                    "FOOTFALL_HOLD_SECONDS": str(HOLD_SECONDS),
                },
            )
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (_is_ready("127.0.0.1", self.collect_port) and _is_ready("127.0.0.1", self.query_port)):
            assert self._process.poll() is None, self.log_tail()
            assert time.monotonic() < deadline, self.log_tail()
            time.sleep(0.05)

    def stop(self) -> None:
        """As `systemctl stop` does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(_PATIENCE_SECONDS)
            self._process = None

    def kill(self) -> None:
        """All its processes at once, as a machine that loses its power would."""
        assert self._process is not None
        processes = [psutil.Process(self._process.pid)]
        processes += processes[0].children(recursive=True)
        for each in processes:
            each.kill()
        psutil.wait_procs(processes[1:], _PATIENCE_SECONDS)
        self._process.wait(_PATIENCE_SECONDS)
        self._process = None

    def hold_ports(self) -> None:
        """Opens both ports as systemd would: from now on they are open, whether Footfall runs or not."""
        for port in (self.collect_port, self.query_port):
            listener = self._held.enter_context(socket.create_server(("127.0.0.1", port), backlog=2048))
            self._descriptors.append(listener.fileno())

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """The collector believes the disk to be full: its requests get 503, or wait for what it waits for."""
        assert self._process is not None
        processes = psutil.Process(self._process.pid).children()
        (engine,) = [each for each in processes if "engine" in each.cmdline()]
        engine.suspend()  # else it measures
        figure = self.home / "metrics" / "disk.json"
        measured = figure.read_bytes() if figure.exists() else orjson.dumps({"taken": 0})
        figure.write_bytes(orjson.dumps({"taken": 2 * _BUDGET}))
        self._until_collector_is(503)
        try:
            yield
        finally:
            figure.write_bytes(measured)
            engine.resume()
        self._until_collector_is(200)

    def close(self) -> None:
        self.stop()
        self._held.close()
        self.query.close()

    def log_tail(self) -> str:
        return (self.home / "footfall.log").read_text()[-3000:]

    def _until_collector_is(self, status: int) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        address = f"http://127.0.0.1:{self.collect_port}/readyz"
        while httpx.get(address).status_code != status:
            assert time.monotonic() < deadline
            time.sleep(0.05)
