"""ClickHouse over HTTP for tests: a server that is given (CLICKHOUSE_URL), else tests.clickhouse_http."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

GIVEN = os.environ.get("CLICKHOUSE_URL", "")
"""`clickhouse://user:password@host:8123`: an empty server that tests may fill, without a database."""

GIVEN_CLUSTER = os.environ.get("CLICKHOUSE_CLUSTER_URL", "")
"""`clickhouse://user:password@host:8123/DATABASE?cluster=name`: the same, of a cluster."""

_START_SECONDS = 60.0


class ClickHouseHttp:
    """tests.clickhouse_http on one directory and one port, which stay the same from start to start."""

    def __init__(self, directory: Path, cluster: str = "") -> None:
        self._directory = directory
        self._cluster = cluster
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def start(self) -> None:
        """Returns when it answers."""
        command = [sys.executable, "-m", "tests.clickhouse_http", str(self._directory), str(self.port)]
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / "stderr").open("ab") as errors:
            self._process = subprocess.Popen(
                [*command, self._cluster],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=Path(__file__).parents[1],
            )
        assert self._process.stdout is not None
        overdue = threading.Timer(_START_SECONDS, self._process.kill)
        overdue.start()
        try:
            line = self._process.stdout.readline()
        finally:
            overdue.cancel()
            overdue.join()
        assert line.strip(), (self._directory / "stderr").read_text()
        self.port = int(line)

    def url(self, database: str = "footfall") -> str:
        cluster = f"?cluster={self._cluster}" if self._cluster else ""
        return f"clickhouse://127.0.0.1:{self.port}/{database}{cluster}"

    def kill(self) -> None:
        """As kill -9: nothing is written any more."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                pipe.close()
            self._process = None


@contextmanager
def server_url(directory: Path) -> Iterator[str]:
    """The address of a server without a database, `clickhouse://…:port`."""
    if GIVEN:
        yield GIVEN.rstrip("/")
        return
    server = ClickHouseHttp(directory)
    server.start()
    try:
        yield server.url("").rstrip("/")
    finally:
        server.stop()


@contextmanager
def one_cluster(directory: Path) -> Iterator[str]:
    """The address of a cluster, in which DATABASE stands for a database."""
    if GIVEN_CLUSTER:
        yield GIVEN_CLUSTER
        return
    server = ClickHouseHttp(directory, "footfall")
    server.start()
    try:
        yield server.url("DATABASE")
    finally:
        server.stop()
