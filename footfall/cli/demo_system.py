"""A Footfall of the demo's own: `footfall up` in a fresh home, and its HTTP doors."""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from footfall.cli.child import footfall_command
from footfall.cli.sockets import listen, url_of
from footfall.settings import Settings

_START_SECONDS = 60.0
_END_SECONDS = 40.0
_POLL_SECONDS = 0.05
_LOG_TAIL_LINES = 20


class SystemFailed(Exception):  # noqa: N818 - reads as what it is
    """Footfall did not start, ended by itself, or answered with an error; the text says which."""


@dataclass(frozen=True, slots=True)
class RunningSystem:
    """Where to send and ask, and by which keys."""

    host: str
    collect_port: int
    query_port: int
    write_key: str
    secret_key: str
    home: Path
    log_path: Path
    began: float  # monotonic seconds
    process: subprocess.Popen[bytes]

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def collect_url(self) -> str:
        return url_of(self.host, self.collect_port)

    @property
    def query_url(self) -> str:
        return url_of(self.host, self.query_port)

    def ask(self, analysis: str, body: dict[str, Any]) -> Any:
        """The result of a query."""
        return self._request("POST", f"/api/v1/query/{analysis}", body)["result"]

    def ledger(self) -> dict[str, Any]:
        """The project's total in the ledger."""
        total: dict[str, Any] = self._request("GET", "/api/v1/projects/default/ledger", None)["total"]
        return total

    def _request(self, method: str, path: str, body: Any) -> Any:
        connection = http.client.HTTPConnection(self.host, self.query_port, timeout=60)
        headers = {"Authorization": f"Bearer {self.secret_key}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, orjson.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise SystemFailed(f"{method} {path}: {error!r}. {self.log_tail()}") from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise SystemFailed(f"{method} {path}: HTTP {response.status} {answer.decode(errors='replace')}")
        return orjson.loads(answer)

    def log_tail(self) -> str:
        return _tail(self.log_path)


@contextmanager
def running_system(settings: Settings, home: Path) -> Iterator[RunningSystem]:
    """`footfall up` starting on the settings' ports; ended in order afterwards. May raise PortUnavailable."""
    for port, setting in (
        (settings.collect_port, "FOOTFALL_COLLECT_PORT"),
        (settings.query_port, "FOOTFALL_QUERY_PORT"),
    ):
        listen(settings.host, port, setting).close()  # says what to do if it is taken
    write_key = settings.write_key or f"ff_wk_demo_{secrets.token_hex(8)}"
    secret_key = settings.secret_key or f"ff_sk_demo_{secrets.token_hex(8)}"
    log_path = home / "footfall.log"
    began = time.monotonic()
    alive_read, alive_write = os.pipe()  # closes with this process, however that ends
    with log_path.open("wb") as log_file:
        process = subprocess.Popen(  # noqa: S603 - our own command
            footfall_command("up", f"--alive-fd={alive_read}"),
            pass_fds=(alive_read,),
            env=_environment(settings, home, write_key, secret_key),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log_file,
            process_group=0,  # Ctrl-C is the demo's to hear
        )
    os.close(alive_read)
    try:
        yield RunningSystem(
            host=settings.host,
            collect_port=settings.collect_port,
            query_port=settings.query_port,
            write_key=write_key,
            secret_key=secret_key,
            home=home,
            log_path=log_path,
            began=began,
            process=process,
        )
    finally:
        _end(process)
        os.close(alive_write)


def wait_until_ready(system: RunningSystem) -> None:
    """Returns when both ports are ready; SystemFailed if that does not happen."""
    waiting = [system.collect_port, system.query_port]
    while waiting:
        if system.process.poll() is not None:
            raise SystemFailed(
                f"footfall up ended with code {system.process.returncode}. {system.log_tail()}"
            )
        if system.age_seconds > _START_SECONDS:
            raise SystemFailed(f"not ready within {_START_SECONDS:.0f} s. {system.log_tail()}")
        if _is_ready(system.host, waiting[0]):
            waiting.pop(0)
        else:
            time.sleep(_POLL_SECONDS)


def _environment(settings: Settings, home: Path, write_key: str, secret_key: str) -> dict[str, str]:
    """The caller's settings, but for the engines: a demo never touches a log or store that is in use."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("FOOTFALL_LOG_URL", "FOOTFALL_STORE_URL", "FOOTFALL_WORKSPACE_URL")
    }
    return kept | {
        "FOOTFALL_HOME": str(home),
        "FOOTFALL_HOST": settings.host,
        "FOOTFALL_COLLECT_PORT": str(settings.collect_port),
        "FOOTFALL_QUERY_PORT": str(settings.query_port),
        "FOOTFALL_WRITE_KEY": write_key,
        "FOOTFALL_SECRET_KEY": secret_key,
    }


def _is_ready(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """In order; a second Ctrl-C meanwhile ends it fast."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_END_SECONDS)
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
    return f"Its last lines ({path}):\n" + "\n".join(lines)
