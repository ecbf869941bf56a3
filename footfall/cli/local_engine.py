"""How commands on this machine speak to a running engine: by its address and a key of its own.

Both are in a file in the home that only the home's owner can read.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from footfall.cli.tls import trusting_ourselves
from footfall.settings import Settings

_FILE = "control.json"


class EngineUnreachable(Exception):  # noqa: N818 - reads as what it is
    """No engine answers on this home; the text says what to do."""


class EngineRefused(Exception):  # noqa: N818
    """The engine answered with a problem; the text is its detail."""


@contextmanager
def offered_key(settings: Settings) -> Iterator[str]:
    """A new key, written where local commands find it, until the engine ends."""
    key = f"ff_local_{secrets.token_hex(20)}"
    file = settings.home / _FILE
    draft = file.with_name(f"{_FILE}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - compared
    with os.fdopen(descriptor, "w") as opened:
        told = {"host": host, "port": settings.query_port, "key": key}
        if settings.tls_cert is not None:
            told["cert"] = str(settings.tls_cert)
        json.dump(told, opened)
    draft.replace(file)
    try:
        yield key
    finally:
        file.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """The engine that runs on a home."""

    host: str
    port: int
    key: str
    cert: str | None = None  # of an engine that speaks HTTPS

    @classmethod
    def of(cls, home: Path) -> LocalEngine:
        """EngineUnreachable if none has said where it is."""
        try:
            return cls(**json.loads((home / _FILE).read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise EngineUnreachable(
                f"no engine has said that it runs on {home}: start `footfall up`, and wait until it is up"
            ) from error

    def lines(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None
    ) -> Iterator[dict[str, Any]]:
        """The lines of JSON of an answer. EngineUnreachable, EngineRefused."""
        connection = self._connection()
        url = quote(path) + (f"?{urlencode(query)}" if query else "")
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        try:
            connection.request(method, url, None if body is None else json.dumps(body).encode(), headers)
            answer = connection.getresponse()
            if answer.status >= 400:
                problem = json.loads(answer.read() or b"{}")
                raise EngineRefused(str(problem.get("detail", f"status {answer.status}")))
            for line in answer:
                yield json.loads(line)
        except (OSError, http.client.HTTPException) as error:
            raise EngineUnreachable(
                f"the engine at {self.host} port {self.port} does not answer: {error}"
            ) from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self.cert is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=3600)
        context = trusting_ourselves(Path(self.cert))
        return http.client.HTTPSConnection(self.host, self.port, timeout=3600, context=context)

    def ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None
    ) -> dict[str, Any]:
        """An answer of one object. EngineUnreachable, EngineRefused."""
        return next(self.lines(method, path, query, body), {})
