"""Keys that envelopes are sealed to: made, read from what a bank has already, and opening session keys."""

from __future__ import annotations

import binascii
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from enum import StrEnum
from hashlib import blake2b
from typing import Final, NamedTuple, Protocol

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from footfall.envelopes import sm2

RSA_BITS: Final = (2048, 3072, 4096)
SESSION_BYTES: Final = 16
_AES_BYTES: Final = (16, 24, 32)
_RSA_DEFAULT_BITS: Final = 2048
_LONGEST_TEXT: Final = 20_000


class Algorithm(StrEnum):
    """What opens an envelope: RSA (payloads in AES), SM2 (payloads in SM4), or an AES key of both sides."""

    RSA = "RSA"
    SM2 = "SM2"
    AES = "AES"


class InvalidKey(ValueError):  # noqa: N818 - reads as what it is
    """A key that cannot be used; the text says what can."""


class KeyPair(NamedTuple):
    """A key as it is kept. `public` is as SDKs take it: RSA base64 of its X.509 form, SM2 hexadecimal from 04
    on, "" for AES. `private` is PKCS #8 in DER for RSA, the bare 32 bytes for SM2, the key itself for AES.
    """

    algorithm: Algorithm
    public: str
    private: bytes


class HeldKey(Protocol):
    """A key that can open session keys. Safe to use from several threads."""

    @property
    def name(self) -> str:
        """`sm2-3`: the algorithm and the number that envelopes name."""

    @property
    def mark(self) -> bytes:
        """Another for every private key: a name may be given again."""

    @property
    def algorithm(self) -> Algorithm: ...

    def fits(self, ekey: bytes) -> bool:
        """Whether `ekey` has the form that this key opens."""

    def open_session(self, ekey: bytes) -> bytes | None:
        """The session key's 16 bytes, None if this key does not open it. Takes a millisecond or two."""


def key_name(algorithm: Algorithm, version: str) -> str:
    return f"{algorithm.value.lower()}-{version}"


def generate(algorithm: Algorithm) -> KeyPair:
    """A new key: RSA with 2048 bits, SM2, AES with 128 bits."""
    if algorithm is Algorithm.SM2:
        return _sm2_pair(sm2.generate_scalar())
    if algorithm is Algorithm.AES:
        return KeyPair(algorithm, "", secrets.token_bytes(16))
    return _rsa_pair(rsa.generate_private_key(public_exponent=65537, key_size=_RSA_DEFAULT_BITS))


def read_key(algorithm: Algorithm, text: str) -> KeyPair:
    """A key that somebody has already. Raises InvalidKey.

    RSA: PEM without a password, or base64 of PKCS #8. SM2: 64 hexadecimal digits. AES: 32, 48 or 64
    hexadecimal digits, or base64 of as many bytes.
    """
    text = text.strip()
    if len(text) > _LONGEST_TEXT:
        raise InvalidKey(f"a key has at most {_LONGEST_TEXT} characters")
    if algorithm is Algorithm.SM2:
        return _read_sm2(text)
    if algorithm is Algorithm.AES:
        return _read_aes(text)
    return _read_rsa(text)


def _read_sm2(text: str) -> KeyPair:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise InvalidKey("the private key of SM2 is 64 hexadecimal digits")
    try:
        return _sm2_pair(int.from_bytes(raw, "big"))
    except sm2.NotSm2 as error:
        raise InvalidKey(str(error)) from None


def _sm2_pair(scalar: int) -> KeyPair:
    public = sm2.write_point(sm2.public_point(scalar)).hex()
    return KeyPair(Algorithm.SM2, f"04{public}", scalar.to_bytes(32, "big"))


def _read_aes(text: str) -> KeyPair:
    for read in (bytes.fromhex, _unbase64):
        try:
            raw = read(text)
        except ValueError:
            continue
        if len(raw) in _AES_BYTES:
            return KeyPair(Algorithm.AES, "", raw)
    raise InvalidKey("an AES key has 16, 24 or 32 bytes: write them in hexadecimal or in base64")


def _unbase64(text: str) -> bytes:
    return b64decode(text.encode(), validate=True)


def _read_rsa(text: str) -> KeyPair:
    try:
        if text.startswith("-----BEGIN"):
            key = load_pem_private_key(text.encode(), password=None)
        else:
            key = load_der_private_key(
                b64decode("".join(text.split()).encode(), validate=True), password=None
            )
    except TypeError:
        raise InvalidKey("the PEM is protected by a password: take that off first (openssl pkey)") from None
    except Exception:  # noqa: BLE001 - OpenSSL's errors are many, and might quote what was given
        raise InvalidKey(
            "neither PEM of a private key ('-----BEGIN PRIVATE KEY-----') nor base64 of PKCS #8"
        ) from None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        raise InvalidKey("envelopes of EC keys (ECIES) are not understood yet: they wait as dead letters")
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size not in RSA_BITS:
        raise InvalidKey(f"an RSA key has {', '.join(map(str, RSA_BITS))} bits")
    return _rsa_pair(key)


