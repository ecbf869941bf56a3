"""What both doors do the same way: admit a request, read its body, answer it, count it."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import ClassVar, Final, NamedTuple
from urllib.parse import parse_qsl

from collector.answers import (
    Answer,
    Headers,
    InternalError,
    Overloaded,
    Problem,
    Receive,
    Scope,
    Send,
    preflight,
    send_answer,
    with_cors,
)
from collector.aside import Aside, Pace, at_once
from collector.bodies import ClientGone, Room, read_body
from collector.budgets import Turnstile
from collector.counts import Counts, Judged
from collector.intake import Appended, Intake, Origin
from collector.key_use import KeyUses
from collector.keys import Keys
from collector.options import CollectorOptions
from collector.proxies import TrustedProxies
from footfall.events.names import KnownNames
from footfall.events.verdicts import Door as Records
from footfall.events.verdicts import Judge

_USER_AGENT_LENGTH: Final = 1_024
_HOLD_LOOK_SECONDS: Final = 0.1
_log = logging.getLogger(__name__)


class Collaborators:
    """What the doors of one worker share."""

    def __init__(
        self,
        options: CollectorOptions,
        keys: Keys,
        intake: Intake,
        counts: Counts,
        *,
        full: Callable[[], str | None],
        key_uses: KeyUses,
    ) -> None:
        self.options = options
        self.keys = keys
        self.intake = intake
        self.counts = counts
        self.full = full
        self.key_uses = key_uses
        self.room = Room(options.bytes_at_once)
        self.proxies = TrustedProxies(options.trusted_proxies)
        self.turnstile = Turnstile(options)
        self.aside = Aside(options.heavy_at_once)


NOTHING: Final = Judged({}, 0)


class Taken(NamedTuple):
    """A request that was judged."""

    answer: Answer
    appended: Appended | None = None
    """What must be durable before the answer is sent."""

    judged: Judged = NOTHING
    """What the metrics count once it is: a batch that is answered 503 and sent again counts once."""


class Door(ABC):
    """A way in: a raw ASGI application, called before any middleware."""

    name: ClassVar[str]
    holds: ClassVar[bool] = False
    """Whether a request waits a while for room on the disk, since its client would not send it again."""

    def __init__(self, collaborators: Collaborators, reads: Records, known: KnownNames) -> None:
        self.options = collaborators.options
        self.keys = collaborators.keys
        self.intake = collaborators.intake
        self.counts = collaborators.counts
        self.full = collaborators.full
        self.key_uses = collaborators.key_uses
        self.room = collaborators.room
        self.proxies = collaborators.proxies
        self.turnstile = collaborators.turnstile
        self._aside = collaborators.aside
        self._light = Pace(Judge(reads, known), at_once, patient=False)
        self._heavy = Pace(Judge(reads, known), self._aside.run, patient=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        counts = self.counts
        headers: Headers = dict(scope["headers"])
        counts.in_work += 1
        try:
            if scope["method"] == "OPTIONS":
                answer = preflight(headers)
            elif counts.in_work > self.options.requests_at_once:
                raise Overloaded("too many requests at once")
            elif self.full() is not None and (reason := await self._hold()) is not None:
                counts.log_refusals += 1
                raise Overloaded(reason)
            else:
                answer, appended, judged = await self.take(scope, headers, receive)
                # From here on nothing refers to the body or its records: what waits for the disk is small.
                if appended is not None:
                    await self.intake.wait(appended)
                    counts.stored(self.name, judged)
        except Overloaded as problem:
            answer = self.overloaded(problem, headers)
        except Problem as problem:
            answer = problem.answer()
        except ClientGone:
            counts.clients_gone += 1
            return
        except Exception:  # noqa: BLE001 - a bug must cost one request, and its client no data
            _log.exception("%s %s failed", scope["method"], scope["path"])
            answer = InternalError("an error of the collector's own; it is in its log").answer()
        finally:
            counts.in_work -= 1
        if b"origin" in headers and answer.status not in (0, 204):
            answer = with_cors(answer, headers)
        counts.answered(self.name, answer.status or Overloaded.status, perf_counter() - started)
        await send_answer(scope, send, answer)

    def overloaded(self, problem: Overloaded, headers: Headers) -> Answer:  # noqa: ARG002 - for other doors
        """What a client hears whose request was not stored for now."""
        return problem.answer()

    async def _hold(self) -> str | None:
        """Why there is still no room, after a wait where this door waits; None once there is.

        The body is unread meanwhile: what is held takes a connection and no memory.
        """
        if self.holds and self.counts.held < self.options.held_at_once:
            self.counts.held += 1
            try:
                for _ in range(round(self.options.hold_seconds / _HOLD_LOOK_SECONDS)):
                    await asyncio.sleep(_HOLD_LOOK_SECONDS)
                    if self.full() is None:
                        return None
            finally:
                self.counts.held -= 1
        return self.full()

    @abstractmethod
    async def take(self, scope: Scope, headers: Headers, receive: Receive) -> Taken:
        """Judges a request that is neither a preflight nor too much. May raise Problem, ClientGone."""

    async def read(self, headers: Headers, receive: Receive) -> bytes:
        """The body as it came. The caller gives its size back to `room`."""
        body = await read_body(receive, headers, self.options.limits.body_bytes, self.room)
        self.counts.body_bytes[self.name] += len(body)
        return body

    def origin(self, scope: Scope, headers: Headers) -> Origin:
        """Where a request comes from."""
        agent = headers.get(b"user-agent", b"")[:_USER_AGENT_LENGTH]
        client = scope.get("client")
        ip: str = client[0] if client else ""
        if b"x-forwarded-for" in headers and self.proxies.trusts(ip):
            lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
            ip = self.proxies.client_of(ip, lines)
        return Origin(self.name, ip, agent.decode("latin-1"))


def query_of(scope: Scope) -> Mapping[str, str]:
    """The URL's parameters; the last of a name counts."""
    query: bytes = scope["query_string"]
    return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else {}
