"""Types of columns that behave the same on both engines."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Dialect, Integer, String, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

_NUL, _SIGN = "\0", "\ufdd0"  # U+FDD0 is no character, and stands in no text that is meant to be exchanged


class Words(TypeDecorator[str]):
    """Text, compared and ordered by code points.

    PostgreSQL's takes no U+0000: there it rests as U+FDD0 and "0", and U+FDD0 itself as U+FDD0 and "1".
    A length is documentation: whoever writes checks it.
    """

    impl = Text
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        super().__init__()
        self._length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Text(collation="C"))
        return dialect.type_descriptor(Text() if self._length is None else String(self._length))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or dialect.name != "postgresql" or not (_NUL in value or _SIGN in value):
            return value
        return value.replace(_SIGN, f"{_SIGN}1").replace(_NUL, f"{_SIGN}0")

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        if value is None or dialect.name != "postgresql" or _SIGN not in value:
            return None if value is None else str(value)
        return str(value).replace(f"{_SIGN}0", _NUL).replace(f"{_SIGN}1", _SIGN)


def begins_with(column: Column[str], text: str) -> ColumnElement[bool]:
    """Case counts; SQLite's LIKE would not see it."""
    return (column >= text) & (column < f"{text}\U0010ffff")


def number() -> TypeEngine[int]:
    """Whole numbers of 64 bits."""
    return Integer().with_variant(BigInteger(), "postgresql")