def _rsa_pair(key: rsa.RSAPrivateKey) -> KeyPair:
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(Algorithm.RSA, b64encode(public).decode(), private)


class _RsaKey:
    """PKCS #1 v1.5, the padding that the SDKs use. OpenSSL answers a bad padding with random bytes, always
    the same for an `ekey`, so that nobody can tell by the answer or its time what the padding was.
    """

    algorithm = Algorithm.RSA

    def __init__(self, name: str, private: bytes) -> None:
        self.name, self.mark = name, _mark(private)
        # Checked when it came in; checking costs a hundred times as much as reading.
        key = load_der_private_key(private, password=None, unsafe_skip_rsa_key_validation=True)
        assert isinstance(key, rsa.RSAPrivateKey)
        self._key = key

    def fits(self, ekey: bytes) -> bool:
        return len(ekey) == self._key.key_size // 8

    def open_session(self, ekey: bytes) -> bytes | None:
        try:
            return _session(self._key.decrypt(ekey, padding.PKCS1v15()))
        except ValueError:
            return None


class _Sm2Key:
    algorithm = Algorithm.SM2

    def __init__(self, name: str, private: bytes) -> None:
        self.name, self.mark = name, _mark(private)
        self._scalar = int.from_bytes(private, "big")

    def fits(self, ekey: bytes) -> bool:
        return sm2.OVERHEAD + SESSION_BYTES <= len(ekey) <= sm2.OVERHEAD + 1 + 2 * SESSION_BYTES

    def open_session(self, ekey: bytes) -> bytes | None:
        # Some write the 04 of the point, some do not.
        bare = ekey[1:] if ekey[0] == 4 and len(ekey) % SESSION_BYTES == 1 else ekey
        try:
            return _session(sm2.decrypt(self._scalar, bare))
        except sm2.NotSm2:
            return None


class _AesKey:
    """The key of the payloads themselves."""

    algorithm = Algorithm.AES

    def __init__(self, name: str, private: bytes) -> None:
        self.name, self.mark = name, _mark(private)
        self._key = private

    def fits(self, ekey: bytes) -> bool:
        return not ekey

    def open_session(self, ekey: bytes) -> bytes | None:  # noqa: ARG002 - there is none
        return self._key


_HELD: Final[dict[Algorithm, Callable[[str, bytes], HeldKey]]] = {
    Algorithm.RSA: _RsaKey,
    Algorithm.SM2: _Sm2Key,
    Algorithm.AES: _AesKey,
}


def hold(algorithm: Algorithm, version: str, private: bytes) -> HeldKey:
    """The key in use, from its `KeyPair.private`."""
    return _HELD[algorithm](key_name(algorithm, version), private)


def _mark(private: bytes) -> bytes:
    return blake2b(private, digest_size=16, person=b"footfall.mark").digest()


def _session(opened: bytes) -> bytes | None:
    """16 bytes; some encryptors write them as text."""
    if len(opened) == SESSION_BYTES:
        return opened
    try:
        raw = (
            bytes.fromhex(opened.decode())
            if len(opened) == 2 * SESSION_BYTES
            else b64decode(opened, validate=True)
        )
    except (ValueError, binascii.Error):
        return None
    return raw if len(raw) == SESSION_BYTES else None


class KeyRing:
    """The keys of a project."""

    def __init__(self, keys: Sequence[tuple[str, HeldKey]]) -> None:
        """`keys`: each with the `pkv` or `key_id` that envelopes name it by."""
        self._keys: dict[str, list[HeldKey]] = {}
        for version, key in keys:
            self._keys.setdefault(version, []).append(key)

    def candidates(self, version: str, ekey: bytes) -> list[HeldKey]:
        """Those that an envelope may mean: numbers of RSA and SM2 keys may be the same."""
        return [key for key in self._keys.get(version, ()) if key.fits(ekey)]

    def names(self, version: str, *, pre_shared: bool) -> list[str]:
        """Names of the keys that have this number."""
        return [
            key.name for key in self._keys.get(version, ()) if (key.algorithm is Algorithm.AES) == pre_shared
        ]

    def __bool__(self) -> bool:
        return bool(self._keys)


NO_KEYS: Final = KeyRing(())

RingOf = Callable[[str], KeyRing]
"""The keys of a project, as they are now. May block: reads the workspace."""


def no_keys(project: str) -> KeyRing:  # noqa: ARG001 - whichever project it is
    """Of an installation without keys."""
    return NO_KEYS
