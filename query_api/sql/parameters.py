"""Values on their way into SQL: each becomes a placeholder, so that no text of a client's is ever SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from footfall.storage.store import Parameter, Query

EXACT_SCALE = 30
"""Digits behind the point of the exact numbers that queries compute with, Decimal(76, 30)."""

_EXACT_LIMIT = Decimal(10) ** 45


class Parameters:
    """Gives out placeholders; the same value gets the same one."""

    def __init__(self) -> None:
        self._values: dict[str, Parameter] = {}
        self._names: dict[tuple[str, object], str] = {}

    def text(self, value: str) -> str:
        return self._placeholder("String", value, value)

    def texts(self, values: Iterable[str]) -> str:
        """An array of texts."""
        given = list(values)
        return self._placeholder("Array(String)", given, tuple(given))

    def one_of(self, values: Iterable[str]) -> str:
        """The right side of IN: a list of placeholders, which the engine's index understands."""
        return f"({', '.join(map(self.text, values))})"

    def integer(self, value: int) -> str:
        return self._placeholder("Int64", value, value)

    def key(self, value: int) -> str:
        """An unsigned 64-bit key."""
        return self._placeholder("UInt64", value, value)

    def keys(self, values: Sequence[int]) -> str:
        return self._placeholder("Array(UInt64)", list(values), tuple(values))

    def integers(self, values: Sequence[int]) -> str:
        return self._placeholder("Array(Int64)", list(values), tuple(values))

    def float(self, value: float) -> str:
        return self._placeholder("Float64", value, value)

    def exact(self, value: Decimal | int) -> str | None:
        """A number as Decimal(76, 30); None if it does not fit exactly."""
        number = Decimal(value)
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)
        if abs(number) >= _EXACT_LIMIT or exponent < -EXACT_SCALE:
            return None
        return f"toDecimal256({self.text(format(number, 'f'))}, {EXACT_SCALE})"

    def query(self, sql: str) -> Query:
        """The finished query, with the parameters that appear in it."""
        used = {name: value for name, value in self._values.items() if f"{{{name}:" in sql}
        return Query(sql, used)

    def _placeholder(self, sql_type: str, value: Parameter, identity: object) -> str:
        name = self._names.get((sql_type, identity))
        if name is None:
            name = f"p{len(self._names)}"
            self._names[sql_type, identity] = name
            self._values[name] = value
        return f"{{{name}:{sql_type}}}"
