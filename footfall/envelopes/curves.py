"""Tells session keys that were sealed to a point of another curve than SM2's: ECIES, whose parameters (key
derivation, cipher, authentication) are not public.
"""

from __future__ import annotations

from typing import Final

_SHORTEST: Final = 65 + 16
_P256: Final = (
    0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF,
    -3,
    0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
)
_K256: Final = (2**256 - 2**32 - 977, 0, 7)


def is_on_other_curve(ekey: bytes) -> bool:
    """Whether it begins with a plain point of secp256r1 or secp256k1, and is as long as ECIES makes it."""
    if len(ekey) < _SHORTEST or ekey[0] != 4:
        return False
    x, y = int.from_bytes(ekey[1:33], "big"), int.from_bytes(ekey[33:65], "big")
    return any(x < p and y < p and (y * y - (x * x * x + a * x + b)) % p == 0 for p, a, b in (_P256, _K256))
