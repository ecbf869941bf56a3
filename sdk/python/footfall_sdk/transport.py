"""One batch over HTTP, and what its answer means for the batch.

An answer is acknowledged only by a 200 with a verdict of ours in it: a proxy's friendly page is not one.
"""

from __future__ import annotations

import gzip
import http.client
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from urllib.parse import urlsplit

import orjson

from footfall_sdk.records import now_ms, with_sent_at
from footfall_sdk.version import VERSION

_MAX_ANSWER_BYTES = 4 * 1024 * 1024
_KEPT_UNTIL_FIXED = frozenset({301, 302, 303, 307, 308, 401, 403, 404, 405, 407})
_RETRIED = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Rejection:
    """The server's verdict on a record that it turned away."""

    reason: str
    field: str
    message: str


class Outcome(Enum):
    """What to do with the batch."""

    ACCEPTED = "remove it"
    RETRY = "send it again later"
    MISCONFIGURED = "keep it until somebody has fixed the key or the address"
    TOO_LARGE = "send less at once"
    REFUSED = "find the record that the server cannot read"


@dataclass(frozen=True, slots=True)
class Answer:
    """`rejections` are by index in the batch; `retry_after_seconds` is the server's wish."""

    outcome: Outcome
    detail: str  # for the log
    rejections: dict[int, Rejection]
    retry_after_seconds: float = 0.0


class Transport:
    """Posts batches over one kept-alive connection. One thread at a time."""

    def __init__(
        self, url: str, write_key: str, timeout_seconds: float, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        """`url` is http(s)://host[:port][/prefix]; an impossible one, or key, makes answers MISCONFIGURED."""
        self._url = url
        self._key_is_possible = (
            isinstance(write_key, str)
            and len(write_key) > 0
            and write_key.isascii()
            and write_key.isprintable()
        )
        self._timeout = timeout_seconds
        self._ssl_context = ssl_context
        self._connection: http.client.HTTPConnection | None = None
        self._headers = {
            "Authorization": f"Bearer {write_key}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "User-Agent": f"footfall-python/{VERSION}",
        }

    def post(self, records: Sequence[bytes]) -> Answer:
        """Sends the records; every failure of the network is an Answer, too."""
        sent_at = now_ms(time.time())
        body = b"[" + b",".join(with_sent_at(record, sent_at) for record in records) + b"]"
        try:
            status, headers, answer = self._request(gzip.compress(body, 5, mtime=0))
        except (ValueError, http.client.InvalidURL) as error:
            return Answer(Outcome.MISCONFIGURED, f"cannot post to {self._url!r}: {error}", {})
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Answer(Outcome.RETRY, f"{type(error).__name__}: {error}", {})
        return read_answer(status, headers, answer)

    def close(self) -> None:
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
            self._connection = None

    def _request(self, body: bytes) -> tuple[int, http.client.HTTPMessage, bytes]:
        reused = self._connection is not None
        try:
            return self._exchange(body)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.close()
            if not reused:
                raise
            return self._exchange(body)  # the server had closed an idle connection

    def _exchange(self, body: bytes) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = self._connection = self._connection or self._connect()
        connection.request("POST", f"{urlsplit(self._url).path.rstrip('/')}/v1/events", body, self._headers)
        response = connection.getresponse()
        answer = response.read(_MAX_ANSWER_BYTES)
        if response.will_close or not response.isclosed():
            self.close()
        return response.status, response.headers, answer

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the server's address must look like http://host:8106")
        if not self._key_is_possible:  # http.client would say it with the key in its message
            raise ValueError(
                "there is no write key, or it has characters that none has, as the end of a line"
            )
        if parts.scheme == "http":
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=self._timeout)
        context = self._ssl_context or ssl.create_default_context()
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=self._timeout, context=context)


def read_answer(status: int, headers: http.client.HTTPMessage, body: bytes) -> Answer:
    """What an HTTP answer means for the batch."""
    detail = f"HTTP {status}"
    if status == http.client.OK:
        return _read_verdicts(body)
    if status == http.client.REQUEST_ENTITY_TOO_LARGE:
        return Answer(Outcome.TOO_LARGE, detail, {})
    if status in _KEPT_UNTIL_FIXED:
        return Answer(Outcome.MISCONFIGURED, f"{detail}: {_excerpt(body)}", {})
    if status in _RETRIED or status >= http.client.INTERNAL_SERVER_ERROR or status < http.client.BAD_REQUEST:
        return Answer(Outcome.RETRY, detail, {}, _retry_after(headers.get("Retry-After")))
    return Answer(Outcome.REFUSED, f"{detail}: {_excerpt(body)}", {})


def _read_verdicts(body: bytes) -> Answer:
    try:
        verdicts = orjson.loads(body)
        accepted, rejected = verdicts["accepted"], verdicts["rejected"]
        rejections = {int(v["index"]): _read_rejection(v) for v in rejected}
    except (orjson.JSONDecodeError, TypeError, KeyError, ValueError, AttributeError):
        return Answer(Outcome.RETRY, f"HTTP 200, but not from Footfall: {_excerpt(body)}", {})
    return Answer(Outcome.ACCEPTED, f"{accepted} accepted", rejections)


def _read_rejection(verdict: dict[str, object]) -> Rejection:
    return Rejection(*(str(verdict.get(name) or "") for name in ("reason", "field", "message")))


def _retry_after(value: str | None) -> float:
    """Seconds of a Retry-After header, which holds seconds or a date; 0 if none or nonsense."""
    if not value:
        return 0.0
    try:
        return max(0.0, float(value)) if value.strip().isdigit() else _until(value)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _until(date: str) -> float:
    return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())


def _excerpt(body: bytes) -> str:
    return body[:200].decode("utf-8", "replace")
