"""All customers of a simulation: what they did, and how far each got."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from footfall.simulator.customer import Customer, draw_customer
from footfall.simulator.event import Event
from footfall.simulator.journey import Journey
from footfall.simulator.truth import FUNNEL, Truth

_STREAM_CUSTOMER = 2
_MOST_CUSTOMERS = 10_000_000


@dataclass(frozen=True, slots=True)
class History:
    """A customer and everything that he or she did; `depth` is the steps of FUNNEL done in time."""

    customer: Customer
    events: list[Event]
    registered_ms: int | None
    depth: int


@dataclass(frozen=True, slots=True)
class Bank:
    """A simulated bank."""

    truth: Truth
    histories: list[History]

    def events(self) -> Iterator[Event]:
        """All events, customer by customer, each customer's by true time."""
        for history in self.histories:
            yield from history.events

    @property
    def event_count(self) -> int:
        return sum(len(history.events) for history in self.histories)


def simulate(truth: Truth, *, customers: int | None = None, events: int | None = None) -> Bank:
    """That many customers, or as many as it takes for at least that many events.

    Customer n is the same however many there are.
    """
    if (customers is None) == (events is None):
        raise TypeError("say how many customers, or how many events")
    histories: list[History] = []
    simulated = 0
    for number in count() if customers is None else range(customers):
        if (events is not None and simulated >= events) or number >= _MOST_CUSTOMERS:
            break
        history = _live(truth, number)
        histories.append(history)
        simulated += len(history.events)
    return Bank(truth, histories)


def _live(truth: Truth, number: int) -> History:
    draws = np.random.default_rng([truth.plan.seed, _STREAM_CUSTOMER, number])
    customer = draw_customer(truth, number, draws)
    journey = Journey(truth, customer, draws)
    events = journey.run()
    depth = sum(step in journey.milestones for step in FUNNEL)
    return History(customer, events, journey.milestones.get(FUNNEL[0]), depth)
