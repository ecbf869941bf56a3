"""How Sensors Analytics' SDKs wrap records: form fields, base64, gzip. Nothing is stored here.

Clients, proxies and SDK versions differ, so this is lenient: whatever the Content-Type says the body is a
form; a space in base64 is a '+' that somebody decoded once too often; padding may be missing and the alphabet
may be the URL-safe one; gzip is known by its first bytes, not by the `gzip` field.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

import numpy as np
import pybase64

from collector.answers import UnreadableBody
from collector.bodies import gunzip
from footfall.events.limits import FORM_FIELDS

_GZIP_MAGIC: Final = b"\x1f\x8b"
_BASE64_REPAIR: Final = bytes.maketrans(b" -_", b"++/")
_NO_BASE64: Final = b"=\r\n\t"
_CHECKED_LENGTH: Final = 1 << 20

Fields = dict[bytes, bytes]
"""Form fields, values still percent-encoded."""


class Envelope(NamedTuple):
    """What a request carries."""

    text: bytes  # the JSON: one record or an array
    crc: str  # "match" | "mismatch" | "absent"
    gzip_code: str  # the `gzip` field: "0" (or absent), "1", "9", "13", "other"


def read_fields(form: bytes) -> Fields:
    """The fields of a urlencoded form or query; the last of a name counts, and what is behind FORM_FIELDS
    others belongs to the last: a body of separators must not become millions of fields.
    """
    fields: Fields = {}
    for pair in form.split(b"&", FORM_FIELDS):
        name, equals, value = pair.partition(b"=")
        if equals:
            fields[name.strip()] = value
    return fields


def plain(value: bytes) -> str:
    """A short field as text."""
    return unquote_to_bytes(value.replace(b"+", b" ")).decode(errors="replace").strip()


def open_envelope(fields: Fields, limit: int) -> Envelope | None:
    """The records' JSON, at most `limit` bytes of it; None if there is no field with data.

    Raises UnreadableBody and BodyTooLarge.
    """
    value = fields.get(b"data_list") or fields.get(b"data")
    if not value:
        return None
    code = fields.get(b"gzip", b"0").strip()
    gzip_code = code.decode() if code in (b"0", b"1", b"9", b"13") else "other"
    if value[:3].upper() in (b"%7B", b"%5B") or value[:1] in (b"{", b"["):
        text = unquote_to_bytes(value.replace(b"+", b" "))
        return Envelope(text, _check_crc(fields, text), gzip_code)
    encoded = unquote_to_bytes(value) if b"%" in value else value
    encoded = encoded.translate(_BASE64_REPAIR, _NO_BASE64)
    text = _decode_base64(encoded)
    if text.startswith(_GZIP_MAGIC):
        text = gunzip(text, limit)
    return Envelope(text, _check_crc(fields, encoded), gzip_code)


def _decode_base64(encoded: bytes) -> bytes:
    try:
        text: bytes = pybase64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        raise UnreadableBody("the data is not base64") from None
    return text


def _check_crc(fields: Fields, value: bytes) -> str:
    """Compares the checksum, if there is one, with the value's: a diagnostic, never a reason to refuse."""
    claimed = fields.get(b"crc")
    if claimed is None:
        for part in plain(fields.get(b"ext", b"")).split(","):
            if part.startswith("crc="):
                claimed = part[4:].encode()
    if claimed is None or len(value) > _CHECKED_LENGTH:
        return "absent"
    try:
        expected = int(claimed)
    except ValueError:
        return "mismatch"
    padded = value + b"=" * (-len(value) % 4)
    return "match" if java_hash(padded) == expected or java_hash(value) == expected else "mismatch"


_powers = np.ones(1, dtype=np.uint32)


def java_hash(text: bytes) -> int:
    """`String.hashCode()` of UTF-8 text: a signed 32-bit sum of code units times powers of 31.

    >>> java_hash(b"hello")
    99162322
    """
    global _powers  # noqa: PLW0603 - a table that grows to the longest text seen, at most 4 MiB
    units = (
        np.frombuffer(text, dtype=np.uint8)
        if text.isascii()
        else np.frombuffer(text.decode(errors="replace").encode("utf-16-le"), dtype=np.uint16)
    )
    if len(units) > len(_powers):
        with np.errstate(over="ignore"):
            _powers = np.cumprod(np.full(len(units) * 2, 31, dtype=np.uint32), dtype=np.uint32)
            _powers = np.concatenate([np.ones(1, dtype=np.uint32), _powers])
    with np.errstate(over="ignore"):
        total = int((units.astype(np.uint32) * _powers[: len(units)][::-1]).sum(dtype=np.uint32))
    return total - (1 << 32) if total >= 1 << 31 else total
