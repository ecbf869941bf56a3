"""A cell's text becomes a value of the type that its property is said to have; None where it is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

ValueType = Literal["string", "number", "boolean", "datetime", "list"]
TYPES: Final[tuple[ValueType, ...]] = ("string", "number", "boolean", "datetime", "list")

EPOCH_MILLISECONDS, EPOCH_SECONDS, ISO = "epoch_milliseconds", "epoch_seconds", "iso"
FORMATS: Final = (
    ISO, EPOCH_MILLISECONDS, EPOCH_SECONDS,
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%Y-%m-%d %H:%M", "%Y%m%d%H%M%S", "%Y%m%d %H%M%S",
    "%Y%m%d %H:%M:%S", "%Y%m%d", "%Y年%m月%d日 %H:%M:%S", "%Y年%m月%d日 %H时%M分%S秒", "%Y年%m月%d日",
    "%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S",
)  # fmt: skip
"""Tried in this order on times whose format nobody named."""

_NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d{1,3})?\Z", re.ASCII)
_GROUPED: Final = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?\Z", re.ASCII)
_TRUE: Final = frozenset({"true", "t", "yes", "y", "1", "是", "真"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "0", "否", "假"})
_FIELDS: Final = {
    "Y": r"(\d{4})",
    "m": r"(\d{1,2})",
    "d": r"(\d{1,2})",
    "H": r"(\d{1,2})",
    "M": r"(\d{1,2})",
    "S": r"(\d{1,2})",
}
_TIGHT: Final = dict.fromkeys("mdHMS", r"(\d{2})") | {"Y": r"(\d{4})"}
_ORDER: Final = "YmdHMS"


def read_number(text: str) -> msgspec.Raw | None:
    """The JSON text of the number, with every digit. `007` is no number: it is a code."""
    text = text.removeprefix("+")
    if _NUMBER.match(text):
        return msgspec.Raw(text.encode())
    return msgspec.Raw(text.replace(",", "").encode()) if _GROUPED.match(text) else None


def read_boolean(text: str) -> bool | None:
    lowered = text.lower()
    return True if lowered in _TRUE else False if lowered in _FALSE else None


def read_list(text: str) -> list[str] | None:
    """A JSON list of texts, else texts between semicolons."""
    if text.startswith("["):
        try:
            return msgspec.json.decode(text, type=list[str])
        except msgspec.MsgspecError:
            return None
    return [part.strip() for part in text.split(";") if part.strip()]


@cache
def moment_reader(format_: str) -> Callable[[str], datetime | None]:
    """Reads texts of that format; a moment without a zone where the text says none."""
    if format_ == ISO:
        return _read_iso
    if format_ in (EPOCH_SECONDS, EPOCH_MILLISECONDS):
        return _epoch_reader(1000 if format_ == EPOCH_MILLISECONDS else 1)
    return _pattern_reader(format_) or _strptime_reader(format_)


def _read_iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if len(text) >= 10 and text[4:5] == "-" else None
    except ValueError:
        return None


def _epoch_reader(divisor: int) -> Callable[[str], datetime | None]:
    def read(text: str) -> datetime | None:
        try:
            number = float(text) / divisor
            return datetime.fromtimestamp(number, UTC) if 1e8 <= number < 1e10 else None
        except (ValueError, OverflowError):
            return None

    return read


def _pattern_reader(format_: str) -> Callable[[str], datetime | None] | None:
    """The usual fields by one regular expression, which takes a third of strptime's time."""
    parts = re.split(r"%(.)", format_)
    fields = parts[1::2]
    if not set("Ymd") <= set(fields) <= set(_ORDER) or len(set(fields)) < len(fields):
        return None
    tight = not all(parts[2:-1:2])  # without something between them, only two digits tell where a field ends
    digits = _TIGHT if tight else _FIELDS
    pattern = re.compile(
        "".join(re.escape(part) if n % 2 == 0 else digits[part] for n, part in enumerate(parts)) + r"\Z",
        re.ASCII,
    )
    places = [fields.index(name) for name in _ORDER if name in fields]
    if [name in fields for name in _ORDER] != sorted((name in fields for name in _ORDER), reverse=True):
        return None

    def read(text: str) -> datetime | None:
        found = pattern.match(text)
        if found is None:
            return None
        groups = found.groups()
        try:
            return datetime(*[int(groups[place]) for place in places])  # type: ignore[arg-type]  # noqa: DTZ001
        except ValueError:
            return None

    return read


def _strptime_reader(format_: str) -> Callable[[str], datetime | None]:
    def read(text: str) -> datetime | None:
        try:
            return datetime.strptime(text, format_)  # noqa: DTZ007 - the zone is the caller's business
        except ValueError:
            return None

    return read


def epoch_ms(moment: datetime | date, zone: ZoneInfo) -> int:
    """A moment that says no zone is one of `zone`; a date is its first moment. Cut to the millisecond."""
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    delta = aware - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def wall_clock(moment: datetime | date, zone: ZoneInfo) -> str:
    """How a property says a time: by the clock of the project's zone."""
    if not isinstance(moment, datetime):
        return f"{moment.isoformat()} 00:00:00.000"
    if moment.tzinfo is not None:
        moment = moment.astimezone(zone).replace(tzinfo=None)
    return moment.isoformat(sep=" ", timespec="milliseconds")


def as_text(value: Any) -> str:
    """The text of a value that a file has typed itself."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))  # an id 1001 that a column with gaps has made 1001.0
    if isinstance(value, list):
        return msgspec.json.encode(value).decode()
    return str(value)
