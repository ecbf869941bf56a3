"""Answers to clients: bodies, headers, CORS, problems. One table from failure to HTTP status.

Problem
├── Unauthorized      401  no key, or one that opens nothing
├── NotAllowed        405  another method
├── BodyTooLarge      413  the body, or what it unpacks to, or its number of records
├── UnknownEncoding   415  a Content-Encoding that is not gzip or zstd
├── UnreadableBody    400  what no record can be found in
├── WrongProject      403  the key does not open the project in the URL
└── Overloaded        503  try again: nothing was stored
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar, Final, NamedTuple

import orjson

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]
Headers = dict[bytes, bytes]

ANSWER_EXTENSION: Final = "footfall.answer"
"""Extension of the ASGI scope, and type of its one message {"type", "answer"}: a whole Answer at once."""

_PIXEL: Final = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
_JSON: Final = (b"content-type", b"application/json")
_ORIGIN: Final = re.compile(rb"[\x21-\x7e]+\Z")


class Answer(NamedTuple):
    """What goes back."""

    status: int
    headers: list[Header]
    body: bytes


EMPTY: Final = Answer(200, [(b"content-length", b"0")], b"")
PIXEL: Final = Answer(
    200,
    [
        (b"content-type", b"image/gif"),
        (b"content-length", b"%d" % len(_PIXEL)),
        (b"cache-control", b"no-store"),
    ],
    _PIXEL,
)


SILENCE: Final = Answer(0, [], b"")
"""The connection is closed without an answer."""

_REFUSED: Final = Answer(503, [(b"retry-after", b"5"), (b"content-length", b"0")], b"")


class Problem(Exception):  # noqa: N818 - reads as what it is
    """A request that fails as a whole; see the module's table."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    closes: ClassVar[bool] = True  # the rest of the body may still be on its way
    headers: tuple[Header, ...] = ()

    def answer(self) -> Answer:
        """As application/problem+json (RFC 9457)."""
        body = orjson.dumps({"title": self.title, "status": self.status, "detail": str(self)})
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            *self.headers,
        ]
        if self.closes:
            headers.append((b"connection", b"close"))
        return Answer(self.status, headers, body)


class Unauthorized(Problem):
    status = 401
    title = "Unknown key"
    headers = ((b"www-authenticate", b"Bearer"),)


class NotAllowed(Problem):
    status = 405
    title = "Method not allowed"

    def __init__(self, message: str, allowed: str = "POST, OPTIONS") -> None:
        super().__init__(message)
        self.headers = ((b"allow", allowed.encode()),)


class BodyTooLarge(Problem):
    status = 413
    title = "Body too large"

    def __init__(self, message: str, kept: bytes = b"") -> None:
        super().__init__(message)
        self.kept = kept  # the beginning of it


class UnknownEncoding(Problem):
    status = 415
    title = "Unknown Content-Encoding"
    headers = ((b"accept-encoding", b"gzip, zstd"),)


class UnreadableBody(Problem):
    status = 400
    title = "Unreadable body"
    closes = False


class WrongProject(Problem):
    status = 403
    title = "Wrong project"


class Overloaded(Problem):
    status = 503
    title = "Try again later"

    def __init__(self, message: str, *, retry_after: int = 5) -> None:
        """`retry_after`: in so many seconds it is worth coming again."""
        super().__init__(message)
        self.retry_after = retry_after

    def answer(self) -> Answer:
        answer = super().answer()
        return answer._replace(headers=[*answer.headers, (b"retry-after", b"%d" % self.retry_after)])


class InternalError(Problem):
    """A bug of ours. 503, not 500: clients keep their data over it."""

    status = 503
    title = "Internal error"
    headers = ((b"retry-after", b"30"),)


def json_answer(body: bytes, status: int = 200) -> Answer:
    return Answer(status, [_JSON, (b"content-length", b"%d" % len(body))], body)


def preflight(headers: Headers) -> Answer:
    """The answer to OPTIONS."""
    allowed = [
        (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
        (
            b"access-control-allow-headers",
            b"Dry-Run, Content-Type, Content-Encoding, Authorization",
        ),
        (b"access-control-max-age", b"86400"),
    ]
    return with_cors(Answer(204, allowed, b""), headers)


def with_cors(answer: Answer, headers: Headers) -> Answer:
    """The answer with what a browser of another origin needs to be allowed to read it."""
    origin = headers.get(b"origin")
    if origin is None or not _ORIGIN.match(origin):
        return answer
    added = [
        (b"access-control-allow-origin", origin),
        # The Web SDK's debug mode asks with credentials. None of ours come by themselves: no cookie is read.
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    ]
    return answer._replace(headers=[*answer.headers, *added])


async def send_answer(scope: Scope, send: Send, answer: Answer) -> None:
    """In one message where the server understands that (collector/protocol.py), else as ASGI has it.

    ASGI knows no silence: it is 503 there.
    """
    if ANSWER_EXTENSION in scope.get("extensions", ()):
        await send({"type": ANSWER_EXTENSION, "answer": answer})
        return
    if answer is SILENCE:
        answer = _REFUSED
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})
