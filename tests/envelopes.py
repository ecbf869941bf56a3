"""Seals and opens envelopes as Sensors Analytics' SDKs do.

Written from the protocol's description and without code of ours: SM2 and SM4 by gmalg, AES block by block,
RSA by `cryptography`.
"""

from __future__ import annotations

import gzip
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote

import gmalg
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4
from cryptography.hazmat.primitives.serialization import load_der_public_key

from footfall.envelopes.keys import KeyPair

SESSION = bytes(range(16))
IV = bytes(range(100, 116))


def text_of(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def percent(text: bytes) -> bytes:
    return quote(text, safe="").encode()


def cbc(block: Callable[[bytes], bytes], text: bytes, iv: bytes = IV, padding: bytes | None = None) -> bytes:
    """IV, then CBC, padded as PKCS #7 has it."""
    count = 16 - len(text) % 16
    text += bytes([count]) * count if padding is None else padding[-count:]
    sealed = [iv]
    for start in range(0, len(text), 16):
        mixed = bytes(a ^ b for a, b in zip(text[start : start + 16], sealed[-1], strict=True))
        sealed.append(block(mixed))
    return b"".join(sealed)


def aes(key: bytes) -> Callable[[bytes], bytes]:
    return lambda block: Cipher(AES(key), modes.ECB()).encryptor().update(block)


def sm4(key: bytes) -> Callable[[bytes], bytes]:
    return gmalg.SM4(key).encrypt


@dataclass(frozen=True)
class Device:
    """An app that seals to a public key."""

    pair: KeyPair
    pkv: Any = 1
    session: bytes = SESSION

    @property
    def _block(self) -> Callable[[bytes], bytes]:
        return sm4(self.session) if self.pair.algorithm == "SM2" else aes(self.session)

    @property
    def ekey(self) -> bytes:
        if self.pair.algorithm == "SM2":
            return gmalg.SM2(pk=bytes.fromhex(self.pair.public)).encrypt(self.session)[1:]
        key = load_der_public_key(_unbase64(self.pair.public))
        assert isinstance(key, RSAPublicKey)
        return key.encrypt(self.session, padding.PKCS1v15())

    def payload(self, text: bytes, padding: bytes | None = None) -> str:
        return b64encode(cbc(self._block, text, padding=padding)).decode()

    def events(self, *records: Any, flush_time: int | None = None, **more: Any) -> dict[str, Any]:
        """Event encryption: a payload for each record."""
        payloads = [self.payload(gzip.compress(text_of(record))) for record in records]
        return self.envelope(payloads, flush_time, **more)

    def batch(self, records: Sequence[Any], flush_time: int | None = None) -> dict[str, Any]:
        """Transport encryption: one payload for all."""
        return self.envelope(self.payload(gzip.compress(text_of(records))), flush_time)

    def envelope(self, payloads: Any, flush_time: int | None = None, **more: Any) -> dict[str, Any]:
        sent = {} if flush_time is None else {"flush_time": flush_time}
        ekey = b64encode(self.ekey).decode()
        return {"ekey": ekey, "pkv": self.pkv, **sent, "payloads": payloads, **more}


def shared(key: bytes, key_id: Any, records: Sequence[Any], *, single: bool) -> dict[str, Any]:
    """Sealed with a key of both sides; not compressed."""
    payloads = [b64encode(cbc(aes(key), text_of(record))).decode() for record in records]
    field = {"payload": payloads[0]} if single else {"payloads": payloads}
    return {"key_id": key_id, "key_hash": "h4sh", "nc": 1, **field}


def form(envelopes: Any, gzip_code: int | None = 9, field: str = "data_list") -> bytes:
    """The body of a request: plain JSON."""
    code = b"" if gzip_code is None else b"gzip=%d&" % gzip_code
    return b"%bcrc=1&%b=%b" % (code, field.encode(), percent(text_of(envelopes)))


def open_form(form: str, key: bytes) -> list[dict[str, Any]]:
    """The records in a request of the SM plugin (`key`: the private scalar), or of an AES plugin."""
    fields = parse_qs(form, strict_parsing=True)
    assert fields["gzip"] == ["9"]
    value = json.loads(fields.get("data_list", fields.get("data", []))[0])
    opened = []
    for envelope in value if isinstance(value, list) else [value]:
        if "ekey" in envelope:
            session = gmalg.SM2(sk=key).decrypt(b"\x04" + _unbase64(envelope["ekey"]))
            texts = [gzip.decompress(uncbc(SM4(session), each)) for each in envelope["payloads"]]
        else:
            payloads = envelope.get("payloads") or [envelope["payload"]]
            texts = [uncbc(AES(key), each) for each in payloads]
        sent = {"_flush_time": envelope["flush_time"]} if "flush_time" in envelope else {}
        opened += [{**sent, **json.loads(text)} for text in texts]
    return opened


def uncbc(block: AES | SM4, payload: str) -> bytes:
    sealed = _unbase64(payload)
    opened = Cipher(block, modes.CBC(sealed[:16])).decryptor().update(sealed[16:])
    return opened[: -opened[-1]]


def noise(size: int) -> str:
    return b64encode(os.urandom(size)).decode()


def _unbase64(text: str) -> bytes:
    return b64decode(text)
