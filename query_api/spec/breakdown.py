"""Split by what: up to three properties, of the event, of the user or of an item."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from query_api.spec.conditions import MAX_TEXT, Owner, check_item, refuse_unbuilt_owner
from query_api.spec.strict import Strict, refuse

MAX_PARTS = 3
OTHER = "$other"


class Part(Strict):
    """`"channel"`, or `{"property": "age", "of": "user"}`; of an item also `item_type` and `by`."""

    property: str = Field(min_length=1, max_length=MAX_TEXT)
    of: Owner = "event"
    item_type: str | None = Field(default=None, max_length=MAX_TEXT)
    by: str | None = Field(default=None, max_length=MAX_TEXT)

    @model_validator(mode="after")
    def _check_item(self) -> Part:
        check_item(self.of, self.item_type, self.by)
        return self

    @builtins.property  # `property` is a field here
    def is_of_user(self) -> bool:
        """Whether the value is its user's; else every event has a value of its own."""
        return self.of == "user"


def _read_part(given: Any) -> Any:
    if isinstance(given, str):
        return {"property": given}
    if isinstance(given, Mapping):
        refuse_unbuilt_owner(str(given.get("of", "event")))
    return given


def _read_parts(given: Any) -> Any:
    """A lone property is a list of one; null is none."""
    parts = () if given is None else given
    if isinstance(parts, str | Mapping):
        parts = [parts]
    if isinstance(parts, list | tuple) and len(parts) > MAX_PARTS:
        refuse("invalid_value", f"at most {MAX_PARTS} properties", given=len(parts))
    return parts


_PartInput = str | Part

Breakdown = Annotated[
    tuple[Annotated[Part, BeforeValidator(_read_part, json_schema_input_type=_PartInput)], ...],
    BeforeValidator(_read_parts),
]
