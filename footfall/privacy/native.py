"""The scanner in C, called through ctypes; where it was not built, the slow one of oracle.py."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from threading import local
from typing import Final, NamedTuple

from footfall.privacy.oracle import may_hold

_log = logging.getLogger(__name__)
_LIBRARY: Final = Path(__file__).with_name("_scan.so")

MayHold = Callable[[bytes], bool]
"""Whether JSON text may hold anything for privacy to do. Yes too often rather than too seldom."""


EntriesOf = Callable[[bytes], list[int] | None]
"""Where a record has its fields and entries: HEAD_WORDS numbers, then ENTRY_WORDS each (scan.h); or None."""

HEAD_WORDS: Final = 4
ENTRY_WORDS: Final = 6
_MOST_ENTRIES: Final = 512

_ENDING_WORDS: Final = 16
_LONG_BYTES: Final = 64 * 1024
"""A longer text is scanned without Python's lock. To give it away for the microseconds that a request takes
costs more than those: the log's thread waits for it.
"""


class Scanners(NamedTuple):
    """What is asked of bytes before they are read."""

    may_hold: MayHold
    entries_of: EntriesOf


def scanners_for(names: Iterable[str]) -> Scanners:
    """Scanners that say yes to these names, too; they are in plain spelling (never_collect.plain_name)."""
    wanted = frozenset(names)
    library, aside = _libraries()
    if library is None or aside is None:
        return Scanners(lambda text: may_hold(text, wanted), lambda _: None)
    table, slots = _table(library, wanted)
    scan, entries = library.ff_privacy_may_hold, library.ff_privacy_entries
    scan_aside, entries_aside = aside.ff_privacy_may_hold, aside.ff_privacy_entries
    buffers = local()

    def may_hold_natively(text: bytes) -> bool:
        size = len(text)
        return bool((scan if size < _LONG_BYTES else scan_aside)(text, size, table, slots))

    def entries_of(text: bytes) -> list[int] | None:
        try:
            found = buffers.words
        except AttributeError:
            found = buffers.words = (ctypes.c_uint32 * (HEAD_WORDS + ENTRY_WORDS * _MOST_ENTRIES))()
        size = len(text)
        walk = entries if size < _LONG_BYTES else entries_aside
        count = walk(text, size, table, slots, found, _MOST_ENTRIES)
        return None if count < 0 else found[: HEAD_WORDS + ENTRY_WORDS * count]

    return Scanners(may_hold_natively, entries_of)


def scanner_for(names: Iterable[str]) -> MayHold:
    """The first of `scanners_for`."""
    return scanners_for(names).may_hold


def _table(library: ctypes.CDLL, wanted: frozenset[str]) -> tuple[ctypes.Array[ctypes.c_uint64], int]:
    """As scan.h says: endings, then hashes; and how many slots these have."""
    slots = 16
    while slots < 4 * len(wanted):
        slots *= 2
    table = (ctypes.c_uint64 * (_ENDING_WORDS + slots))()
    for name in filter(None, wanted):
        spelled = name.encode()
        for ending in _endings(spelled):
            table[ending // 64] |= 1 << ending % 64
        slot = hash_ = library.ff_privacy_name(spelled, len(spelled))
        while table[_ENDING_WORDS + slot % slots]:
            slot += 1
        table[_ENDING_WORDS + slot % slots] = hash_
    return table, slots


def _endings(name: bytes) -> Iterable[int]:
    last = name[-1] & 31
    before = (name[-2] & 31,) if len(name) > 1 else range(32)
    return [each << 5 | last for each in before]


@cache
def _libraries() -> tuple[ctypes.CDLL, ctypes.CDLL] | tuple[None, None]:
    """The scanner, called with Python's lock and without it; None where it was not built."""
    try:
        return _declared(ctypes.PyDLL(str(_LIBRARY))), _declared(ctypes.CDLL(str(_LIBRARY)))
    except OSError:
        _log.warning(
            "the scanner of privacy was not built (%s is missing): detection is a hundred times slower. "
            "Install the wheel, or run `python setup.py build_ext --inplace`",
            _LIBRARY.name,
        )
        return None, None


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    library.ff_privacy_may_hold.argtypes = (ctypes.c_char_p, size, pointer, size)
    library.ff_privacy_may_hold.restype = ctypes.c_int
    library.ff_privacy_entries.argtypes = (ctypes.c_char_p, size, pointer, size, pointer, ctypes.c_int)
    library.ff_privacy_entries.restype = ctypes.c_int
    library.ff_privacy_name.argtypes = (ctypes.c_char_p, size)
    library.ff_privacy_name.restype = ctypes.c_uint64
    return library
