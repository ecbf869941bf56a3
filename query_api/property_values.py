"""Stored texts become the values that they were: numbers exactly, booleans, lists; else they stay text."""

from __future__ import annotations

import json
from decimal import Decimal

from footfall.storage.columns import PropertyType
from query_api.answers import read_number

PropertyValue = str | bool | int | Decimal | list[str]


def read_value(text: str, type_: PropertyType | None) -> PropertyValue:
    """The value of a property of that type; a text that is none of that type stays text.

    >>> read_value("1.50", "number"), read_value("true", "boolean"), read_value("n/a", "number")
    (Decimal('1.50'), True, 'n/a')
    """
    if type_ in ("number", "decimal") and (number := read_number(text)) is not None:
        return number
    if type_ == "boolean" and text in ("true", "false"):
        return text == "true"
    if type_ == "list" and text.startswith("["):
        return _read_list(text)
    return text


def _read_list(text: str) -> PropertyValue:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # a text that came instead of a list: thousands of brackets, say
        return text
    return value if all(isinstance(element, str) for element in value) else text
