"""Interleaved timing: every case once a round, so that a slow minute of the machine hits all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

Clock = Callable[[], float]

cpu_clock: Clock = time.process_time
"""User and system time of all threads: what one thread's work costs, whatever else the machine does."""

wall_clock: Clock = time.perf_counter
"""What somebody waits: for what runs in several threads or processes."""


def median_seconds(cases: Mapping[str, Callable[[], object]], rounds: int, clock: Clock) -> dict[str, float]:
    """The median time of each case, after one round that warms the page cache and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for counted in range(rounds + 1):
        for name, case in cases.items():
            started = clock()
            case()
            if counted:
                seconds[name].append(clock() - started)
    return {name: statistics.median(measured) for name, measured in seconds.items()}


def readable(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
