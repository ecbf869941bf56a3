"""What retention looks for (`RetentionPlan`) and what was found (`RetentionScan`), as the scanner sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Entry = Literal["recurring", "first_in_range", "first_matching", "first_ever"]
Mode = Literal["on", "on_or_after"]

ENTERS, RETURNS, NAMED = 1, 2, 4
"""Bits of an event's mask: it lets its actor enter; it is a return; first_ever: it has the start's name."""

MAX_PERIODS = 10_000
"""So many intervals after its own a row can have."""
MAX_OCCURRENCES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPlan:
    """Retention as the scanner sees it; spec/query.md, "retention", has the meaning.

    A block has the columns keys (uint64, 0: nobody), times (int64, ms since 1970), masks (uint8, see ENTERS)
    and, with_values, values (uint32, a code or NO_VALUE).

    edges_ms: starts of the intervals, ascending, and the end of the last: the first `rows` are those that
        actors enter in. Calendar intervals: rows + periods of them, else (`rolling`) `rows`. Fewer where time
        itself ends
    rolling: interval k is from k to k + 1 times 24 hours after the entering event; then an actor enters once
    with_values: whether the value of each entry is wanted: of its first event; of several at that instant the
        smallest
    ranks: as in FunnelPlan
    listed: whether each entry is wanted, not only how many there are

    Raises ValueError when a field is out of its bounds: our bug, specs are checked before.
    """

    edges_ms: tuple[int, ...]
    rows: int
    periods: int
    entry: Entry = "recurring"
    mode: Mode = "on"
    rolling: bool = False
    min_occurrences: int = 1
    with_values: bool = False
    ranks: Callable[[], NDArray[np.uint32]] | None = None
    listed: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.periods <= MAX_PERIODS:
            raise ValueError(f"periods: 0 to {MAX_PERIODS}, not {self.periods}")
        if not 1 <= self.min_occurrences <= MAX_OCCURRENCES:
            raise ValueError(f"min_occurrences: 1 to {MAX_OCCURRENCES}, not {self.min_occurrences}")
        if not 1 <= self.rows < len(self.edges_ms):
            raise ValueError(f"edges_ms: {self.rows} rows need as many starts and an end")
        if any(b <= a for a, b in zip(self.edges_ms, self.edges_ms[1:], strict=False)):
            raise ValueError("edges_ms: must ascend")
        if self.with_values and not self.listed:
            raise ValueError("with_values: goes with listed")

    @property
    def columns(self) -> int:
        """How many columns a block has."""
        return 3 + self.with_values


@dataclass(frozen=True, slots=True)
class RetentionScan:
    """Who entered, and who came back.

    Unless `listed`:

    cells      int64 (rows, periods + 1): how many actors; column 0 is everybody who entered

    else an entry each, `n` of them, in no particular order; an actor enters in a row at most once:

    keys       uint64 (n,): the actor
    rows       uint32 (n,): the row that they entered in
    values     uint32 (n,): the code of the entering event's value, NO_VALUE if it is missing
    retained   uint64 (n, periods // 64 + 1): bit k says whether the entry is in cell k

    events     how many events were read
    """

    cells: NDArray[np.int64] | None
    keys: NDArray[np.uint64]
    rows: NDArray[np.uint32]
    values: NDArray[np.uint32]
    retained: NDArray[np.uint64]
    events: int

    def is_in_cell(self, period: int) -> NDArray[np.bool_]:
        """Of each entry, whether it is in cell `period` of its row."""
        word, bit = divmod(period, 64)
        found: NDArray[Any] = self.retained[:, word] >> np.uint64(bit) & np.uint64(1)
        return found.astype(bool)
