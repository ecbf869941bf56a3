"""Bodies, with bounded memory: read up to a limit, decompressed up to a limit."""

from __future__ import annotations

import zlib
from typing import Final

import zstandard

from collector.answers import BodyTooLarge, Headers, Overloaded, Receive, UnknownEncoding, UnreadableBody

KEPT_BYTES: Final = 64 * 1024  # of a body over the limit, for its dead letter
_DRAINED: Final = 4  # times the limit: read and forgotten, so that the client hears the answer
_ZSTD_WINDOW: Final = 8 * 1024 * 1024
_ZSTD_CRUMB: Final = 256
_ZSTD_HEAD: Final = 18  # at most so many bytes of a frame say how much is in it
_GZIP_PIECE: Final = 64 * 1024  # unpacked at once: blocks that the allocator has at hand, not fresh pages
_MEMBERS: Final = 64  # files one behind the other: taking apart thousands of tiny ones would be quadratic


class ClientGone(Exception):  # noqa: N818 - reads as what it is
    """The client closed the connection before its body was complete: nobody is left to answer."""


class Room:
    """How many body bytes the worker holds right now, and how many it may."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes

    def take(self, size: int) -> None:
        """Raises Overloaded when there is no room."""
        if size > self._left:
            raise Overloaded("too many bytes are being received at once")
        self._left -= size

    def give_back(self, size: int) -> None:
        self._left += size


async def read_body(receive: Receive, headers: Headers, limit: int, room: Room) -> bytes:
    """The body; the caller gives its size back to `room`. Raises BodyTooLarge, Overloaded, ClientGone."""
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > limit * _DRAINED:
        raise BodyTooLarge(_too_large("body", limit))
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    more_body: bool = message.get("more_body", False)
    if not more_body and len(body) <= limit:
        room.take(len(body))
        return body
    return await _read_parts(receive, body, more_body, limit, room)


async def _read_parts(receive: Receive, part: bytes, more_body: bool, limit: int, room: Room) -> bytes:
    parts: list[bytes] = []
    size = taken = 0
    try:
        while True:
            size += len(part)
            if size - len(part) <= limit:
                if size > limit:  # from here on it is only drained; a dead letter shows how it began
                    part = part[:KEPT_BYTES]
                room.take(len(part))
                taken += len(part)
                parts.append(part)
            elif size > limit * _DRAINED:
                break
            if not more_body:
                break
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part, more_body = message.get("body", b""), message.get("more_body", False)
        if size > limit:
            raise BodyTooLarge(_too_large("body", limit), b"".join(parts)[:KEPT_BYTES])
    except BaseException:
        room.give_back(taken)
        raise
    return b"".join(parts)


def decompress(body: bytes, encoding: bytes, limit: int) -> bytes:
    """The body as the client had it, at most `limit` bytes of it.

    Raises BodyTooLarge, UnknownEncoding, and UnreadableBody for damaged or cut-off data.
    """
    if encoding in (b"", b"identity"):
        return body
    if encoding == b"gzip":
        return gunzip(body, limit)
    if encoding == b"zstd":
        return _unzstd(body, limit)
    raise UnknownEncoding(f"{encoding[:40].decode('latin-1')!r}: send gzip, zstd, or the plain body")


def gunzip(body: bytes, limit: int) -> bytes:
    """All members of a gzip file, one behind the other. Errors as of `decompress`."""
    parts: list[bytes] = []
    size = position = 0
    for _ in range(_MEMBERS):
        if position >= len(body):
            return parts[0] if len(parts) == 1 else b"".join(parts)
        stream = zlib.decompressobj(31)
        piece = b""
        try:
            while not stream.eof:
                if not piece:
                    piece = body[position : position + _GZIP_PIECE]
                    position += len(piece)
                part = stream.decompress(piece, _GZIP_PIECE)
                if not (piece or part):
                    raise UnreadableBody("the gzip data is cut off")
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise BodyTooLarge(_too_large("decompressed body", limit), body[:KEPT_BYTES])
                piece = stream.unconsumed_tail
        except zlib.error as error:
            raise UnreadableBody(f"not gzip: {error}") from None
        position -= len(stream.unused_data)
        if position < len(body):  # padding is allowed behind a member
            position = len(body) - len(body[position:].lstrip(b"\0"))
    raise UnreadableBody(f"more than {_MEMBERS} gzip members in one body")


def _unzstd(body: bytes, limit: int) -> bytes:
    """Fed in crumbs: one crumb cannot become more than some megabytes, and a cut-off frame is noticed."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    parts: list[bytes] = []
    size = position = 0
    for _ in range(_MEMBERS):
        if position >= len(body):
            return b"".join(parts)
        stream = decompressor.decompressobj()
        try:
            if _told_size(body[position : position + _ZSTD_HEAD]) > limit - size:
                raise BodyTooLarge(_too_large("decompressed body", limit), body[:KEPT_BYTES])
            while not stream.eof and position < len(body):
                parts.append(stream.decompress(body[position : position + _ZSTD_CRUMB]))
                position = min(position + _ZSTD_CRUMB, len(body))
                size += len(parts[-1])
                if size > limit:
                    raise BodyTooLarge(_too_large("decompressed body", limit), body[:KEPT_BYTES])
        except zstandard.ZstdError as error:
            raise UnreadableBody(f"not zstd: {error}") from None
        if not stream.eof:
            raise UnreadableBody("the zstd data is cut off")
        position -= len(stream.unused_data)
    raise UnreadableBody(f"more than {_MEMBERS} zstd frames in one body")


def _told_size(head: bytes) -> int:
    """How much a zstd frame says is in it; -1 where it does not say."""
    try:
        return zstandard.frame_content_size(head)
    except zstandard.ZstdError:
        return -1  # what is wrong with it shows when it is unpacked


def _too_large(what: str, limit: int) -> str:
    return f"the {what} has more than {limit} bytes, which is the limit: send smaller batches"
