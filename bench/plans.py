"""What judging by a tracking plan costs an event at a door.

Unit: CPU time an event, in this process, of batches whose properties the door's fastest way leaves undecoded:
so judging reads them, too. The limit is what the same door takes to read and check the same batches. Medians
over interleaved rounds.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from bench.results import Row, Section
from footfall.events.batch import read_batch
from footfall.events.names import KnownNames
from footfall.events.verdicts import NATIVE, Judge
from footfall.tracking_plan.batches import ActivePlan
from footfall.tracking_plan.plan import PROPERTY_TYPES, Plan, PlannedEvent, PlannedProperty, PropertyType

EVENTS: Final = 50
PROPERTIES: Final = 20
_A_REQUEST: Final = 20
_VALUES: Final[dict[PropertyType, Any]] = {
    "string": "app",
    "number": 42,
    "decimal": 1234.5,
    "boolean": True,
    "datetime": "2026-01-31 08:00:00.123",
    "list": ["a", "b"],
}


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to judge."""

    rounds: int = 9
    requests: int = 1_000

    @classmethod
    def of(cls, quick: bool) -> Effort:
        return cls(rounds=1, requests=20) if quick else cls()


def measure(effort: Effort) -> Section:
    """Batches that keep to the plan, and batches in which every record breaks it."""
    now = time.time_ns() // 1_000_000
    judge = Judge(NATIVE, KnownNames())
    active = ActivePlan(1, build_plan())
    good, bad = (build_bodies(effort.requests, now, broken=broken) for broken in (False, True))

    def read(bodies: list[bytes]) -> None:
        for body in bodies:
            read_batch(body, judge, now)

    read(good[:100])  # the door learns the names
    batches = {"kept": [read_batch(body, judge, now) for body in good]}
    batches["broken"] = [read_batch(body, judge, now) for body in bad]
    spent: dict[str, list[float]] = {"read": [], "kept": [], "broken": []}
    for _ in range(effort.rounds):
        spent["read"].append(_cpu_seconds(lambda: read(good)))
        for name, verdicts in batches.items():
            spent[name].append(_cpu_seconds(lambda each=verdicts: [active.judge(one) for one in each]))  # type: ignore[misc]
    events = effort.requests * _A_REQUEST
    micros = {name: statistics.median(seconds) / events * 1e6 for name, seconds in spent.items()}
    rows = [
        Row(
            f"judging / reading an event of {PROPERTIES} properties, {words}",
            f"{micros[name]:.2f} us",
            f"{micros['read']:.2f} us",
            micros[name] / micros["read"],
        )
        for name, words in (("kept", "which keeps to the plan"), ("broken", "which breaks it once"))
    ]
    note = (
        f"a plan of {EVENTS} events with {PROPERTIES} properties each, all types, a fifth with allowed values"
    )
    return Section("Tracking plan", rows, [note])


def build_plan() -> Plan:
    """All of its properties are required; every type is there."""
    return Plan(
        "report",
        events={
            f"event_{event}": PlannedEvent(
                {name: _property(number) for number, name in enumerate(_names(event))}
            )
            for event in range(EVENTS)
        },
    )


def build_bodies(requests: int, now: int, *, broken: bool) -> list[bytes]:
    """Requests of twenty events; in broken ones a property of each has a value that it may not have."""
    draw = random.Random(7)
    bodies = []
    for _ in range(requests):
        events = []
        for _ in range(_A_REQUEST):
            event = draw.randrange(EVENTS)
            properties = {name: _VALUES[_property(n).type] for n, name in enumerate(_names(event))}
            if broken:
                properties[_names(event)[0]] = "another"
            events.append(
                {
                    "event": f"event_{event}",
                    "distinct_id": f"cif_{draw.randrange(10**10):010}",
                    "time": now,
                    "lib": {"$lib": "Android", "$app_version": "8.2.0"},
                    "properties": properties,
                }
            )
        bodies.append(orjson.dumps(events))
    return bodies


def _names(event: int) -> list[str]:
    """Events share names by sevens, as those of an app do: some hundred names in all."""
    return [f"p{(event % 7) * 10 + number}_{number % len(PROPERTY_TYPES)}" for number in range(PROPERTIES)]


def _property(number: int) -> PlannedProperty:
    type_ = PROPERTY_TYPES[number % len(PROPERTY_TYPES)]
    allowed = ("app", "web", "branch", "phone") if type_ == "string" else ()
    return PlannedProperty(type_, required=True, allowed=allowed)


def _cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
