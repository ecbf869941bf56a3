"""How devices deliver what happened: in batches, some late, some twice, some by a wrong clock.

A plan says which events go in which request and in what order; the record is written when the request is
really sent, since a device stamps `_flush_time` then, with its own clock.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from footfall.simulator.bank import Bank, History
from footfall.simulator.customer import Device
from footfall.simulator.event import Event

BATCH_EVENTS = 50
_STREAM_DELIVERY = 3
_LIB_VERSION = "6.8.0"


@dataclass(frozen=True, slots=True)
class Request:
    """What a device sends at once. `repeat`: it has sent the same before and never saw the answer."""

    device: Device
    events: tuple[Event, ...]
    repeat: bool = False


def plan_requests(bank: Bank) -> list[Request]:
    """All requests in the order of sending: the punctual ones, shuffled; then the late and repeated."""
    draws = np.random.default_rng([bank.truth.plan.seed, _STREAM_DELIVERY])
    punctual: list[Request] = []
    late: list[Request] = []
    for history in bank.histories:
        for device in history.customer.devices:
            first, held_back = _plan_device(bank, history, device, draws)
            punctual += first
            late += held_back
    repeats = [
        Request(request.device, request.events, repeat=True)
        for request in punctual
        if draws.random() < bank.truth.repeated_share
    ]
    rest = late + repeats
    return [punctual[i] for i in draws.permutation(len(punctual))] + [
        rest[i] for i in draws.permutation(len(rest))
    ]


def sensors_record(event: Event, device: Device, sent_ms: int) -> dict[str, Any]:
    """The record that the device's SDK writes when its request leaves at (true) `sent_ms`."""
    record: dict[str, Any] = {
        "type": event.type,
        "time": event.time_ms + device.skew_ms,
        "distinct_id": event.distinct_id,
        "properties": event.properties,
        "lib": {
            "$lib": device.properties["$lib"],
            "$lib_version": _LIB_VERSION,
            "$lib_method": "code",
            "$app_version": device.properties["$app_version"],
        },
        "_track_id": zlib.crc32(event.event_id.encode()) & 0x7FFFFFFF,
        "_flush_time": sent_ms + device.skew_ms,
    }
    optional = {
        "event": event.event,
        "anonymous_id": event.anonymous_id,
        "login_id": event.login_id,
        "original_id": event.original_id,
    }
    record.update((name, value) for name, value in optional.items() if value is not None)
    if event.time_free:
        record["time_free"] = True
    return record


def _plan_device(
    bank: Bank, history: History, device: Device, draws: np.random.Generator
) -> tuple[list[Request], list[Request]]:
    """The device's requests in time, and those with what it held back."""
    events = [event for event in history.events if event.device == device.anonymous_id]
    held_back = draws.random(len(events)) < bank.truth.late_share
    punctual = [event for event, late in zip(events, held_back, strict=True) if not late]
    late = [event for event, late in zip(events, held_back, strict=True) if late]
    return _batches(device, punctual), _batches(device, late)


def _batches(device: Device, events: list[Event]) -> list[Request]:
    return [
        Request(device, tuple(events[first : first + BATCH_EVENTS]))
        for first in range(0, len(events), BATCH_EVENTS)
    ]
