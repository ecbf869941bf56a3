"""Property values: their types, which of them fit a type, and the text under which they are stored.

Works on whole columns: most are of one kind, which `set(map(type, values))` tells at once.

Text of a value: a string as it is; a number as its JSON text, so integers of any size and decimals keep every
digit; 'true' / 'false'; a list as JSON; a datetime as 'YYYY-MM-DD HH:MM:SS.mmm'.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa

from footfall.events.datetimes import normal_datetime
from footfall.storage.columns import Kind
from footfall.storage.event_rows import MONEY

BOOLEAN_TEXTS = {False: "false", True: "true"}
_SMALLEST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**64 - 1
_EXACT_FLOAT = 2**53


def type_of(value: Any) -> str:
    """The type that a property gets whose first value this is.

    >>> [type_of(value) for value in ("a", "2026-01-31 08:00:00", 1, Decimal("1.5"), True, ["a"], 2**70)]
    ['string', 'datetime', 'number', 'number', 'boolean', 'list', 'string']
    """
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "number" if _SMALLEST_INTEGER <= value <= _LARGEST_INTEGER else "string"
    if isinstance(value, str):
        return "datetime" if normal_datetime(value) is not None else "string"
    return "list" if isinstance(value, list) else "number"


def misfits(declared: str, values: Sequence[Any]) -> list[bool] | None:
    """For each value whether it is of another than the declared type; None if none is."""
    kinds = set(map(type, values))
    if kinds <= _PLAIN_KINDS[declared] and _all_fit(declared, values, kinds):
        return None
    odd = [not _fits(declared, value) for value in values]
    return odd if any(odd) else None


def _all_fit(declared: str, values: Sequence[Any], kinds: set[type]) -> bool:
    """Whether values of the right kinds fit for certain; False: look at each."""
    match declared:
        case "number":
            return _are_64_bit(values, kinds)
        case "decimal":
            return _are_money(values)
        case "datetime":
            return False
    return True


_PLAIN_KINDS: dict[str, frozenset[type]] = {
    "string": frozenset({str}),
    "datetime": frozenset({str}),
    "number": frozenset({int, Decimal}),
    "decimal": frozenset({int, Decimal}),
    "boolean": frozenset({bool}),
    "list": frozenset({list}),
}


def _fits(declared: str, value: Any) -> bool:
    if type(value) not in _PLAIN_KINDS[declared]:
        # An integer beyond 64 bits is kept as text, so it fits a string.
        return declared == "string" and type(value) is int and type_of(value) == "string"
    if declared == "datetime":
        return normal_datetime(value) is not None
    if declared == "decimal":
        return _are_money([value])
    return declared != "number" or type(value) is Decimal or type_of(value) == "number"


def _are_64_bit(values: Sequence[Any], kinds: set[type]) -> bool:
    return int not in kinds or bool(min(values) >= _SMALLEST_INTEGER and max(values) <= _LARGEST_INTEGER)


def _are_money(values: Sequence[Any]) -> bool:
    """Whether all fit Decimal(38, 6) with every digit."""
    try:
        pa.array(list(map(Decimal, values)), MONEY)
    except pa.ArrowException:
        return False
    return True


def texts_of(values: Sequence[Any], declared: str = "") -> Sequence[str]:
    """The texts under which the values are stored; datetimes are normalised where the property is one."""
    kinds = set(map(type, values))
    if declared == "datetime" and kinds == {str}:
        return [normal_datetime(value) or value for value in values]
    if kinds == {str}:
        return values
    if kinds <= {int, Decimal}:
        return list(map(str, values))
    return [text_of(value) for value in values]


def text_of(value: Any) -> str:
    """The text under which a value is stored.

    >>> text_of(["a", "b"]), text_of(Decimal("1.50")), text_of(True)
    ('["a","b"]', '1.50', 'true')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return BOOLEAN_TEXTS[value]
    return orjson.dumps(value).decode() if isinstance(value, list) else str(value)


def column_values(kind: Kind, values: Sequence[Any]) -> Sequence[Any]:
    """Fitting values as rows.py wants them for a column of this kind."""
    if kind == "decimal":
        return list(map(Decimal, values))
    return list(map(float, values)) if kind == "number" else values


def inexact(numbers: Sequence[Any], misfit: list[bool] | None) -> list[bool] | None:
    """`misfits` and, of the others, the integers that a Float64 column would round."""
    odd = misfit or [False] * len(numbers)
    odd = [
        bad or (type(number) is int and not -_EXACT_FLOAT <= number <= _EXACT_FLOAT)
        for bad, number in zip(odd, numbers, strict=True)
    ]
    return odd if any(odd) else None
