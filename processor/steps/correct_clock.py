"""Step: when each event happened, on our clock; where that moved it, the client's own time is kept."""

from __future__ import annotations

from dataclasses import replace
from types import NoneType
from typing import Any

import numpy as np

from footfall.events.limits import CLOCK_SKEW_MS
from footfall.events.record import event_time
from footfall.events.times import END_MS
from footfall.storage.event_rows import Times
from processor.event_block import EventBlock

ORIGINAL_TIME = "$original_time"
_FIRST_MS = 10**10
"""Smaller numbers are no plain milliseconds: `event_time` looks at them."""


def correct_clock(block: EventBlock) -> EventBlock:
    """Sets `times`; puts `$original_time` (epoch ms) where a wrong device clock was corrected.

    Network doors only: what is imported happened when it says.
    """
    times, originals = _plain_times(block) or _any_times(block)
    moved = np.flatnonzero(times != originals).astype(np.int32)
    return replace(block, times=times).put(ORIGINAL_TIME, moved, originals[moved].tolist())


def _any_times(block: EventBlock) -> tuple[Times, Times]:
    """(corrected, original), event by event, whatever form a time has."""
    received = [request.header.received_at for request in block.requests]
    network = [request.header.door != "import" for request in block.requests]
    moments = [
        event_time(record, received[request], network=network[request])
        for record, request in zip(block.records, block.request_of.tolist(), strict=True)
    ]
    return (
        np.array([moment.time for moment in moments], np.int64),
        np.array([moment.original for moment in moments], np.int64),
    )


def _plain_times(block: EventBlock) -> tuple[Times, Times] | None:
    """The same for a block whose clocks all speak in integer milliseconds, which is nearly every block."""
    if "$time" in block.properties:
        return None
    times = [record.time for record in block.records]
    sents = [record.sent_at if record.flush_time is None else record.flush_time for record in block.records]
    if set(map(type, times)) != {int} or not set(map(type, sents)) <= {int, NoneType}:
        return None
    originals = np.array(times)
    received = block.received_at()
    told = np.array([sent is not None for sent in sents])
    sent_at = np.where(told, np.array([sent or 0 for sent in sents]), received)
    if not (_are_milliseconds(originals) and _are_milliseconds(sent_at)):
        return None
    network = np.array([request.header.door != "import" for request in block.requests])
    skew = received - sent_at
    wrong = (np.abs(skew) > CLOCK_SKEW_MS) & network[block.request_of]
    return np.where(wrong, originals + skew, originals), originals


def _are_milliseconds(times: np.ndarray[Any, Any]) -> bool:
    return times.dtype == np.int64 and bool((times >= _FIRST_MS).all() and (times < END_MS).all())
