"""The collector's application: the doors in front, FastAPI for everything else.

The doors are answered before any middleware, since a usual FastAPI route costs three to six times as much
(docs/adr). So what middleware would do (limits, CORS, keys, metrics) is explicit in doors.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from time import time_ns
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from collector.answers import Overloaded
from collector.counts import Counts, Shot
from collector.doors import Collaborators, Door
from collector.intake import Clock, Intake
from collector.key_use import KeyUses
from collector.keys import Directory, Keys
from collector.native import EVENTS_PATH, VALIDATE_PATH, NativeDoor
from collector.openapi import SECURITY_SCHEMES, door_paths
from collector.options import CollectorOptions
from collector.polls import POLL_NAMES, AppsSettings, Polls
from collector.sensors import SENSORS_NAMES, SensorsDoor
from footfall.envelopes.keys import RingOf, no_keys
from footfall.eventlog.log import LogWriter
from footfall.events.keys import KeyedHash
from footfall.events.names import KnownNames
from footfall.treatment.policy import PolicyOf
from footfall.workspace.remote_config import key_entries

_EXPOSITION: Final = "text/plain; version=0.0.4; charset=utf-8"
_ROUND_SECONDS: Final = 1.0
Application = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]
_log = logging.getLogger(__name__)


def now_ms() -> int:
    """The wall clock."""
    return time_ns() // 1_000_000


class CollectorApp(FastAPI):
    """FastAPI with the doors in front."""

    def __init__(self, native: Door, sensors: Door, polls: Polls, **options: Any) -> None:
        super().__init__(**options)
        self._sensors = sensors
        self._polls = polls
        self._doors: dict[str, Door] = {EVENTS_PATH: native, VALIDATE_PATH: native}
        self._doors |= {f"/{name}": sensors for name in SENSORS_NAMES}

    def door_of(self, path: str) -> Application | None:
        """What answers at a path before any middleware; None where FastAPI does."""
        door: Application | None = self._doors.get(path)
        if door is None:
            name = path.rpartition("/")[2]
            if name in SENSORS_NAMES:
                return self._sensors
            if name in POLL_NAMES and self._polls.takes(path):
                return self._polls
        return door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door = self.door_of(scope["path"]) if scope["type"] == "http" else None
        await (door or super().__call__)(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = get_openapi(
                title=self.title, version=self.version, description=self.description, routes=self.routes
            )
            document["paths"] = {**door_paths(), **document["paths"]}
            document.setdefault("components", {})["securitySchemes"] = SECURITY_SCHEMES
            self.openapi_schema = document
        return self.openapi_schema


def build_app(
    options: CollectorOptions,
    writer: LogWriter,
    workspace: Directory,
    keyed_hash: KeyedHash,
    policy_of: PolicyOf,
    *,
    ring_of: RingOf = no_keys,
    clock: Clock = now_ms,
    full: Callable[[], str | None] = lambda: None,
    ready: Callable[[], str | None] = lambda: None,
    beside: Callable[[], Shot] = dict,
) -> CollectorApp:
    """A worker's application.

    `writer` is the one of the partition `options.worker`; the caller closes it after the server has stopped.
    `policy_of` and `ring_of` may block, and are called in threads.
    `full` says why there is no room for events (None: there is), and is asked for each request.
    `ready` says why the worker should get no traffic (None: it should), for `/readyz`.
    `beside` gives what the writer counts, for `/metrics`.
    """
    keys = Keys(workspace, policy_of, ring_of, options)
    counts = Counts(options.worker, options.metrics_dir, lambda: _with_weather(beside(), keys))
    intake = Intake(writer, keyed_hash, keys, clock, counts, log_bytes=options.log_bytes_at_once)
    key_uses = KeyUses(lambda: workspace.audit)
    collaborators = Collaborators(options, keys, intake, counts, full=full, key_uses=key_uses)
    known = KnownNames()
    app = CollectorApp(
        NativeDoor(collaborators, known),
        SensorsDoor(collaborators, known),
        Polls(lambda project: _apps_settings(workspace, project), options, counts),
        title="Footfall collector",
        description="Takes events: from Footfall's SDKs (native) and from Sensors Analytics' own (sensors).",
        lifespan=_lifespan(counts, key_uses),
    )
    app.add_exception_handler(HTTPException, _not_here)
    _add_operations(app, counts, keys, lambda: ready() or full())
    return app


def _with_weather(shot: Shot, keys: Keys) -> Shot:
    retrying = [*shot.get("retrying_since_seconds", ()), ["workspace", keys.away_since]]
    return shot | {"retrying_since_seconds": retrying}


def _apps_settings(workspace: Directory, project: str) -> AppsSettings | None:
    configs = workspace.remote_config.of(project)
    keys = key_entries(workspace.envelope_keys.current(project))
    return AppsSettings(configs, keys) if configs or keys else None


def _not_here(request: Request, error: Exception) -> Response:
    """404 and 405 as application/problem+json (RFC 9457), as the doors answer."""
    failure = error if isinstance(error, HTTPException) else HTTPException(500)
    title = HTTPStatus(failure.status_code).phrase
    detail = failure.detail
    if failure.status_code == HTTPStatus.NOT_FOUND:
        detail = (
            f"nothing is at {request.url.path[:200]!r}: events go to POST {EVENTS_PATH} (no / behind it), "
            "those of Sensors Analytics' SDKs to /sa, /sa.gif or /debug, questions to the query API's port"
        )
    body = orjson.dumps({"title": title, "status": failure.status_code, "detail": detail})
    headers = dict(failure.headers or {})
    return Response(body, failure.status_code, headers, media_type="application/problem+json")


def _add_operations(app: FastAPI, counts: Counts, keys: Keys, ready: Callable[[], str | None]) -> None:
    @app.get("/healthz", tags=["operations"])
    def healthz() -> dict[str, str]:
        """Whether the process lives."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["operations"], response_model=None)
    async def readyz(response: Response) -> dict[str, str]:
        """Whether it can take events now: 200, or 503 with the reason.

        It can while the workspace is away, with what that last said, for an hour.
        """
        reason = ready()
        if reason is None:
            try:
                await keys.project("default")
            except Overloaded as error:
                reason = f"the workspace cannot be asked: {error.__cause__ or error}"
        if reason is None:
            return {"status": "ready"}
        response.status_code = 503
        return {"status": "not ready", "reason": reason}

    @app.get("/metrics", tags=["operations"], response_class=Response)
    def metrics(_: Request) -> Response:
        """All workers' counts, for Prometheus."""
        return Response(counts.exposition(), media_type=_EXPOSITION)


def _lifespan(counts: Counts, key_uses: KeyUses) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(_leave_counts(counts)), asyncio.create_task(_write_uses(key_uses))]
        yield
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        _leave_once(counts)
        await asyncio.to_thread(key_uses.write)

    return lifespan


async def _leave_counts(counts: Counts) -> None:
    while True:
        _leave_once(counts)
        await asyncio.sleep(_ROUND_SECONDS)


async def _write_uses(key_uses: KeyUses) -> None:
    while True:
        await asyncio.sleep(_ROUND_SECONDS)
        await asyncio.to_thread(key_uses.write)


def _leave_once(counts: Counts) -> None:
    try:
        counts.leave_for_others()
    except OSError as error:
        _log.warning("counts cannot be left for the other workers: %s", error)
