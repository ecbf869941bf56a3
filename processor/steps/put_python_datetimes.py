"""Step: Sensors' Python SDK writes the milliseconds of a datetime without leading zeros; here they get
them.
"""

from __future__ import annotations

import re

import numpy as np

from footfall.storage.event_rows import Sparse
from processor.event_block import EventBlock

_UNPADDED = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.)(\d{1,2})\Z")


def put_python_datetimes(block: EventBlock) -> EventBlock:
    """'2024-01-02 03:04:05.6' of `$lib` python means 6 ms: it becomes '2024-01-02 03:04:05.006'."""
    python_rows = _python_rows(block)
    if not python_rows.any():
        return block
    for name, sparse in block.properties.items():
        values = list(sparse.values)
        suspects = [
            entry
            for entry, value in enumerate(values)
            if type(value) is str and 21 <= len(value) <= 22 and value[10] == " "
        ]
        changed = False
        for entry in suspects:
            if python_rows[sparse.rows[entry]] and (found := _UNPADDED.match(values[entry])):
                values[entry] = f"{found[1]}{found[2]:0>3}"
                changed = True
        if changed:
            block = block.with_property(name, Sparse(sparse.rows, values))
    return block


def _python_rows(block: EventBlock) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """True for each row that came from that SDK: it says so in the properties or in `lib`."""
    python = np.zeros(block.count, np.bool_)
    if block.source != "event":  # of events put_lib made it a property
        python[:] = [(record.lib or {}).get("$lib") == "python" for record in block.records]
    sparse = block.properties.get("$lib")
    if sparse is not None and "python" in sparse.values:
        python[sparse.rows] = [value == "python" for value in sparse.values]
    return python
