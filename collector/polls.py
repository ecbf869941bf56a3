"""What apps and pages with Sensors Analytics' SDKs ask beside sending: configuration. Nothing is stored.

`/config/Android.conf`, `/config/iOS.conf`: 304 unless an operator has set something that the client does not
have yet, since a 200 makes it send an event about that. `/config/visualized/...`: 205, codeless events are
off; to the Web SDK as a call of the one function it has for this. `/mp_login`: we know no open ids.

It is answered, too, while the disk is full or the workspace away: clients ask again in a day, and keep
what they have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Final, NamedTuple

import orjson

from collector.answers import (
    Answer,
    Headers,
    Overloaded,
    Receive,
    Scope,
    Send,
    json_answer,
    preflight,
    send_answer,
    with_cors,
)
from collector.counts import Counts
from collector.envelopes import Fields, plain, read_fields
from collector.memory import Budget, Memory
from collector.options import CollectorOptions
from footfall.workspace.projects import DEFAULT_PROJECT
from footfall.workspace.remote_config import Published, RemoteConfig, of_app, publish

REMOTE: Final = ("/config/Android.conf", "/config/iOS.conf")
VISUAL: Final = ("/config/visualized/Android.conf", "/config/visualized/iOS.conf")
VISUAL_WEB: Final = "/config/visualized/Web.conf"
MP_LOGIN: Final = "/mp_login"

POLL_NAMES: Final = frozenset({"Android.conf", "iOS.conf", "Web.conf", "mp_login"})
"""Last path segments."""

_CALLBACK: Final = b"saJSSDKVtrackCollectConfig"
_VISUAL_OFF: Final = _CALLBACK + b"(205)"

_NOT_STORED: Final = (b"cache-control", b"no-store")
_NO_BODY: Final = (b"content-length", b"0")
_UNCHANGED: Final = Answer(304, [_NOT_STORED], b"")
_RESET: Final = Answer(205, [_NOT_STORED, _NO_BODY], b"")
_METHODS: Final = ("GET", "HEAD", "POST", "OPTIONS")


class AppsSettings(NamedTuple):
    """What a project's apps are told."""

    configs: Mapping[str, RemoteConfig]  # by app
    keys: Mapping[str, Any]  # the entries that publish keys for encrypted uploads

    def of(self, app_id: str) -> Published | None:
        """None if nobody has set anything."""
        config = of_app(self.configs, app_id)
        if config is None and not self.keys:
            return None
        return publish(config or RemoteConfig(), self.keys)


class Polls:
    """Raw ASGI application of these paths, at any path prefix."""

    name: Final = "config"

    def __init__(
        self, settings_of: Callable[[str], AppsSettings | None], options: CollectorOptions, counts: Counts
    ) -> None:
        """`settings_of` a project, None where there are none; may block, and is called in threads."""
        self._counts = counts
        self._settings: Memory[AppsSettings] = Memory(
            settings_of, options.project_seconds, options.unknown_seconds, Budget(options.lookups_per_second)
        )

    def takes(self, path: str) -> bool:
        """Whether it answers this path."""
        return path.endswith((*REMOTE, *VISUAL, VISUAL_WEB, MP_LOGIN))

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        started = perf_counter()
        headers: Headers = dict(scope["headers"])
        if scope["method"] == "OPTIONS":
            answer = preflight(headers)
        elif scope["method"] not in _METHODS:
            answer = Answer(405, [(b"allow", b"GET, HEAD, POST, OPTIONS"), _NO_BODY], b"")
        else:
            answer = with_cors(await self._answer(scope["path"], read_fields(scope["query_string"])), headers)
        if scope["method"] == "HEAD":
            answer = answer._replace(body=b"")
        self._counts.answered(self.name, answer.status, perf_counter() - started)
        await send_answer(scope, send, answer)

    async def _answer(self, path: str, query: Fields) -> Answer:
        if path.endswith(REMOTE):
            return await self._remote_config(query)
        if path.endswith(VISUAL):
            return _RESET
        if path.endswith(VISUAL_WEB):
            return _visual_web(query)
        return json_answer(b"{}")

    async def _remote_config(self, query: Fields) -> Answer:
        try:
            settings = await self._settings.find(_field(query, b"project") or DEFAULT_PROJECT)
        except Overloaded:
            settings = None
        published = settings.of(_field(query, b"app_id")) if settings is not None else None
        if published is None:
            return _UNCHANGED
        if (_field(query, b"v") or _field(query, b"nv")) == published.version:
            return _UNCHANGED
        answer = json_answer(published.body)
        return answer._replace(headers=[*answer.headers, _NOT_STORED])


def _field(query: Fields, name: bytes) -> str:
    return plain(query[name]) if name in query else ""


def _visual_web(query: Fields) -> Answer:
    """A script for the one callback; what else a URL asks to be called is not, and not repeated either."""
    if query.get(b"callbackName", b"").strip() != _CALLBACK:
        problem = {
            "title": "Unknown callback",
            "status": 400,
            "detail": f"callbackName must be {_CALLBACK.decode()}, the function of the Web SDK",
        }
        return _fixed(400, b"application/problem+json", orjson.dumps(problem))
    return _fixed(200, b"application/javascript; charset=utf-8", _VISUAL_OFF)


def _fixed(status: int, content_type: bytes, body: bytes) -> Answer:
    """A body that browsers take for nothing else than it says."""
    headers = [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
        _NOT_STORED,
    ]
    return Answer(status, headers, body)
