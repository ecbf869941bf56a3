"""Two families of algorithms for the same jobs: international ones, and China's commercial ones (SM3, SM4).

Keys are derived from the installation's key, one for each project and purpose, so that what stands in one
project's data says nothing in another's.
"""

from __future__ import annotations

from functools import lru_cache
from hmac import digest
from typing import Final, Literal, Protocol, get_args

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA256, SM3
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SuiteName = Literal["intl", "gm"]
SUITES: Final[tuple[SuiteName, ...]] = get_args(SuiteName)

_SIV_BYTES: Final = 16


class CannotOpen(ValueError):  # noqa: N818 - reads as what it is
    """The bytes were not made with this key."""


class Suite(Protocol):
    """Keyed hashes and deterministic encryption."""

    name: SuiteName

    def derive(self, installation_key: bytes, purpose: str, length: int) -> bytes:
        """A key for one purpose."""

    def hash(self, key: bytes, text: bytes) -> bytes:
        """The keyed hash (HMAC), 32 bytes."""

    def encrypt(self, key: bytes, plain: bytes) -> bytes:
        """The same bytes for the same text, some 16 longer than it. `key` has 64 bytes."""

    def decrypt(self, key: bytes, sealed: bytes) -> bytes:
        """CannotOpen for what was not made by `encrypt` with this key."""


class Intl:
    """HMAC-SHA-256, AES-256 in SIV mode (RFC 5297)."""

    name: SuiteName = "intl"

    def derive(self, installation_key: bytes, purpose: str, length: int) -> bytes:
        return HKDF(SHA256(), length, salt=None, info=purpose.encode()).derive(installation_key)

    def hash(self, key: bytes, text: bytes) -> bytes:
        return digest(key, text, "sha256")  # a third of what the library's objects cost

    def encrypt(self, key: bytes, plain: bytes) -> bytes:
        return _aes_siv(key).encrypt(_BEFORE + plain, None)

    def decrypt(self, key: bytes, sealed: bytes) -> bytes:
        try:
            return _aes_siv(key).decrypt(sealed, None).removeprefix(_BEFORE)
        except (InvalidTag, ValueError):
            raise CannotOpen("not a token of this project") from None


@lru_cache(maxsize=256)
def _aes_siv(key: bytes) -> AESSIV:
    return AESSIV(key)


_BEFORE: Final = b"\0"  # AES-SIV as it is offered here takes no empty text


class Gm:
    """HMAC-SM3, and SM4 in counter mode behind an IV that is the HMAC-SM3 of the text: SIV from SM parts."""

    name: SuiteName = "gm"

    def derive(self, installation_key: bytes, purpose: str, length: int) -> bytes:
        return HKDF(SM3(), length, salt=None, info=purpose.encode()).derive(installation_key)

    def hash(self, key: bytes, text: bytes) -> bytes:
        return _sm3(key, text)

    def encrypt(self, key: bytes, plain: bytes) -> bytes:
        iv = self._iv(key, plain)
        return iv + _sm4(key, iv, plain)

    def decrypt(self, key: bytes, sealed: bytes) -> bytes:
        iv = sealed[:_SIV_BYTES]
        if len(iv) < _SIV_BYTES:
            raise CannotOpen("not a token of this project")
        plain = _sm4(key, iv, sealed[_SIV_BYTES:])
        if not bytes_eq(self._iv(key, plain), iv):
            raise CannotOpen("not a token of this project")
        return plain

    def _iv(self, key: bytes, plain: bytes) -> bytes:
        return _sm3(key[:32], plain)[:_SIV_BYTES]


def _sm3(key: bytes, text: bytes) -> bytes:
    hmac = HMAC(key, SM3())
    hmac.update(text)
    return hmac.finalize()


def _sm4(key: bytes, iv: bytes, text: bytes) -> bytes:
    encryptor = Cipher(SM4(key[32:48]), CTR(iv)).encryptor()
    return encryptor.update(text) + encryptor.finalize()


_BY_NAME: Final[dict[SuiteName, Suite]] = {"intl": Intl(), "gm": Gm()}


def suite_of(name: SuiteName) -> Suite:
    """The suite of this name."""
    return _BY_NAME[name]


def gm_is_available() -> bool:
    """Whether the OpenSSL that `cryptography` is linked with has SM3 and SM4."""
    try:
        Gm().encrypt(bytes(64), b"x")
    except UnsupportedAlgorithm:
        return False
    return True
