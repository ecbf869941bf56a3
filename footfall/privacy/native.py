"""The scanner in C, called through ctypes; where it was not built, the slow one of oracle.py."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Final

from footfall.privacy.oracle import may_hold

_log = logging.getLogger(__name__)
_LIBRARY: Final = Path(__file__).with_name("_scan.so")

MayHold = Callable[[bytes], bool]
"""Whether JSON text may hold anything for privacy to do. Yes too often rather than too seldom."""


def scanner_for(names: Iterable[str]) -> MayHold:
    """A scanner that says yes to these names, too; they are in plain spelling (never_collect.plain_name)."""
    wanted = frozenset(names)
    library = _library()
    if library is None:
        return lambda text: may_hold(text, wanted)
    slots = 16
    while slots < 4 * len(wanted):
        slots *= 2
    table = (ctypes.c_uint64 * slots)()
    for name in wanted:
        spelled = name.encode()
        slot = hash_ = library.ff_privacy_name(spelled, len(spelled))
        while table[slot % slots]:
            slot += 1
        table[slot % slots] = hash_
    scan = library.ff_privacy_may_hold

    def may_hold_natively(text: bytes) -> bool:
        return bool(scan(text, len(text), table, slots))

    return may_hold_natively


@cache
def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(str(_LIBRARY))
    except OSError:
        _log.warning(
            "the scanner of privacy was not built (%s is missing): detection is a hundred times slower. "
            "Install the wheel, or run `python setup.py build_ext --inplace`",
            _LIBRARY.name,
        )
        return None
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    library.ff_privacy_may_hold.argtypes = (ctypes.c_char_p, size, pointer, size)
    library.ff_privacy_may_hold.restype = ctypes.c_int
    library.ff_privacy_name.argtypes = (ctypes.c_char_p, size)
    library.ff_privacy_name.restype = ctypes.c_uint64
    return library
