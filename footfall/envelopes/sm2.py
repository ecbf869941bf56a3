"""SM2 public-key encryption (GB/T 32918.4) on plain integers: what opens session keys.

`cryptography` knows SM3 and SM4 but no SM2, and no library that does fits everywhere: the compiled ones have
no wheels for ARM and write to stderr at each bad ciphertext, the others need ten times as long as this. Only
decryption meets a secret; its scalar is blinded by a random multiple of the order, since Python's integers
take a time that depends on their values. A test compares with an independent implementation.

Ciphertexts are C1 || C3 || C2 with C1 of 64 bytes, without the 04 in front.
"""

from __future__ import annotations

import secrets
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.hashes import SM3, Hash

P: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
_B: Final = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_G: Final = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
_WIDTH: Final = 4  # bits of the scalar at once
_BLINDING_BITS: Final = 64
_POINT_BYTES: Final = 64
_HASH_BYTES: Final = 32
OVERHEAD: Final = _POINT_BYTES + _HASH_BYTES
"""How much longer a ciphertext is than its text."""

Point = tuple[int, int]


class NotSm2(ValueError):  # noqa: N818 - reads as what it is
    """No ciphertext of this key, or no key."""


class _Jacobian(NamedTuple):
    """x / z^2, y / z^3; z = 0 at infinity."""

    x: int
    y: int
    z: int


_INFINITY: Final = _Jacobian(1, 1, 0)


def is_on_curve(point: Point) -> bool:
    x, y = point
    return x < P and y < P and (y * y - (x * x * x - 3 * x + _B)) % P == 0


def read_point(raw: bytes) -> Point:
    """A point of 64 bytes. Raises NotSm2 unless it lies on the curve."""
    point = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    if len(raw) != _POINT_BYTES or not is_on_curve(point):
        raise NotSm2("not a point of the SM2 curve")
    return point


def write_point(point: Point) -> bytes:
    return point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def generate_scalar() -> int:
    """A private key: 1 to N - 2."""
    return secrets.randbelow(N - 2) + 1


def public_point(scalar: int) -> Point:
    """The public key of a private one. Raises NotSm2 for what is none."""
    if not 0 < scalar < N - 1:
        raise NotSm2("a private key of SM2 lies between 1 and the order of the curve less 2")
    return _multiply(scalar, _G)


def decrypt(scalar: int, ciphertext: bytes) -> bytes:
    """The text. Raises NotSm2 if another key's, or damaged: C3 is a hash of the text."""
    if len(ciphertext) <= OVERHEAD:
        raise NotSm2(f"a ciphertext of SM2 is longer than {OVERHEAD} bytes")
    point = read_point(ciphertext[:_POINT_BYTES])
    blinded = scalar + secrets.randbits(_BLINDING_BITS) * N
    x, y = _halves(_multiply(blinded, point))
    sealed = ciphertext[OVERHEAD:]
    text = _xor(sealed, _derive(x + y, len(sealed)))
    if not secrets.compare_digest(_sm3(x + text + y), ciphertext[_POINT_BYTES:OVERHEAD]):
        raise NotSm2("sealed with another key, or damaged")
    return text


def _halves(point: Point) -> tuple[bytes, bytes]:
    raw = write_point(point)
    return raw[:32], raw[32:]


def _xor(text: bytes, mask: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(text, mask, strict=True))


def _sm3(text: bytes) -> bytes:
    state = Hash(SM3())
    state.update(text)
    return state.finalize()


def _derive(shared: bytes, length: int) -> bytes:
    """The standard's KDF: SM3 of the shared bytes and a counter."""
    blocks = [_sm3(shared + count.to_bytes(4, "big")) for count in range(1, -(-length // _HASH_BYTES) + 1)]
    return b"".join(blocks)[:length]


def _multiply(scalar: int, point: Point) -> Point:
    """`scalar` times `point`, by a window of four bits; never infinity for the scalars of this module."""
    multiples = [_INFINITY, _Jacobian(*point, 1)]
    for _ in range((1 << _WIDTH) - 2):
        multiples.append(_add(multiples[-1], multiples[1]))
    total = _INFINITY
    for position in range(-(-scalar.bit_length() // _WIDTH) - 1, -1, -1):
        for _ in range(_WIDTH):
            total = _double(total)
        total = _add(total, multiples[scalar >> (position * _WIDTH) & ((1 << _WIDTH) - 1)])
    if total.z == 0:
        raise NotSm2("not a point of the order of the SM2 curve")
    inverse = pow(total.z, -1, P)
    square = inverse * inverse % P
    return total.x * square % P, total.y * square * inverse % P


def _double(point: _Jacobian) -> _Jacobian:
    """dbl-2001-b, for curves with a = -3."""
    x, y, z = point
    delta, gamma = z * z % P, y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P
    x3 = (alpha * alpha - 8 * beta) % P
    z3 = (2 * y * z) % P
    return _Jacobian(x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % P, z3)


def _add(one: _Jacobian, other: _Jacobian) -> _Jacobian:
    """add-2007-bl, less what it saves in squarings."""
    if one.z == 0:
        return other
    if other.z == 0:
        return one
    x1, y1, z1 = one
    x2, y2, z2 = other
    square1, square2 = z1 * z1 % P, z2 * z2 % P
    u1, s1 = x1 * square2 % P, y1 * z2 * square2 % P
    h, r = (x2 * square1 - u1) % P, (y2 * z1 * square1 - s1) % P
    if h == 0:
        return _double(one) if r == 0 else _INFINITY
    h2 = h * h % P
    h3, v = h * h2 % P, u1 * h2 % P
    x3 = (r * r - h3 - 2 * v) % P
    return _Jacobian(x3, (r * (v - x3) - s1 * h3) % P, h * z1 * z2 % P)
