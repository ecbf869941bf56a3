"""Writes into the audit log who uses keys, and who tries some that open nothing: once an hour each.

Not a row for every query: that would be a flush to disk for each. The first use of a key from an address in
an hour is a row; so is the first time that it is refused. Guessing cannot fill the log: after so many rows an
hour what is refused is only counted, and the next hour's first row says how many there were.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from footfall.workspace.audit import FOOTFALL, Audit
from footfall.workspace.workspace import fingerprint
from query_api.problems import Busy
from query_api.routes.front import problem_response

MOST_REFUSED = 100
"""Rows of refused keys an hour."""

MOST_USED = 10_000
"""Rows of working keys an hour: of so many addresses."""

_HOUR = 3600
_logger = structlog.get_logger("query_api")


class KeyUse:
    """Middleware around the whole app. Of one event loop."""

    def __init__(
        self,
        app: ASGIApp,
        audit: Callable[[], Audit],
        in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
        local_key: str | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` gives seconds; `local_key` is nobody's: its commands are recorded by what they do."""
        self._app = app
        self._audit = audit
        self._in_thread = in_thread
        self._local_key = local_key
        self._clock = clock
        self._hour = 0
        self._seen: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}
        self._uncounted = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        key = _key(scope)
        failed = False

        async def notice(message: Message) -> None:
            nonlocal failed
            if message["type"] == "http.response.start":
                failed = not await self._recorded(key, scope, message["status"])
                if failed:
                    problem = Busy("the audit log cannot be written now", code="unavailable", retry_after=2)
                    await problem_response(problem)(scope, receive, send)
            if not failed:
                await send(message)

        await self._app(scope, receive, notice)

    async def _recorded(self, key: str, scope: Scope, status: int) -> bool:
        """Whether the answer may go."""
        works = status not in (401, 403)
        if (works and not key) or (key and key == self._local_key):
            return True
        address = (scope.get("client") or ("", 0))[0]
        named = f"key {fingerprint(key)}" if key else "no key"
        if not self._is_first(works, (named, address)):
            return True
        action, detail = ("key.use" if works else "key.refuse"), {"address": address, "status": status}
        missed, self._uncounted = self._uncounted, 0
        if missed:
            detail["refused_uncounted"] = missed
        try:
            await self._in_thread(lambda: self._audit().record(FOOTFALL, action, "", named, detail))
        except Exception:
            self._seen[works].discard((named, address))
            self._uncounted += missed
            _logger.exception("the use of a key could not be recorded")
            return False
        return True

    def _is_first(self, works: bool, who: tuple[str, str]) -> bool:
        hour = int(self._clock()) // _HOUR
        if hour != self._hour:
            self._hour = hour
            self._seen = {True: set(), False: set()}
        seen = self._seen[works]
        if who in seen:
            return False
        if len(seen) >= (MOST_USED if works else MOST_REFUSED):
            self._uncounted += not works
            return False
        seen.add(who)
        return True


def _key(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"authorization":
            return bytes(value).decode("latin-1").partition(" ")[2].strip()[:500]
    return ""
