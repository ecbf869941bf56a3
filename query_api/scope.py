"""What a query means once the project, the catalogue and the clock are known: the input of every analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from query_api.buckets import Calendar, Period
from query_api.catalogue import Catalogue
from query_api.spec.conditions import Condition
from query_api.spec.query import PropertyActor, SessionActor
from query_api.spec.virtual_event import VirtualEvent


@dataclass(frozen=True, slots=True)
class Scope:
    """The fields that every query takes, resolved."""

    project: str
    period: Period  # that is asked now
    periods: tuple[Period, ...]  # all of the query: its own and its comparison's
    calendar: Calendar  # of the query: buckets and bare dates
    project_calendar: Calendar  # of the project: times in properties
    catalogue: Catalogue
    now: int
    where: tuple[Condition, ...] = ()
    actor: PropertyActor | SessionActor | None = None  # None: persons
    sample: Decimal | None = None
    virtual_events: Mapping[str, VirtualEvent] = field(default_factory=dict)  # of the project, by name

    def scaled(self, count: int) -> int:
        """A count of what was sampled, as an estimate of the whole."""
        return count if self.sample is None else int((Decimal(count) / self.sample).to_integral_value())
