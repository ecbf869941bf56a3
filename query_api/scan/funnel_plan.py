"""What to look for (`FunnelPlan`) and what was found (`FunnelScan`): the scanner's input and output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Order = Literal["ordered", "strict", "any"]
Block = tuple[NDArray[Any], ...]
"""Events as columns of equal length; rows and actors may come in any order, also over blocks.

keys        uint64, the actor. Leave NOBODY's rows out
times       int64, ms since 1970
masks       uint8, uint16, uint32 or uint64, the narrowest that does: bit k = fits step k (up to 30),
            bit steps + g = is exclusion g; in strict order bit steps + len(exclusions) = is a `track`
            event (may break a chain). An event whose mask is 0 may be left out
values      uint32, only `with_values`: a code of the breakdown's value, NO_VALUE if it is missing
partitions  uint32, only `partitioned`: a code of the value that all steps must share;
            one with another value or with NO_VALUE does no step there but may break or void attempts
"""

MAX_STEPS = 30
NEVER = int(np.iinfo(np.int64).min)
"""The time of a step that the chosen attempt did not reach."""
NO_VALUE = 0xFFFFFFFF
"""The code of a missing value."""
EARLIEST_MS = -2_208_988_800_000
"""1900-01-01 UTC: no event is earlier (ClickHouse's DateTime64 begins there)."""
LATEST_MS = EARLIEST_MS + (1 << 44) - 1
"""In the year 2457: no event is later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelPlan:
    """A funnel as the scanner sees it; spec/query.md, "funnel", has the meaning.

    window_ms: elapsed time from an attempt's first event, end included
    entry_until_ms: attempts start before this instant (for complete_after_range); None: at any event
    order: strict needs all track events of the actors that reach step 0, not only those that fit a step
    exclusions: (from_step, to_step) of each, 0-based
    bucket_starts_ms: starts of the trend's buckets, ascending; an attempt belongs to the last one that is not
        after its start. Empty: no trend
    with_values: whether first_values and last_values are wanted
    value_step: the step whose event's value `step_values` gives
    ranks: called once, after the last block: ranks()[code] = place of that value in the order in which ties
        take the smallest. None: codes are in that order themselves
    partitioned: whether all steps share a value, so that an actor has attempts in each partition

    Raises ValueError when a field is out of its bounds: our bug, specs are checked before.
    """

    steps: int
    window_ms: int
    entry_until_ms: int | None = None
    order: Order = "ordered"
    exclusions: tuple[tuple[int, int], ...] = ()
    bucket_starts_ms: tuple[int, ...] = ()
    with_values: bool = False
    value_step: int | None = None
    ranks: Callable[[], NDArray[np.uint32]] | None = None
    partitioned: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MAX_STEPS:
            raise ValueError(f"steps: 1 to {MAX_STEPS}, not {self.steps}")
        if self.mask_bits > 64:
            raise ValueError(f"exclusions: with {self.steps} steps at most {63 - self.steps}")
        if self.window_ms < 0:
            raise ValueError(f"window_ms: 0 or more, not {self.window_ms}")
        if any(not 0 <= f < t < self.steps for f, t in self.exclusions):
            raise ValueError(f"exclusions: 0 <= from < to < {self.steps}, not {self.exclusions}")
        if any(b <= a for a, b in zip(self.bucket_starts_ms, self.bucket_starts_ms[1:], strict=False)):
            raise ValueError("bucket_starts_ms: must ascend")
        if self.value_step is not None and not (self.with_values and 0 <= self.value_step < self.steps):
            raise ValueError("value_step: a step's index, and with_values")

    @property
    def mask_bits(self) -> int:
        """Bits of a mask that mean something: steps, exclusions and, for `strict`, the track bit."""
        return self.steps + len(self.exclusions) + (self.order == "strict")

    @property
    def columns(self) -> int:
        """How many columns a block has."""
        return 3 + self.with_values + self.partitioned


@dataclass(frozen=True, slots=True)
class FunnelScan:
    """The actors who reached step 0 in an attempt that is not void, a row each (`n` rows).

    With `partitioned` a row is an actor in one partition, and `whole` has the actors. Rows are in no
    particular order.

    keys            uint64 (n,): the actor
    levels          uint8 (n,): steps reached by the chosen attempt, 1 to `steps`
    step_times      int64 (n, steps): ms since 1970 of each step of the chosen attempt, NEVER from the level
                    on; column 0 is the attempt's start
    partitions      uint32 (n,); None unless `partitioned`
    first_values    uint32 (n,): first-touch code, NO_VALUE if no event has a value; None unless `with_values`
    last_values     uint32 (n,): last-touch code, likewise
    step_values     uint32 (n,): code at `value_step` of the chosen attempt, NO_VALUE where it is missing or
                    the step was not reached (see levels); None unless `value_step` was given
    bucket_rows     int64 (m,): the trend, a row an actor and bucket with a clean attempt: the actor's row,
    bucket_indexes  uint32 (m,): the bucket's index in `bucket_starts_ms`,
    bucket_levels   uint8 (m,): the deepest level of the actor's clean attempts that start in the bucket
    events          how many events were read
    whole           the same events as if they were not partitioned; None unless `partitioned`
    operations      inner steps of the native scanner's general walk; 0 from the oracle
    """

    keys: NDArray[np.uint64]
    levels: NDArray[np.uint8]
    step_times: NDArray[np.int64]
    partitions: NDArray[np.uint32] | None
    first_values: NDArray[np.uint32] | None
    last_values: NDArray[np.uint32] | None
    step_values: NDArray[np.uint32] | None
    bucket_rows: NDArray[np.int64]
    bucket_indexes: NDArray[np.uint32]
    bucket_levels: NDArray[np.uint8]
    events: int
    whole: FunnelScan | None = None
    operations: int = 0
