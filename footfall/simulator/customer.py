"""Who a customer is: drawn once, before anything is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from footfall.simulator.truth import DAY_MS, HOUR_MS, Truth

MINUTE_MS = 60_000

_HOURS = np.array([1, 1, 1, 1, 1, 2, 4, 8, 10, 9, 9, 9, 11, 9, 7, 7, 7, 8, 9, 11, 12, 11, 7, 3], dtype=float)
_HOURS_CUMULATIVE = np.cumsum(_HOURS / _HOURS.sum())
_PHONES = (
    ("Android", "14", "HUAWEI", "Mate 60"),
    ("Android", "13", "Xiaomi", "Mi 13"),
    ("Android", "12", "OPPO", "Find X5"),
    ("iOS", "18.1", "Apple", "iPhone 15"),
    ("iOS", "17.6", "Apple", "iPhone 13"),
)
_PROVINCES = ("Guangdong", "Zhejiang", "Jiangsu", "Beijing", "Shanghai", "Sichuan", "Hubei")
_LONGEST_SKEW_MS = 3 * DAY_MS
_SHORTEST_SKEW_MS = 5 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Device:
    """A phone: its anonymous id, and how far its clock is ahead of the true time."""

    anonymous_id: str
    skew_ms: int
    properties: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Customer:
    """One person. `login_id` is used from registration on."""

    number: int
    login_id: str
    channel: str
    version: str
    arrival_ms: int
    registers: bool
    devices: tuple[Device, ...]
    loses_first_signup: bool
    from_campaign: bool

    @property
    def person(self) -> str:
        return f"person-{self.number:06d}"


def draw_customer(truth: Truth, number: int, draws: np.random.Generator) -> Customer:
    """Customer `number` of the bank; `draws` is that customer's own stream."""
    channel = _pick(truth.channels, draws)
    version = _pick(truth.versions, draws)
    arrival_ms = _draw_arrival(truth, channel, draws)
    registers = draws.random() < truth.register_rate
    devices = 2 if registers and draws.random() < truth.second_device_share else 1
    skewed = draws.random() < truth.skewed_share
    return Customer(
        number=number,
        login_id=f"cust-{truth.plan.seed}-{number:06d}",
        channel=channel,
        version=version,
        arrival_ms=arrival_ms,
        registers=registers,
        devices=tuple(_draw_device(draws, version, skewed) for _ in range(devices)),
        loses_first_signup=draws.random() < truth.lost_signup_share,
        from_campaign=truth.campaign.covers(channel, arrival_ms),
    )


def draw_profile(customer: Customer, draws: np.random.Generator) -> dict[str, Any]:
    """What the bank knows of a registered customer."""
    return {
        "level": ("basic", "silver", "gold")[int(draws.integers(3))],
        "age": int(draws.integers(18, 75)),
        "province": _PROVINCES[int(draws.integers(len(_PROVINCES)))],
        "registered_by": customer.channel,
    }


def draw_hex(draws: np.random.Generator) -> str:
    """32 hex digits."""
    return draws.bytes(16).hex()


def _draw_device(draws: np.random.Generator, version: str, skewed: bool) -> Device:
    system, system_version, maker, model = _PHONES[int(draws.integers(len(_PHONES)))]
    return Device(
        anonymous_id=f"dev-{draw_hex(draws)}",
        skew_ms=_draw_skew(draws) if skewed else 0,
        properties={
            "$os": system,
            "$os_version": system_version,
            "$manufacturer": maker,
            "$model": model,
            "$lib": system,
            "$app_version": version,
        },
    )


def _draw_skew(draws: np.random.Generator) -> int:
    """Minutes to days, either way: log-uniform."""
    low, high = np.log(_SHORTEST_SKEW_MS), np.log(_LONGEST_SKEW_MS)
    size = int(np.exp(draws.uniform(low, high)))
    return size if draws.random() < 0.5 else -size


def _draw_arrival(truth: Truth, channel: str, draws: np.random.Generator) -> int:
    """A day (more on those of the campaign) and an hour as people use their phones, at least an hour ago."""
    plan = truth.plan
    starts = plan.start_ms + DAY_MS * np.arange(plan.days)
    weights = np.array(
        [truth.campaign.size if truth.campaign.covers(channel, int(s)) else 1.0 for s in starts]
    )
    cumulative = np.cumsum(weights / weights.sum())
    day = min(int(np.searchsorted(cumulative, draws.random(), side="right")), plan.days - 1)
    hour = min(int(np.searchsorted(_HOURS_CUMULATIVE, draws.random(), side="right")), 23)
    arrival = int(starts[day]) + hour * HOUR_MS + int(draws.integers(HOUR_MS))
    return arrival if arrival <= plan.end_ms - HOUR_MS else arrival - DAY_MS


def _pick(shares: dict[str, float], draws: np.random.Generator) -> str:
    threshold = draws.random()
    for name, share in shares.items():
        threshold -= share
        if threshold < 0:
            return name
    return name
