"""A virtual event: a name for what several selectors take, saved in a project, used like an event's."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from footfall.events.names import explain_name, name_fault
from query_api.spec.conditions import MAX_TEXT, Condition, count_leaves
from query_api.spec.selector import EventNames
from query_api.spec.strict import Strict, refuse

MAX_SOURCES = 50
MAX_LEAVES = 100
MAX_VIRTUAL_EVENTS = 500
"""So many a project may have."""


class VirtualSource(Strict):
    """Real events (a name, a list of names, or null for any `track` event) and conditions on them."""

    event: EventNames
    where: tuple[Condition, ...] = ()


class VirtualEvent(Strict):
    """`{"name": "any_purchase", "events": [{"event": "purchase_fund", "where": [...]}, ...]}`: any of them.

    The names in `events` are always those of real events, also where a virtual event has the same name.
    """

    name: str = Field(max_length=MAX_TEXT)
    events: tuple[VirtualSource, ...] = Field(min_length=1, max_length=MAX_SOURCES)

    @model_validator(mode="after")
    def _check(self) -> VirtualEvent:
        if name_fault(self.name) is not None:
            refuse("invalid_value", explain_name(self.name), field="name", given=self.name)
        leaves = sum(count_leaves(source.where) for source in self.events)
        if leaves > MAX_LEAVES:
            refuse("invalid_value", f"at most {MAX_LEAVES} conditions", field="events", given=leaves)
        return self

    def as_json(self) -> dict[str, Any]:
        """As it was given, with lists for names."""
        return self.model_dump(mode="python", by_alias=True, exclude_unset=True)
