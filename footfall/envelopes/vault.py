"""Encryption of private keys at rest, under the installation's key."""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12


class VaultClosed(ValueError):  # noqa: N818 - reads as what it is
    """The bytes were not sealed with this installation's key, or belong to another place."""


class Vault:
    """AES-256-GCM under a key that is derived for this purpose alone."""

    def __init__(self, installation_key: bytes) -> None:
        derived = HKDF(SHA256(), 32, salt=None, info=b"footfall.envelope_keys").derive(installation_key)
        self._cipher = AESGCM(derived)

    def seal(self, secret: bytes, place: str) -> bytes:
        """`place` says whose secret it is: sealed for one place, it opens at no other."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, secret, place.encode())

    def unseal(self, sealed: bytes, place: str) -> bytes:
        """Raises VaultClosed."""
        nonce, text = sealed[1 : _NONCE_BYTES + 1], sealed[_NONCE_BYTES + 1 :]
        try:
            if sealed[:1] != _VERSION:
                raise InvalidTag
            return self._cipher.decrypt(nonce, text, place.encode())
        except (InvalidTag, ValueError):
            raise VaultClosed(
                f"the private key of {place} was sealed with another installation key: restore that one"
            ) from None
