"""A property's name becomes SQL: its column where it has one, else its text in the map.

A value that does not fit its column lies in the map under the same name; the map is consulted for it only if
the catalogue knows of such values, since the map is wide.
"""

from __future__ import annotations

from dataclasses import dataclass

from footfall.storage.columns import PROPERTY_COLUMNS, PropertyColumn, PropertyType
from query_api.catalogue import Catalogue, Source
from query_api.sql.parameters import EXACT_SCALE, Parameters

PSEUDO_PROPERTIES = ("event", "distinct_id")
"""Names that no property can have, for the event's own name and id."""


@dataclass(frozen=True, slots=True)
class PropertySql:
    """SQL of one property of an event or a profile.

    text     Nullable(String): the value's text, NULL if it is missing
    raw      text without NULL, where cheap to have: '' if it is missing (or is '')
    present  whether there is a value
    native   the column, if it holds all of the property's values, and of what kind
    """

    name: str
    type: PropertyType | None  # None: never seen
    text: str
    raw: str
    present: str
    native: str | None = None

    @property
    def exact(self) -> str:
        """Nullable(Decimal(76, 30)): the value as an exact number, NULL if it is none."""
        if self.native is not None and self.type == "decimal":
            return f"toDecimal256({self.native}, {EXACT_SCALE})"
        return f"toDecimal256OrNull({self.raw}, {EXACT_SCALE})"

    @property
    def float(self) -> str:
        """Nullable(Float64): the value as a double, NULL if it is no finite number."""
        if self.native is not None and self.type == "number":
            return self.native
        if self.native is not None and self.type == "decimal":
            return f"toFloat64({self.native})"
        parsed = f"toFloat64OrNull({self.raw})"
        return f"if(isFinite({parsed}), {parsed}, NULL)"

    @property
    def canonical(self) -> str:
        """Nullable(String): a text that is equal exactly for equal values (1.0 and 1 are one number)."""
        if self.native is not None or self.type not in ("number", "decimal", None):
            return self.text
        if self.type is None:
            return self.text
        return f"ifNull(toString({self.exact}), {self.text})"


def event_property(name: str, catalogue: Catalogue, parameters: Parameters) -> PropertySql:
    """A property of the event itself."""
    if name in PSEUDO_PROPERTIES:
        return PropertySql(name, "string", f"nullIf({name}, '')", name, f"{name} != ''")
    column = PROPERTY_COLUMNS.get(name)
    if column is not None:
        return _column(column, catalogue.has_conflicts("event", name), parameters)
    return map_property(name, "event", "properties", catalogue, parameters)


def map_property(
    name: str, source: Source, column: str, catalogue: Catalogue, parameters: Parameters
) -> PropertySql:
    """A property in a map column of that name."""
    text, raw, present = _in_map(name, column, parameters)
    return PropertySql(name, catalogue.type_of(source, name), text, raw, present)


def _column(column: PropertyColumn, has_conflicts: bool, parameters: Parameters) -> PropertySql:
    name = f"`{column.column}`"
    text = name if column.type == "string" else f"toString({name})"
    if not has_conflicts:
        return PropertySql(
            column.property, column.type, text, f"ifNull({text}, '')", f"isNotNull({name})", native=name
        )
    in_map, _, in_map_present = _in_map(column.property, "properties", parameters)
    text = f"ifNull(toString({name}), {in_map})"
    present = f"(isNotNull({name}) OR {in_map_present})"
    return PropertySql(column.property, column.type, text, f"ifNull({text}, '')", present)


def _in_map(name: str, column: str, parameters: Parameters) -> tuple[str, str, str]:
    key = parameters.text(name)
    raw, present = f"{column}[{key}]", f"mapContains({column}, {key})"
    return f"if({present}, {raw}, NULL)", raw, present
