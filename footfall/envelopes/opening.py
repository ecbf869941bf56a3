"""From envelopes to the records inside: payload by payload, none of which can fail the others.

Which session keys an envelope needs is found out first (`wanted`), since opening those is slow and done by
the caller, off the event loop; then everything is opened (`unwrap`), with bounded memory.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4
from msgspec import Raw

from footfall.envelopes.curves import is_on_other_curve
from footfall.envelopes.forms import EnvelopeFault, Remains, Sealed, read_envelope, unbase64
from footfall.envelopes.keys import Algorithm, HeldKey, KeyRing
from footfall.events.faults import depth_exceeds
from footfall.events.limits import NESTING_DEPTH
from footfall.events.reasons import Reason
from footfall.events.record import split_array
from footfall.events.surrogates import join_surrogates

_BLOCK: Final = 16
_GZIP_MAGIC: Final = b"\x1f\x8b"
_LETTERS: Final = 4
CANNOT_OPEN: Final = "the envelope cannot be opened: another key, damaged, or encrypted in another way"
"""All that anybody without a secret key learns, whatever it was."""


class Asked(NamedTuple):
    """A session key that is needed: it may be cached by this."""

    key: HeldKey
    ekey: bytes


Sessions = Mapping[tuple[str, bytes], bytes | None]
"""(name of the key, ekey) -> the session key; None: that key does not open it."""


class Inner(NamedTuple):
    """A record from an envelope, or what takes its place as a dead letter, and why."""

    element: bytes
    fault: EnvelopeFault | None = None
    sealed: bool = False  # it came in an envelope


class Element(NamedTuple):
    """An element of a body."""

    raw: bytes
    sealed: Sealed | None  # None: a plain record
    fault: EnvelopeFault | None  # an envelope that cannot be right


class Room:
    """How many bytes may come out of a request's payloads together."""

    def __init__(self, limit: int) -> None:
        self.limit = self.left = limit

    def take(self, size: int, place: str) -> None:
        """Raises EnvelopeFault."""
        self.left -= size
        if self.left < 0:
            self.left = 0
            message = (
                f"the payloads hold more than {self.limit} bytes, which is the limit: send smaller batches"
            )
            raise EnvelopeFault(Reason.BODY_TOO_LARGE, place, message)


def read_element(raw: bytes) -> Element:
    """What an element is; never fails."""
    try:
        return Element(raw, read_envelope(raw), None)
    except EnvelopeFault as fault:
        return Element(raw, None, fault)


def wanted(elements: Sequence[Element], ring: KeyRing) -> list[Asked]:
    """The session keys that these envelopes need, each once, in their order."""
    asked: dict[tuple[str, bytes], Asked] = {}
    for element in elements:
        if element.sealed is not None:
            ekey = element.sealed.ekey
            for key in ring.candidates(element.sealed.version, ekey):
                asked.setdefault((key.name, ekey), Asked(key, ekey))
    return list(asked.values())


def unwrap(element: Element, ring: KeyRing, sessions: Sessions, room: Room) -> list[Inner]:
    """What is in an element: itself if it is a plain record, else at least one record or dead letter."""
    if element.fault is not None:
        return [Inner(element.raw, element.fault, sealed=True)]
    sealed = element.sealed
    if sealed is None:
        return [Inner(element.raw)]
    faults: list[EnvelopeFault] = []
    for key in ring.candidates(sealed.version, sealed.ekey):
        session = sessions.get((key.name, sealed.ekey))
        if session is None:
            continue
        inner, opened = _open(element.raw, sealed, key, session, room)
        # What SM2 opened was sealed to it. RSA and a key of both sides open anything as something.
        if opened or key.algorithm is Algorithm.SM2:
            return inner
        faults += [each.fault for each in inner if each.fault is not None]
    return [Inner(element.raw, _unopened(sealed, ring, faults), sealed=True)]


def _unopened(sealed: Sealed, ring: KeyRing, faults: Sequence[EnvelopeFault]) -> EnvelopeFault:
    too_large = next((fault for fault in faults if fault.reason is Reason.BODY_TOO_LARGE), None)
    if too_large is not None:
        return too_large
    pre_shared = not sealed.ekey
    names = ring.names(sealed.version, pre_shared=pre_shared)
    field = "key_id" if pre_shared else "pkv"
    if names:
        place = sealed.field if faults else "ekey"
        message = f"{' and '.join(names)} does not open {place}: sealed to another key, or damaged"
        return EnvelopeFault(Reason.ENCRYPTED, place, message, secret=True)
    if is_on_other_curve(sealed.ekey):
        message = "sealed by ECIES, whose parameters are not known yet: it waits"
        return EnvelopeFault(Reason.UNSUPPORTED_ENCRYPTION, "ekey", message)
    # A number rests with the dead letter: it tells which key is missing. Other texts are quoted, and
    # what is quoted does not rest: whoever made the envelope may have written anything.
    version = sealed.version if re.fullmatch("[0-9]{1,9}", sealed.version) else repr(sealed.version)
    message = f"no key with {field} {version}: once it is there, the envelope is opened by itself"
    return EnvelopeFault(Reason.ENCRYPTED, field, message)


