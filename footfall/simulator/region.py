"""Whether counts are such as the drawn rates would give: one test over all cells and steps at once.

In each cell (channel and version) and step, the number who went on is compared with the sum of the rates of
those who could, in standard deviations. The sum of the squares is close to chi-square distributed, with a
degree of freedom a cell and step, so 99 of 100 seeds lie inside the region.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from footfall.simulator.bank import Bank
from footfall.simulator.truth import FUNNEL

_Z_99 = 2.3263478740408408
_FEWEST_EXPECTED = 5.0

Cell = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Region:
    """The verdict: `statistic` should not exceed `limit`."""

    statistic: float
    degrees: int
    limit: float

    @property
    def contains(self) -> bool:
        return self.statistic <= self.limit


def compare_with_drawn(bank: Bank, observed: Mapping[Cell, Sequence[int]]) -> Region:
    """`observed` has the persons at each step of FUNNEL by (channel, version), as the product counts them."""
    statistic, degrees = 0.0, 0
    for (cell, step), (mean, variance) in _expected(bank).items():
        if min(mean, variance) < _FEWEST_EXPECTED:
            continue  # too few for the normal approximation
        reached = observed[cell][step] if cell in observed else 0
        statistic += (reached - mean) ** 2 / variance
        degrees += 1
    return Region(statistic, degrees, chi_square_99(degrees))


def chi_square_99(degrees: int) -> float:
    """The 99 % quantile, by Wilson and Hilferty: within 0.3 % from 5 degrees on."""
    if degrees == 0:
        return 0.0
    spread = 2 / (9 * degrees)
    return degrees * (1 - spread + _Z_99 * math.sqrt(spread)) ** 3


def _expected(bank: Bank) -> dict[tuple[Cell, int], tuple[float, float]]:
    """Mean and variance of how many go on to each step, given who did the step before."""
    means: dict[tuple[Cell, int], float] = defaultdict(float)
    variances: dict[tuple[Cell, int], float] = defaultdict(float)
    for history in bank.histories:
        if history.registered_ms is None:
            continue
        cell = (history.customer.channel, history.customer.version)
        for step in range(1, min(history.depth + 1, len(FUNNEL))):
            rate = bank.truth.step_rate(step, *cell, history.registered_ms)
            means[cell, step] += rate
            variances[cell, step] += rate * (1 - rate)
    return {place: (means[place], variances[place]) for place in means}
