"""Writes answers as JSON: decimals as exact numbers, times as ISO 8601."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from fractions import Fraction
from typing import Any

import orjson

MAX_EXPONENT = 400
_EXACTLY = Context(prec=100, traps=[Inexact, InvalidOperation, Overflow])
_NUMBER = re.compile(r"-?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][-+]?[0-9]{1,4})?")


def write_json(value: Any) -> bytes:
    """The JSON text of an answer. Numbers beyond 64 bits must come as Decimal."""
    return orjson.dumps(value, default=_write_other)


def instant(milliseconds: int) -> str:
    """Epoch milliseconds as ISO 8601 in UTC.

    >>> instant(1795301590252)
    '2026-11-22T10:53:10.252Z'
    """
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def number_text(number: Decimal) -> str:
    """A decimal without exponent and without zeros at its end: `1.5` for Decimal('1.500000')."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def read_number(text: str) -> int | Decimal | None:
    """The number that a stored text is, exactly; None if it is none.

    >>> read_number("1.50"), read_number("7"), read_number("abc")
    (Decimal('1.50'), 7, None)
    """
    if not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text)
    if number.as_tuple().exponent == 0 and abs(number) < 1 << 63:
        return int(number)
    return number if abs(number.adjusted()) <= MAX_EXPONENT else None


def as_number(value: Fraction) -> int | float | Decimal:
    """A fraction as the number of an answer: exact where its decimals end, else the nearest double.

    >>> as_number(Fraction(3, 2)), as_number(Fraction(6, 2)), as_number(Fraction(1, 3))
    (Decimal('1.5'), 3, 0.3333333333333333)
    """
    if value.denominator == 1 and abs(value.numerator) < 1 << 63:
        return value.numerator
    try:
        return _EXACTLY.divide(Decimal(value.numerator), Decimal(value.denominator))
    except Inexact:
        return float(value)


def _write_other(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(number_text(value))
    raise TypeError(f"{type(value).__name__} has no place in an answer")
