"""What is drawn before anything happens: shares, rates by channel and version, retention, incidents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

FUNNEL = ("register", "verify_identity", "bind_card", "view_fund", "purchase_fund")
"""The main path. The rate of step k is among those who did step k-1."""

WINDOW_DAYS = 14
"""A conversion counts within this; some customers of the simulation come later, on purpose."""

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_SHANGHAI_MS = 8 * HOUR_MS

_CHANNELS = {"app_store": 0.34, "huawei": 0.24, "wechat": 0.2, "branch_qr": 0.12, "partner": 0.1}
_VERSIONS = {"8.0.3": 0.25, "8.1.0": 0.45, "8.2.0": 0.3}
_BASE_RATES = (0.8, 0.68, 0.62, 0.42)
_STREAM_TRUTH = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What the caller chooses. The history is the `days` civil days in Shanghai that end with `end_ms`."""

    seed: int
    end_ms: int
    days: int = 30

    def __post_init__(self) -> None:
        if not 15 <= self.days <= 300:
            raise ValueError(f"a history has 15 to 300 days, not {self.days}")

    @property
    def start_ms(self) -> int:
        today = (self.end_ms + _SHANGHAI_MS) // DAY_MS * DAY_MS - _SHANGHAI_MS
        return today - (self.days - 1) * DAY_MS


@dataclass(frozen=True, slots=True)
class Incident:
    """Something unusual where `where` ("8.2.0", "wechat") says, from `from_ms` (in) to `to_ms` (out)."""

    where: str
    from_ms: int
    to_ms: int
    size: float  # a probability, or the factor on a rate

    def covers(self, where: str, time_ms: int) -> bool:
        return where == self.where and self.from_ms <= time_ms < self.to_ms


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything drawn. Rates are fractions; `rates` has those of FUNNEL[1:] by (channel, version)."""

    plan: Plan
    channels: dict[str, float]
    versions: dict[str, float]
    register_rate: float
    rates: dict[tuple[str, str], tuple[float, ...]]
    retention: tuple[float, ...]  # of day k + 1 after the first visit: the chance of a session
    crash_rate: float  # of a session
    crash_wave: Incident  # in a version: the chance of a crash in a session
    drop_off: Incident  # in a channel: the factor on the rate of bind_card
    campaign: Incident  # in a channel: the factor on arrivals
    campaign_name: str = "autumn_fund_festival"
    late_share: float = 0.04  # of events: delivered long after those that followed
    repeated_share: float = 0.03  # of requests: the device never saw the answer
    skewed_share: float = 0.05  # of customers: the device's clock is wrong by minutes to days
    lost_signup_share: float = 0.04  # of customers: the first sign-up never arrives
    second_device_share: float = 0.2  # of registered customers who come back

    def step_rate(self, step: int, channel: str, version: str, time_ms: int) -> float:
        """The chance of FUNNEL[step] after the step before, for whoever registered at `time_ms`."""
        rate = self.rates[channel, version][step - 1]
        if FUNNEL[step] == "bind_card" and self.drop_off.covers(channel, time_ms):
            return rate * self.drop_off.size
        return rate

    def session_crash_rate(self, version: str, time_ms: int) -> float:
        return self.crash_wave.size if self.crash_wave.covers(version, time_ms) else self.crash_rate

    def as_json(self) -> dict[str, Any]:
        """For the truth file: the same fields, with the cells of `rates` as a list."""
        values = asdict(self)
        values["plan"]["start_ms"] = self.plan.start_ms
        values["rates"] = [
            {"channel": channel, "version": version, **dict(zip(FUNNEL[1:], rates, strict=True))}
            for (channel, version), rates in self.rates.items()
        ]
        return values


def draw_truth(plan: Plan) -> Truth:
    """Draws from the plan's seed; `end_ms` only moves it all in time."""
    draws = np.random.default_rng([plan.seed, _STREAM_TRUTH])
    versions = list(_VERSIONS)
    return Truth(
        plan=plan,
        channels=_vary_shares(draws, _CHANNELS),
        versions=_vary_shares(draws, _VERSIONS),
        register_rate=float(draws.uniform(0.55, 0.7)),
        rates=_draw_rates(draws),
        retention=_draw_retention(draws, plan.days),
        crash_rate=float(draws.uniform(0.002, 0.006)),
        crash_wave=_draw_incident(draws, plan, versions[-1:], days=(2, 5), size=(0.12, 0.3)),
        drop_off=_draw_incident(draws, plan, list(_CHANNELS)[1:3], days=(4, 7), size=(0.25, 0.45)),
        campaign=_draw_incident(draws, plan, ["wechat", "partner"], days=(3, 6), size=(2.5, 4.0)),
    )


def _draw_rates(draws: np.random.Generator) -> dict[tuple[str, str], tuple[float, ...]]:
    steps = len(_BASE_RATES)
    by_channel = {channel: draws.normal(0, 0.35, steps) for channel in _CHANNELS}
    by_version = {version: draws.normal(0, 0.2, steps) for version in _VERSIONS}
    return {
        (channel, version): tuple(
            float(_shift(base, by_channel[channel][step] + by_version[version][step]))
            for step, base in enumerate(_BASE_RATES)
        )
        for channel in _CHANNELS
        for version in _VERSIONS
    }


def _shift(rate: float, by: float) -> float:
    """The rate, moved by `by` on the logistic scale."""
    return 1 / (1 + math.exp(-(math.log(rate / (1 - rate)) + by)))


def _vary_shares(draws: np.random.Generator, shares: dict[str, float]) -> dict[str, float]:
    varied = {name: share * float(draws.uniform(0.8, 1.25)) for name, share in shares.items()}
    return {name: share / sum(varied.values()) for name, share in varied.items()}


def _draw_retention(draws: np.random.Generator, days: int) -> tuple[float, ...]:
    first, decay = float(draws.uniform(0.36, 0.46)), float(draws.uniform(0.45, 0.7))
    return tuple(first * day**-decay for day in range(1, days))


def _draw_incident(
    draws: np.random.Generator,
    plan: Plan,
    places: Sequence[str],
    *,
    days: tuple[int, int],
    size: tuple[float, float],
) -> Incident:
    """Whole days, neither the first nor the last of the history."""
    where = places[int(draws.integers(len(places)))]
    length = int(draws.integers(days[0], days[1] + 1))
    first_day = int(draws.integers(1, plan.days - length - 1))
    from_ms = plan.start_ms + first_day * DAY_MS
    return Incident(where, from_ms, from_ms + length * DAY_MS, float(draws.uniform(*size)))
