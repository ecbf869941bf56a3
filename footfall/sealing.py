"""Encryption of what must rest unreadable: raw bytes of records, which privacy rules never saw."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, Literal, Protocol

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.hashes import SHA256, SM3
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SealingSuite = Literal["intl", "gm"]

_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16


class CannotUnseal(ValueError):  # noqa: N818 - reads as what it is
    """The bytes were not sealed with this installation's key, or not for this place."""


class _Algorithms(Protocol):
    """What a version byte stands for."""

    def nonce(self, about: bytes) -> bytes:
        """A keyed hash."""

    def encrypt(self, nonce: bytes, plain: bytes, place: bytes) -> bytes:
        """The ciphertext with its tag."""

    def decrypt(self, nonce: bytes, text: bytes, place: bytes) -> bytes:
        """InvalidTag."""


class _Aes:
    """AES-256-GCM."""

    def __init__(self, installation_key: bytes) -> None:
        derived = HKDF(SHA256(), 32, salt=None, info=b"footfall.dead_letters").derive(installation_key)
        self._cipher = AESGCM(derived)
        self._nonce_key = HKDF(SHA256(), 32, salt=None, info=b"footfall.nonces").derive(installation_key)

    def nonce(self, about: bytes) -> bytes:
        return blake2b(about, key=self._nonce_key, digest_size=_NONCE_BYTES).digest()

    def encrypt(self, nonce: bytes, plain: bytes, place: bytes) -> bytes:
        return self._cipher.encrypt(nonce, plain, place)

    def decrypt(self, nonce: bytes, text: bytes, place: bytes) -> bytes:
        return self._cipher.decrypt(nonce, text, place)


class _Sm4:
    """SM4-GCM, HMAC-SM3."""

    def __init__(self, installation_key: bytes) -> None:
        self._key = HKDF(SM3(), 16, salt=None, info=b"footfall.dead_letters").derive(installation_key)
        self._nonce_key = HKDF(SM3(), 32, salt=None, info=b"footfall.nonces").derive(installation_key)

    def nonce(self, about: bytes) -> bytes:
        hmac = HMAC(self._nonce_key, SM3())
        hmac.update(about)
        return hmac.finalize()[:_NONCE_BYTES]

    def encrypt(self, nonce: bytes, plain: bytes, place: bytes) -> bytes:
        encryptor = Cipher(SM4(self._key), GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(place)
        return encryptor.update(plain) + encryptor.finalize() + encryptor.tag

    def decrypt(self, nonce: bytes, text: bytes, place: bytes) -> bytes:
        if len(text) < _TAG_BYTES:
            raise InvalidTag
        decryptor = Cipher(SM4(self._key), GCM(nonce, text[-_TAG_BYTES:])).decryptor()
        decryptor.authenticate_additional_data(place)
        return decryptor.update(text[:-_TAG_BYTES]) + decryptor.finalize()


_VERSIONS: Final[dict[SealingSuite, bytes]] = {"intl": b"\x01", "gm": b"\x02"}
_PACKED: Final = {b"\x01": b"\x03", b"\x02": b"\x04"}
"""The versions whose text was compressed (zstd) before it was encrypted."""
_UNPACKED: Final = {packed: version for version, packed in _PACKED.items()}

_PACKED_FROM_BYTES: Final = 1024


class Sealer:
    """Seals under keys derived from the installation's key; opens what either suite sealed.

    `place` says where the bytes belong (a dead letter's log position), so that they open nowhere else.
    """

    def __init__(self, installation_key: bytes, suite: SealingSuite = "intl") -> None:
        """`suite`: intl is AES-256-GCM, gm is SM4-GCM with HMAC-SM3 and needs an OpenSSL that has them."""
        self._installation_key = installation_key
        self._version = _VERSIONS[suite]
        self._algorithms: dict[bytes, _Algorithms] = {}
        self._of(self._version)

    def _of(self, version: bytes) -> _Algorithms:
        found = self._algorithms.get(version)
        if found is None:
            made: _Algorithms
            made = _Aes(self._installation_key) if version == b"\x01" else _Sm4(self._installation_key)
            found = self._algorithms[version] = made
        return found

    def seal(self, plain: bytes, place: str) -> bytes:
        """A version byte, the nonce, the ciphertext.

        What is long is compressed first, where that helps: ciphertext never shrinks again, and a megabyte of
        nothing in particular would be hashed, encrypted, fsynced and stored as one.

        The same bytes for the same text and place, so that a block that is redone inserts what it did before
        (ADR 0006). The nonce is a keyed hash of the place and of what is encrypted: it comes twice only with
        the very same message, also where another release of the compressor finds other bytes.
        """
        algorithms, version, about = self._of(self._version), self._version, place.encode()
        if len(plain) >= _PACKED_FROM_BYTES:
            packed = zstandard.ZstdCompressor(level=1).compress(plain)
            if len(packed) < len(plain):
                version, plain = _PACKED[version], packed
                about = version + about
        nonce = algorithms.nonce(about + b"\0" + plain)
        return version + nonce + algorithms.encrypt(nonce, plain, about)

    def unseal(self, sealed: bytes, place: str) -> bytes:
        """What was sealed; raises CannotUnseal."""
        first, nonce, text = sealed[:1], sealed[1 : _NONCE_BYTES + 1], sealed[_NONCE_BYTES + 1 :]
        version = _UNPACKED.get(first, first)
        if version not in _VERSIONS.values():
            shown = version.hex() or "nothing"
            raise CannotUnseal(f"sealed bytes begin with version {shown}, expected 01 to 04")
        about = place.encode() if version == first else first + place.encode()
        try:
            plain = self._of(version).decrypt(nonce, text, about)
        except (InvalidTag, ValueError):
            raise CannotUnseal(
                "these bytes were sealed with another installation key, or for another place"
            ) from None
        # Compressed by us, or it would not have opened: it unpacks to what once was in memory.
        return plain if version == first else zstandard.ZstdDecompressor().decompress(plain)


def log_place(project: str) -> str:
    """The place of a refused record's bytes while it waits in the log."""
    return f"log:{project}"
