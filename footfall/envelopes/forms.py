"""What an envelope looks like: one reader for the forms of all SDKs and plugins.

    {"pkv", "ekey", "flush_time", "payloads": [...]}      Android, iOS, Web and mini-program (RSA, SM2)
    {"pkv", "ekey", "flush_time", "payloads": "..."}      the same, transport encryption: all events in one
    {"key_id", "key_hash", "nc", "payload(s)": ...}       Web and mini-program under a key of both sides (AES)

Which of them it is shows in the object itself, not in the request's `gzip` field: some plugins send none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import pybase64
from msgspec import Raw

from footfall.events.faults import is_encrypted
from footfall.events.limits import BATCH_RECORDS
from footfall.events.reasons import Reason

_LONGEST_EKEY: Final = 1_024  # characters; RSA with 4096 bits needs 684
_LONGEST_VERSION: Final = 64
_MOST_FIELDS: Final = 100
_LATEST_MS: Final = 1 << 53

_NO_BASE64: Final = b"\r\n\t"
_REPAIR: Final = bytes.maketrans(b" -_", b"++/")
_VERSION: Final = re.compile(r"[!-~]{1,64}")


class EnvelopeFault(Exception):  # noqa: N818 - reads as what it is
    """Why an envelope, or one of its payloads, holds no record: `field` says where in it."""

    def __init__(self, reason: Reason, field: str, message: str, *, secret: bool = False) -> None:
        """`secret`: it was found out with the help of a private key, so only its owner may learn what it
        was.
        """
        super().__init__(message)
        self.reason = reason
        self.field = field
        self.message = message
        self.secret = secret


class Sealed(NamedTuple):
    """An envelope."""

    version: str  # the `pkv`, or the `key_id` of a key that both sides have
    ekey: bytes  # b"": sealed with a key of both sides
    flush_time: int | None  # epoch ms
    payloads: list[bytes]  # base64
    field: str  # of the payloads: "payloads" or "payload"
    is_text: bool  # that field is one string, not a list

    def place(self, index: int) -> str:
        """`payloads[3]`."""
        return self.field if self.is_text else f"{self.field}[{index}]"


_read_object = msgspec.json.Decoder(dict[str, Raw]).decode
_read_payloads = msgspec.json.Decoder(str | list[str]).decode
_read_version = msgspec.json.Decoder(int | str).decode
_read_ekey = msgspec.json.Decoder(str).decode
_read_any = msgspec.json.Decoder().decode
_write = msgspec.json.Encoder().encode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def read_envelope(element: bytes) -> Sealed | None:
    """None: this is no envelope. Raises EnvelopeFault for one that cannot be right."""
    if b'"payload' not in element and b'"ekey"' not in element:
        return None
    try:
        fields: dict[str, Any] = _read_object(element)
    except _UNREADABLE:
        return None
    if len(fields) > _MOST_FIELDS or not is_encrypted(fields):
        return None
    name = "payloads" if "payloads" in fields else "payload"
    if name not in fields:
        raise _malformed("payloads", "an envelope needs payloads: base64, or a list of it")
    payloads = _decode(_read_payloads, fields[name], name, "base64, or a list of it")
    texts = [payloads] if isinstance(payloads, str) else payloads
    if not texts:
        raise _malformed(name, "an envelope without payloads holds nothing")
    if len(texts) > BATCH_RECORDS:
        message = f"{len(texts)} payloads in one envelope, at most {BATCH_RECORDS} are allowed"
        raise EnvelopeFault(Reason.TOO_MANY_RECORDS, name, message)
    ekey = _ekey(fields["ekey"]) if "ekey" in fields else b""
    version = _version(fields, "pkv" if "ekey" in fields else "key_id")
    sealed = [text.encode(errors="replace") for text in texts]
    return Sealed(version, ekey, _flush_time(fields), sealed, name, isinstance(payloads, str))


def _malformed(field: str, message: str) -> EnvelopeFault:
    return EnvelopeFault(Reason.MALFORMED_ENVELOPE, field, message)


def _decode(read: Any, raw: Raw, field: str, words: str) -> Any:
    try:
        return read(raw)
    except _UNREADABLE:
        raise _malformed(field, f"{field} must be {words}") from None


def _version(fields: dict[str, Any], field: str) -> str:
    if field not in fields:
        raise _malformed(field, f"an envelope needs {field}: which key it is sealed to")
    text = str(_decode(_read_version, fields[field], field, "a number or a short text")).strip()
    if not _VERSION.fullmatch(text):
        raise _malformed(field, f"{field} has 1 to {_LONGEST_VERSION} printable characters without spaces")
    return text


def _ekey(raw: Raw) -> bytes:
    text = _decode(_read_ekey, raw, "ekey", "base64")
    ekey = unbase64(text.encode(errors="replace")) if len(text) <= _LONGEST_EKEY else None
    if not ekey:
        raise _malformed("ekey", f"ekey must be base64 of 1 to {_LONGEST_EKEY * 3 // 4} bytes")
    return ekey


def _flush_time(fields: dict[str, Any]) -> int | None:
    """The moment of sending, if it says one: nothing about it costs an event."""
    try:
        value = _read_any(fields["flush_time"]) if "flush_time" in fields else None
    except _UNREADABLE:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = int(value)
    return value if type(value) is int and 0 < value < _LATEST_MS else None


def unbase64(text: bytes) -> bytes | None:
    """Lenient as with plain records: either alphabet, padding or none, a space for '+'. None: no base64."""
    text = text.translate(_REPAIR, _NO_BASE64).rstrip(b"=")
    try:
        raw: bytes = pybase64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None
    return raw


_KEPT: Final = {
    "pkv": 100,
    "ekey": 2 * _LONGEST_EKEY,
    "flush_time": 100,
    "key_id": 100,
    "key_hash": 200,
    "nc": 100,
}
"""What an envelope is opened by, and how long that is at most."""


class Remains:
    """What rests of an envelope as dead letters: the same envelope with some of its payloads."""

    def __init__(self, element: bytes, sealed: Sealed) -> None:
        self._element = element
        self._sealed = sealed
        self._fields: dict[str, Any] | None = None

    def of(self, indexes: Sequence[int]) -> bytes:
        """With the payloads at these indexes."""
        if len(self._sealed.payloads) == len(indexes):
            return self._element
        if self._fields is None:  # once: it may be megabytes, and have thousands of bad payloads
            fields = _read_object(self._element).items()
            self._fields = {name: value for name, value in fields if len(bytes(value)) <= _KEPT.get(name, 0)}
        payloads = [self._sealed.payloads[index].decode() for index in indexes]
        return _write({**self._fields, self._sealed.field: payloads})