def _open(raw: bytes, sealed: Sealed, key: HeldKey, session: bytes, room: Room) -> tuple[list[Inner], bool]:
    """The payloads' records, and whether any could be read.

    A dead letter repeats what the envelope is opened by, so letters of tiny payloads could be many times as
    large as what came: from _LETTERS times the envelope on, all bad payloads become one letter.
    """
    inner: list[Inner] = []
    rest: list[tuple[int, EnvelopeFault]] = []
    left = _LETTERS * len(raw)
    remains = Remains(raw, sealed)
    opened = False
    for index, payload in enumerate(sealed.payloads):
        place = sealed.place(index)
        try:
            text = _decrypt(payload, key.algorithm, session, place)
            if text.startswith(_GZIP_MAGIC):
                text = _gunzip(text, room, place)
            else:
                room.take(len(text), place)
            records = [with_flush_time(record, sealed.flush_time) for record in _records(text, place)]
            inner += [Inner(record, sealed=True) for record in records]
            opened = True
        except EnvelopeFault as fault:
            letter = remains.of([index]) if left > 0 else b""
            left -= len(letter)
            if letter:
                inner.append(Inner(letter, fault, sealed=True))
            else:
                rest.append((index, fault))
    if rest:
        inner.append(Inner(remains.of([index for index, _ in rest]), _fault_of_many(rest), sealed=True))
    return inner, opened


def _fault_of_many(bad: Sequence[tuple[int, EnvelopeFault]]) -> EnvelopeFault:
    """Of one letter for many payloads. If one of them is a secret, all are."""
    first = bad[0][1]
    message = f"{first.message}; and {len(bad) - 1} more payloads"
    return EnvelopeFault(first.reason, first.field, message, secret=any(fault.secret for _, fault in bad))


def _cannot_open(place: str, why: str) -> EnvelopeFault:
    return EnvelopeFault(Reason.UNDECRYPTABLE, place, f"{place} cannot be opened: {why}", secret=True)


def _decrypt(payload: bytes, algorithm: Algorithm, session: bytes, place: str) -> bytes:
    """CBC with PKCS #7 padding; the 16 bytes in front are the IV."""
    raw = unbase64(payload)
    if raw is None:
        raise EnvelopeFault(Reason.UNDECRYPTABLE, place, f"{place} is not base64")
    if len(raw) < 2 * _BLOCK or len(raw) % _BLOCK:
        message = f"{place} has {len(raw)} bytes: an IV and at least one block are 32, then multiples of 16"
        raise EnvelopeFault(Reason.UNDECRYPTABLE, place, message)
    cipher = SM4(session) if algorithm is Algorithm.SM2 else AES(session)
    decryptor = Cipher(cipher, modes.CBC(raw[:_BLOCK])).decryptor()
    padded = decryptor.update(raw[_BLOCK:]) + decryptor.finalize()
    count = padded[-1]
    if not 0 < count <= _BLOCK or padded[-count:] != padded[-1:] * count:
        raise _cannot_open(place, "its padding is none")
    return padded[:-count]


def _gunzip(text: bytes, room: Room, place: str) -> bytes:
    stream = zlib.decompressobj(31)
    try:
        plain = stream.decompress(text, room.left + 1)
    except zlib.error:
        raise _cannot_open(place, "what is inside is no gzip") from None
    room.take(len(plain), place)
    if not stream.eof:
        raise _cannot_open(place, "the gzip inside is cut off")
    return plain


def _records(text: bytes, place: str) -> Iterator[bytes]:
    """One event, or a list of them."""
    text = join_surrogates(text.strip())
    if depth_exceeds(text, NESTING_DEPTH + 1):
        raise _cannot_open(place, "what is inside is nested too deep")
    try:
        text.decode()
        if not text.startswith(b"["):
            if not text.startswith(b"{"):
                raise _cannot_open(place, "what is inside is no JSON object")
            _skim(text)
            return iter((text,))
        elements = [bytes(element) for element in split_array(text)]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _cannot_open(place, "what is inside is no JSON") from None
    if not elements:
        raise _cannot_open(place, "what is inside is an empty list")
    return iter(elements)


class _Sent(msgspec.Struct):
    flush_time: Raw = msgspec.field(default=Raw(b"null"), name="_flush_time")


_skim = msgspec.json.Decoder(Raw).decode
_read_sent = msgspec.json.Decoder(_Sent).decode
_ABSENT: Final = b"null"


def with_flush_time(element: bytes, flush_time: int | None) -> bytes:
    """The record with the envelope's moment of sending as its `_flush_time`, unless it has its own."""
    if flush_time is None or not element.startswith(b"{"):
        return element
    try:
        if bytes(_read_sent(element).flush_time) != _ABSENT:
            return element
    except msgspec.MsgspecError:
        return element
    rest = element[1:].lstrip()
    comma = b"" if rest.startswith(b"}") else b","
    return b'%b%b"_flush_time":%d}' % (element.rstrip()[:-1], comma, flush_time)
