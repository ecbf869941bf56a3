"""What a query means once the project, the catalogue and the clock are known: the input of every analysis."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from query_api.buckets import Calendar, Period
from query_api.catalogue import Catalogue
from query_api.spec.conditions import Condition
from query_api.spec.query import PropertyActor


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
    actor: PropertyActor | None = None  # None: persons
    sample: Decimal | None = None

    def scaled(self, count: int) -> int:
        """A count of what was sampled, as an estimate of the whole."""
        return count if self.sample is None else int((Decimal(count) / self.sample).to_integral_value())
