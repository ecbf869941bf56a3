"""Encryption of what must rest unreadable: the raw bytes of dead letters, which privacy rules never saw."""

from __future__ import annotations

from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_VERSION = b"\x01"
_NONCE_BYTES = 12


class CannotUnseal(ValueError):  # noqa: N818 - reads as what it is
    """The bytes were not sealed with this installation's key, or not for this place."""


class Sealer:
    """AES-256-GCM under a key derived from the installation's key.

    `place` says where the bytes belong (a dead letter's log position), so that they open nowhere else.
    """

    def __init__(self, installation_key: bytes) -> None:
        derived = HKDF(SHA256(), 32, salt=None, info=b"footfall.dead_letters").derive(installation_key)
        self._cipher = AESGCM(derived)
        self._nonce_key = HKDF(SHA256(), 32, salt=None, info=b"footfall.nonces").derive(installation_key)

    def seal(self, plain: bytes, place: str) -> bytes:
        """A version byte, the nonce, the ciphertext.

        The same bytes for the same text and place, so that a block that is redone inserts what it did before
        (ADR 0006). The nonce is a keyed hash of both: it comes twice only with the very same message.
        """
        about = place.encode() + b"\0" + plain
        nonce = blake2b(about, key=self._nonce_key, digest_size=_NONCE_BYTES).digest()
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, place.encode())

    def unseal(self, sealed: bytes, place: str) -> bytes:
        """What was sealed; raises CannotUnseal."""
        version, nonce, text = sealed[:1], sealed[1 : _NONCE_BYTES + 1], sealed[_NONCE_BYTES + 1 :]
        if version != _VERSION:
            raise CannotUnseal(f"sealed bytes begin with version {version.hex() or 'nothing'}, expected 01")
        try:
            return self._cipher.decrypt(nonce, text, place.encode())
        except InvalidTag:
            raise CannotUnseal(
                "these bytes were sealed with another installation key, or for another place"
            ) from None


def dead_letter_place(log_partition: int, log_offset: int, seq: int) -> str:
    """The place of a dead letter's bytes."""
    return f"dead_letter:{log_partition}:{log_offset}:{seq}"
