"""Which events count: a name, several names or any event, and conditions on them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from query_api.spec.conditions import MAX_TEXT, Condition
from query_api.spec.strict import Strict, refuse

Occurrence = Literal["any", "first_ever", "first_matching"]


def _read_names(given: Any) -> Any:
    """A name, a list of names (any of them), or null (any `track` event)."""
    if given is None:
        return None
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or not names or not all(isinstance(n, str) for n in names):
        refuse("invalid_value", "an event's name, a list of names, or null for any event", given=given)
    if len(names) > 1_000 or any(not 0 < len(name) <= MAX_TEXT for name in names):
        refuse("invalid_value", f"at most 1000 names of 1 to {MAX_TEXT} characters", given=given)
    return tuple(names)


EventNames = Annotated[
    tuple[str, ...] | None, BeforeValidator(_read_names, json_schema_input_type=str | list[str] | None)
]
"""Names of which any is meant, or None for any `track` event."""


class Selector(Strict):
    """`{"event": "purchase_fund", "where": [...], "label": "...", "occurrence": "any"}`."""

    event: EventNames
    where: tuple[Condition, ...] = ()
    label: str | None = Field(default=None, max_length=MAX_TEXT)
    occurrence: Occurrence = "any"

    @property
    def shown(self) -> str:
        """The label, or what stands for it."""
        if self.label is not None:
            return self.label
        return ", ".join(self.event) if self.event is not None else "any event"
