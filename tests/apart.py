"""`footfall collect`, `process` and `query` as processes of their own, with one environment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from sdk_server import unused_port

from footfall.cli.child import footfall_command

SECRET_KEY, WRITE_KEY = "ff_sk_apart", "ff_wk_apart"
_PATIENCE_SECONDS = 90


class Apart:
    """Services of one installation: each `start` one more process."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self.directory = directory
        self.ports = {service: unused_port() for service in ("collect", "process", "query")}
        self.environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith("FOOTFALL_")},
            "FOOTFALL_HOME": str(directory / "home"),
            "FOOTFALL_INSTALLATION_KEY": "ab" * 32,
            "FOOTFALL_WRITE_KEY": WRITE_KEY,
            "FOOTFALL_SECRET_KEY": SECRET_KEY,
            **{f"FOOTFALL_{service.upper()}_PORT": str(port) for service, port in self.ports.items()},
            **variables,
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, service: str, **variables: str) -> None:
        """`variables` of the environment, of this one alone."""
        with (self.directory / f"{service}.log").open("ab") as lines:
            self.running[service] = subprocess.Popen(
                footfall_command(service),
                env=self.environment | variables,
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
                process_group=0,
            )

    def wait_until_ready(self, *services: str) -> None:
        for service in services:
            self.until(lambda service=service: self.status(service) == 200, service)

    def status(self, service: str, path: str = "readyz") -> int:
        """0: nobody listens."""
        try:
            return self.get(service, path).status_code
        except httpx.TransportError:
            return 0

    def get(self, service: str, path: str) -> httpx.Response:
        key = {"Authorization": f"Bearer {SECRET_KEY}"}
        return httpx.get(f"http://127.0.0.1:{self.ports[service]}/{path}", headers=key, timeout=60)

    def post(self, service: str, path: str, body: Any) -> Any:
        key = {"Authorization": f"Bearer {WRITE_KEY if service == 'collect' else SECRET_KEY}"}
        url = f"http://127.0.0.1:{self.ports[service]}/{path}"
        answer = httpx.post(url, json=body, headers=key, timeout=60)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def ledger(self) -> dict[str, Any]:
        total: dict[str, Any] = self.get("query", "api/v1/projects/default/ledger").json()["total"]
        return total

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            footfall_command(*command),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def until(self, condition: Callable[[], bool], service: str = "") -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            for name, process in self.running.items():
                assert process.poll() is None, (name, self.lines(name))
            assert time.monotonic() < deadline, self.lines(service) if service else "it never happened"
            time.sleep(0.05)

    def lines(self, service: str) -> str:
        file = self.directory / f"{service}.log"
        return file.read_text()[-3000:] if file.exists() else ""

    def entries(self, service: str) -> list[dict[str, Any]]:
        """Its log lines: all of them JSON."""
        return [json.loads(line) for line in (self.directory / f"{service}.log").read_text().splitlines()]

    def end(self, service: str, number: signal.Signals = signal.SIGTERM) -> int:
        process = self.running.pop(service)
        process.send_signal(number)
        return process.wait(_PATIENCE_SECONDS)

    def close(self) -> None:
        for process in self.running.values():
            process.kill()
        for process in self.running.values():
            process.wait()
