"""Step: what the SDK says of itself in `lib` becomes properties, where the properties do not say it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from footfall.storage.event_rows import RowNumbers
from processor.event_block import EventBlock

_NONE: dict[str, Any] = {}


def put_lib(block: EventBlock) -> EventBlock:
    """Texts in `lib` that are not empty: $lib, $lib_version, $lib_method, $lib_detail, $app_version."""
    libs, lib_of = _distinct([record.lib or _NONE for record in block.records])
    for name in sorted({name for lib in libs for name in lib}):
        having = np.array([name in lib for lib in libs])
        rows = np.flatnonzero(having[lib_of]).astype(np.int32)
        values = np.array([lib.get(name) for lib in libs], np.object_)
        block = block.put(name, rows, values[lib_of[rows]].tolist())
    return block


def _distinct(told: Sequence[dict[str, Any]]) -> tuple[list[dict[str, str]], RowNumbers]:
    """The different libs, only what counts of each, and which of them each row has.

    Neighbours mostly have equal ones: they came from the same SDK in one request.
    """
    libs: list[dict[str, str]] = []
    numbers: dict[tuple[tuple[str, str], ...], int] = {}
    lib_of: list[int] = []
    last: dict[str, Any] | None = None
    number = 0
    for lib in told:
        if lib != last:
            texts = {
                name: value for name, value in lib.items() if name[:1] == "$" and value and type(value) is str
            }
            number = numbers.setdefault(tuple(texts.items()), len(libs))
            if number == len(libs):
                libs.append(texts)
            last = lib
        lib_of.append(number)
    return libs, np.array(lib_of, np.int32)
