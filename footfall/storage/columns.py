"""Which properties have a column of their own, and of what kind: the list that DDL, rows and queries read.

A property here is hot or preset. Its column is `p_` + its name, Nullable: a missing value is NULL.
All other properties live in the map `properties` as text; their type is in the catalogue.
A value that does not fit its column's kind is kept as text in the map, under the property's name.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import Literal

Kind = Literal["label", "text", "number", "decimal", "boolean"]
PropertyType = Literal["string", "number", "decimal", "boolean", "datetime", "list"]


@dataclass(frozen=True, slots=True)
class PropertyColumn:
    """A property with a column: `label` is text with few distinct values, `text` has many."""

    property: str
    kind: Kind
    projected: bool = False  # also in the projection by_event

    @builtins.property  # `property` is a field here
    def column(self) -> str:
        """The column's name, unquoted."""
        return f"p_{self.property}"

    @builtins.property  # `property` is a field here
    def type(self) -> PropertyType:
        """The property's type, whatever comes first."""
        return _TYPES[self.kind]

    @builtins.property  # `property` is a field here
    def sql_type(self) -> str:
        return _SQL_TYPES[self.kind]


_TYPES: dict[Kind, PropertyType] = {
    "label": "string",
    "text": "string",
    "number": "number",
    "decimal": "decimal",
    "boolean": "boolean",
}
_SQL_TYPES: dict[Kind, str] = {
    "label": "LowCardinality(Nullable(String))",
    "text": "Nullable(String)",
    "number": "Nullable(Float64)",
    "decimal": "Nullable(Decimal(38, 6))",
    "boolean": "Nullable(Bool)",
}

_LABELS = (
    "$os", "$os_version", "$lib", "$lib_version", "$manufacturer", "$model", "$device_type",
    "$browser", "$browser_version", "$network_type", "$carrier", "$country", "$province", "$city",
    "$screen_name", "$title", "$url_path", "$url_host", "$referrer_host",
    "$utm_source", "$utm_medium", "$utm_campaign", "$utm_content", "$utm_term",
    "$traffic_source_type", "$channel",
    "platform", "page", "product_id", "fund_id", "currency",
)  # fmt: skip

PROPERTY_COLUMNS: dict[str, PropertyColumn] = {
    column.property: column
    for column in (
        PropertyColumn("channel", "label", projected=True),
        PropertyColumn("$app_version", "label", projected=True),
        *(PropertyColumn(name, "label") for name in _LABELS),
        PropertyColumn("$url", "text"),
        PropertyColumn("$referrer", "text"),
        PropertyColumn("$event_session_id", "text"),
        PropertyColumn("event_duration", "number"),
        PropertyColumn("amount", "decimal", projected=True),
        PropertyColumn("balance", "decimal"),
        PropertyColumn("fee", "decimal"),
        PropertyColumn("$is_bot", "boolean"),
        PropertyColumn("$is_first_day", "boolean"),
        PropertyColumn("$is_first_time", "boolean"),
    )
}
