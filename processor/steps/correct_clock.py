"""Step: when each event happened, on our clock; where that moved it, the client's own time is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from footfall.events.record import event_time
from processor.event_block import EventBlock

ORIGINAL_TIME = "$original_time"


def correct_clock(block: EventBlock) -> EventBlock:
    """Sets `times`; puts `$original_time` (epoch ms) where a wrong device clock was corrected.

    Network doors only: what is imported happened when it says.
    """
    received = [request.header.received_at for request in block.requests]
    network = [request.header.door != "import" for request in block.requests]
    moments = [
        event_time(record, received[request], network=network[request])
        for record, request in zip(block.records, block.request_of.tolist(), strict=True)
    ]
    times = np.array([moment.time for moment in moments], np.int64)
    originals = np.array([moment.original for moment in moments], np.int64)
    moved = np.flatnonzero(times != originals).astype(np.int32)
    return replace(block, times=times).put(ORIGINAL_TIME, moved, originals[moved].tolist())
