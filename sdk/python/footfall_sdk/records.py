"""From a call's arguments to a record's JSON: whatever the values are, this gives JSON that the server takes.

What becomes of a property's value:

| Python | sent as |
|---|---|
| str | text, cut after 16,384 characters; half surrogates become `?` |
| bool, int, float | as is; an int beyond 64 bits as text; NaN and infinities are left out |
| Decimal | a JSON number with exactly its digits; NaN is left out, absurd exponents as text |
| datetime | text `YYYY-MM-DD HH:MM:SS.mmm`, the wall clock it shows |
| date, time, UUID, Enum, Path | their usual text; an Enum's value |
| bytes | text, read as UTF-8, with U+FFFD for what is not |
| list, tuple, set | a list of at most 1,000 texts (a set sorted); None in it is left out |
| dict | its JSON as text: properties do not nest |
| None | left out |
| anything else | str(value); left out if that raises |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from numbers import Integral, Real
from typing import Any
from uuid import UUID

import orjson

_INT64 = range(-(2**63), 2**64)
_MAX_EXPONENT = 60
_ID_KINDS = (Integral, float, Decimal, UUID)
_MAX_TEXT = 16_384  # characters: the server's limit, beyond which it would reject the whole event
_MAX_LIST = 1_000


def now_ms(moment: float) -> int:
    """Epoch milliseconds of epoch seconds."""
    return int(moment * 1000)


def time_ms(moment: datetime | float) -> int:
    """Epoch milliseconds. A naive datetime is local time; a number is epoch milliseconds already."""
    if isinstance(moment, datetime):
        return round(moment.timestamp() * 1000)
    try:
        return int(moment)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"time is a datetime or epoch milliseconds, not {moment!r:.50}") from None


def plain_properties(properties: Mapping[str, Any] | None) -> dict[str, Any]:
    """The properties with plain values only, by the table above."""
    if not properties:
        return {}
    try:
        given = dict(properties)
    except (TypeError, ValueError):
        raise TypeError(f"properties are a dict of names and values, not {properties!r:.50}") from None
    plain: dict[str, Any] = {}
    for name, value in given.items():
        fitting = _plain(value)
        if fitting is not None:
            plain[name if type(name) is str else str(name)] = fitting
    return plain


def id_text(value: Any) -> str | None:
    """An id as the text that is sent: 42 and a UUID have one. None means absent.

    Raises TypeError for what is no id: a boolean, NaN, a list, an object without a text of its own.
    """
    if type(value) is str or value is None:
        return value
    plain = value.value if isinstance(value, Enum) else value
    if isinstance(plain, str):
        return str.__str__(plain)
    if isinstance(plain, (bytes, bytearray)):
        return _bytes(plain)
    finite = not isinstance(plain, (float, Decimal)) or math.isfinite(plain)
    if isinstance(plain, _ID_KINDS) and not isinstance(plain, bool) and finite:
        return str(plain)
    raise TypeError(f"a {type(value).__name__} is no id: give a text, a whole number or a UUID")


def write_record(record: dict[str, Any]) -> bytes:
    """The record's JSON. TypeError where a name or an id holds what JSON cannot."""
    return orjson.dumps(record)


def with_sent_at(record: bytes, sent_at_ms: int) -> bytes:
    """The record's JSON with the time of this sending, from which the server tells a wrong clock."""
    return b'%b,"sent_at":%d}' % (record[:-1], sent_at_ms)


def _plain(value: Any) -> Any:
    """The value as JSON takes it; None to leave it out."""
    exact = _EXACT.get(type(value))
    if exact is not None:
        return exact(value)
    try:
        for kinds, convert in _RARER:
            if isinstance(value, kinds):
                return convert(value)
        return _text(str(value))
    except Exception:  # noqa: BLE001 - a value's own code may raise anything: the property is left out
        return None


def _text(text: str) -> str:
    if len(text) > _MAX_TEXT:
        text = text[:_MAX_TEXT]
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


def _texts(values: Any) -> list[str]:
    texts = []
    for value in values:
        plain = _plain(value)
        if plain is None:
            continue
        texts.append(plain if isinstance(plain, str) else _text(str(value)))
        if len(texts) == _MAX_LIST:
            break
    return texts


def _integer(value: int) -> int | str | None:
    if value in _INT64:
        return value
    try:
        return str(value)
    except ValueError:  # over Python's limit of digits
        return None


def _float(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _datetime(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03d}"


def _bytes(value: bytes | bytearray | memoryview) -> str:
    return bytes(value).decode("utf-8", "replace")


def _decimal(value: Decimal) -> Any:
    if not value.is_finite():
        return None
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or abs(exponent) > _MAX_EXPONENT or len(digits) > _MAX_EXPONENT:
        return str(value)
    return orjson.Fragment(format(value, "f"))


def _nested_json(value: Mapping[Any, Any]) -> str:
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str).decode()
    except (TypeError, RecursionError):
        return str(value)


_EXACT: dict[type, Callable[[Any], Any]] = {
    str: _text,
    bool: lambda value: value,
    int: _integer,
    float: _float,
    type(None): lambda _: None,
}
_RARER: tuple[tuple[Any, Callable[[Any], Any]], ...] = (  # the first that fits: a datetime is a date, too
    (Enum, lambda value: _plain(value.value)),
    (Decimal, _decimal),
    (datetime, _datetime),
    ((date, time), lambda value: value.isoformat()),
    ((bytes, bytearray, memoryview), _bytes),
    (Mapping, lambda value: _text(_nested_json(value))),
    ((list, tuple), _texts),
    ((set, frozenset), lambda value: sorted(_texts(value))),
    (str, lambda value: _text(str(value))),
    (Integral, lambda value: _integer(int(value))),  # numpy's, for example
    (Real, lambda value: _float(float(value))),
)
