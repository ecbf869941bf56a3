"""The sequence scanner: walks each actor's events once and says how deep into a funnel they got, and when.

ClickHouse filters and projects; what depends on the order of a person's events happens here (ADR 0003).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from query_api.scan.funnel_plan import (
    MAX_STEPS,
    NEVER,
    NO_VALUE,
    Block,
    FunnelPlan,
    FunnelScan,
    Order,
)
from query_api.scan.native import ScannerMissing, scan_blocks

__all__ = [
    "MAX_STEPS",
    "NEVER",
    "NO_VALUE",
    "Block",
    "FunnelPlan",
    "FunnelScan",
    "Order",
    "ScannerMissing",
    "scan_funnel",
]


def scan_funnel(
    blocks: Iterable[Block],
    *,
    steps: int,
    window_ms: int,
    entry_until_ms: int | None = None,
    order: Order = "ordered",
    exclusions: Sequence[tuple[int, int]] = (),
    bucket_starts_ms: Sequence[int] = (),
    with_values: bool = False,
    value_step: int | None = None,
    ranks: Callable[[], NDArray[np.uint32]] | None = None,
    partitioned: bool = False,
    memory_bytes: int = 4 << 30,
    threads: int = 1,
) -> FunnelScan:
    """Reads all blocks and answers for every actor; spec/query.md, "funnel", has the meaning.

    blocks: tuples of arrays of equal length, in any order of rows and actors:
        keys        uint64, the actor. Leave NOBODY's rows out in SQL
        times       int64, ms since 1970
        masks       uint8, uint16, uint32 or uint64, the narrowest that does: bit k = fits step k (up to 30),
                    bit steps + g = is exclusion g; in strict order bit steps + len(exclusions) = is a `track`
                    event (may break a chain). An event whose mask is 0 may be left out
        values      uint32, only `with_values`: a code of the breakdown's value, NO_VALUE if it is missing
        partitions  uint32, only `partitioned`: a code of the value that all steps must share;
                    one with another value or with NO_VALUE does no step there but may break or void attempts
    window_ms: elapsed time from an attempt's first event, end included
    entry_until_ms: attempts start before this instant (for complete_after_range); None: at any event
    order: strict needs all track events of the actors that reach step 0, not only those that fit a step
    exclusions: (from_step, to_step) of each, 0-based
    bucket_starts_ms: starts of the trend's buckets, ascending; an attempt belongs to the last one that is not
        after its start. Empty: no trend
    value_step: the step whose event's value `step_values` gives
    ranks: called once, after the last block: ranks()[code] = place of that value in the order in which ties
        take the smallest. None: codes are in that order themselves
    memory_bytes: what the waiting events may take: 16 bytes each, 24 with values, 32 partitioned
    threads: how many walk; reading the blocks is one thread's work

    Raises ValueError for a plan or a block of the wrong form, MemoryError when the events do not fit,
    ScannerMissing when the native library was not built.
    """
    plan = FunnelPlan(
        steps=steps,
        window_ms=window_ms,
        entry_until_ms=entry_until_ms,
        order=order,
        exclusions=tuple(exclusions),
        bucket_starts_ms=tuple(bucket_starts_ms),
        with_values=with_values,
        value_step=value_step,
        ranks=ranks,
        partitioned=partitioned,
    )
    return scan_blocks(blocks, plan, memory_bytes=memory_bytes, threads=threads)
