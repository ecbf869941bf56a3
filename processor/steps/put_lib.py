"""Step: what the SDK says of itself in `lib` becomes properties, where the properties do not say it
already.
"""

from __future__ import annotations

from itertools import compress
from typing import Any

import numpy as np

from processor.event_block import EventBlock

_NONE: dict[str, Any] = {}


def put_lib(block: EventBlock) -> EventBlock:
    """`lib`'s entries ($lib, $lib_version, $lib_method, $lib_detail, $app_version), texts that are not
    empty.
    """
    libs = [record.lib or _NONE for record in block.records]
    for name in sorted({name for shape in set(map(tuple, libs)) for name in shape if name.startswith("$")}):
        present = block.properties.get(name)
        if present is not None and len(present.rows) == block.count:
            continue
        values = [lib.get(name) for lib in libs]
        told = [type(value) is str and value != "" for value in values]
        block = block.put(name, np.flatnonzero(told).astype(np.int32), list(compress(values, told)))
    return block
