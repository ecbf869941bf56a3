"""Which column is what: a TOML file, or what the columns' names let one guess.

type = "track"                      # or profile_set, item_set, ...
event = "purchase_fund"             # one name for all rows; or event_column = "action"
distinct_id = "customer_no"         # columns
time = {column = "when", format = "%Y/%m/%d %H:%M:%S", zone = "Asia/Shanghai"}
event_id = "serial_no"

[properties]                        # left out: all other columns, under their own names
amount = "交易金额"
risk = {column = "risk_level", type = "string"}
channel = {value = "branch"}
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, get_args

from footfall.events.record import RecordType
from footfall.importing.faults import ImportRefused, did_you_mean
from footfall.importing.values import TYPES, ValueType

ID_FIELDS: Final = ("distinct_id", "login_id", "anonymous_id", "original_id", "event_id", "item_id")
FORMATS: Final = ("csv", "jsonl", "parquet", "records", "sensors")
_RECORD_TYPES: Final = tuple(
    each for each in get_args(RecordType) if each not in ("track_id_bind", "track_id_unbind")
)
_KEYS: Final = (
    "type", "event", "event_column", "item_type", *ID_FIELDS, "time", "properties",
    "format", "encoding", "delimiter",
)  # fmt: skip

_GUESSES: Final[Mapping[str, tuple[str, ...]]] = {
    "distinct_id": (
        "distinct_id", "user_id", "userid", "uid", "customer_id", "customer_no", "cust_id", "cust_no",
        "client_id", "用户id", "用户编号", "客户号", "客户编号", "客户id",
    ),
    "login_id": ("login_id", "登录id"),
    "anonymous_id": ("anonymous_id", "device_id", "匿名id", "设备id"),
    "event_id": ("event_id", "insert_id"),
    "event_column": ("event", "event_name", "event_type", "action", "事件", "事件名", "事件名称"),
    "time": (
        "time", "event_time", "timestamp", "ts", "occurred_at", "created_at", "datetime", "date",
        "时间", "事件时间", "发生时间", "交易时间", "日期",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TimeRule:
    """Where an event's time is; without a format it is guessed, without a zone it is the project's."""

    column: str
    format: str | None = None
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class PropertyRule:
    """Where a property's value is: in a column, or the same in every row."""

    column: str | None = None
    value: Any = None
    type: ValueType | None = None  # None: guessed
    format: str | None = None  # of a datetime


@dataclass(frozen=True, slots=True)
class FileMapping:
    """What a mapping file says."""

    type: str = "track"
    event: str | None = None
    event_column: str | None = None
    item_type: str | None = None
    ids: Mapping[str, str] = field(default_factory=dict)  # field of the record -> column
    time: TimeRule | None = None
    properties: Mapping[str, PropertyRule] | None = None  # None: all other columns
    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    is_guessed: bool = False

    def columns(self) -> dict[str, str]:
        """Every column that it names, by where it names it."""
        named = {f"{field_}": column for field_, column in self.ids.items()}
        if self.event_column is not None:
            named["event_column"] = self.event_column
        if self.time is not None:
            named["time"] = self.time.column
        for name, rule in (self.properties or {}).items():
            if rule.column is not None:
                named[f"properties.{name}"] = rule.column
        return named


def read_mapping(path: Path) -> FileMapping:
    """ImportRefused says what is wrong with it, and where."""
    try:
        given = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ImportRefused(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ImportRefused(f"{path}: not TOML: {error}") from error
    try:
        return build_mapping(given)
    except ImportRefused as error:
        raise ImportRefused(f"{path}: {error}") from None


def build_mapping(given: Mapping[str, Any]) -> FileMapping:
    """The mapping that a TOML document says. ImportRefused."""
    _known(given, _KEYS, "")
    texts = {key: _text(given, key) for key in _KEYS if key not in ("time", "properties")}
    type_ = texts["type"] or "track"
    if type_ not in _RECORD_TYPES:
        raise ImportRefused(
            f"type: {type_!r} is none of {', '.join(_RECORD_TYPES)}{did_you_mean(type_, _RECORD_TYPES)}"
        )
    if texts["format"] is not None and texts["format"] not in FORMATS:
        raise ImportRefused(f"format: {texts['format']!r} is none of {', '.join(FORMATS)}")
    if texts["event"] and texts["event_column"]:
        raise ImportRefused("give event (one name for all rows) or event_column, not both")
    properties = given.get("properties")
    if properties is not None and not isinstance(properties, dict):
        raise ImportRefused("properties: a table [properties] with a line for each property")
    return FileMapping(
        type=type_,
        event=texts["event"],
        event_column=texts["event_column"],
        item_type=texts["item_type"],
        ids={key: column for key in ID_FIELDS if (column := texts[key]) is not None},
        time=_time_rule(given.get("time")),
        properties=None if properties is None else {n: _property_rule(n, r) for n, r in properties.items()},
        format=texts["format"],
        encoding=texts["encoding"],
        delimiter=texts["delimiter"],
    )


def guess_mapping(columns: Iterable[str]) -> FileMapping:
    """By the columns' names alone."""
    by_lower = {column.strip().lower(): column for column in reversed(list(columns))}
    found: dict[str, str] = {}
    for role, names in _GUESSES.items():
        column = next((by_lower[name] for name in names if name in by_lower), None)
        if column is not None:
            found[role] = column
    ids = {role: column for role, column in found.items() if role in ID_FIELDS}
    if "login_id" in ids and "distinct_id" not in ids:
        ids["distinct_id"] = ids["login_id"]
    time = TimeRule(found["time"]) if "time" in found else None
    return FileMapping(event_column=found.get("event_column"), ids=ids, time=time, is_guessed=True)


def check_columns(mapping: FileMapping, columns: Iterable[str], *, all_known: bool) -> None:
    """ImportRefused where a column is named that the file does not have.

    `all_known` False: rows may have more than `columns`; only what looks like a typo is refused, and what
    every record needs.
    """
    known = list(columns)
    problems = []
    for where, column in mapping.columns().items():
        if column in known:
            continue
        hint = did_you_mean(column, known)
        if all_known or hint or not where.startswith("properties."):
            problems.append(f"{where}: there is no column {column!r}{hint}")
    if problems:
        listed = ", ".join(known[:30]) + (", ..." if len(known) > 30 else "")
        raise ImportRefused("\n".join([*problems, f"the columns are {listed}"]))


def check_needs(mapping: FileMapping, columns: Iterable[str]) -> None:
    """ImportRefused where records of this type need more than the mapping has."""
    needs = []
    if mapping.type.startswith("item_"):
        if "item_id" not in mapping.ids:
            needs.append('item_id = "the column with the item\'s id"')
        if mapping.item_type is None:
            needs.append('item_type = "fund"  # one word for all rows')
    elif not set(mapping.ids) & {"distinct_id", "login_id", "anonymous_id"}:
        needs.append('distinct_id = "the column with the person\'s id"')
    if mapping.type == "track":
        if mapping.event is None and mapping.event_column is None:
            needs.append('event = "one_name_for_all_rows"  # or event_column = "a column"')
        if mapping.time is None:
            needs.append('time = "the column with the time"')
    if mapping.type == "track_signup" and "original_id" not in mapping.ids:
        needs.append('original_id = "the column with the anonymous id"')
    if needs:
        lines = "\n  ".join(needs)
        raise ImportRefused(
            f"it cannot be told which column is what: write a mapping file with\n  {lines}\n"
            f"and give it with --mapping; the columns are {', '.join(columns)}"
        )


def _known(given: Mapping[str, Any], allowed: tuple[str, ...], where: str) -> None:
    for key in given:
        if key not in allowed:
            raise ImportRefused(
                f"{where}{key}: there is no such setting{did_you_mean(key, allowed)} "
                f"(there are {', '.join(allowed)})"
            )


def _text(given: Mapping[str, Any], key: str) -> str | None:
    value = given.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise ImportRefused(f'{key}: a text is expected, as in {key} = "...", not {value!r}')
    return value


def _time_rule(given: Any) -> TimeRule | None:
    if given is None or isinstance(given, str):
        return TimeRule(given) if given else None
    if not isinstance(given, dict):
        raise ImportRefused('time: a column, or {column = "...", format = "...", zone = "..."}')
    _known(given, ("column", "format", "zone"), "time.")
    column = _text(given, "column")
    if column is None:
        raise ImportRefused("time.column: which column is the time in?")
    return TimeRule(column, _text(given, "format"), _text(given, "zone"))


def _property_rule(name: str, given: Any) -> PropertyRule:
    if isinstance(given, str):
        return PropertyRule(given)
    if not isinstance(given, dict):
        raise ImportRefused(
            f'properties.{name}: a column, or {{column = "...", type = "..."}}, or {{value = ...}}'
        )
    where = f"properties.{name}."
    _known(given, ("column", "value", "type", "format"), where)
    if ("column" in given) == ("value" in given):
        raise ImportRefused(f"properties.{name}: give a column or a value, one of the two")
    type_ = given.get("type")
    if type_ is not None and type_ not in TYPES:
        raise ImportRefused(
            f"{where}type: {type_!r} is none of {', '.join(TYPES)}{did_you_mean(str(type_), TYPES)}"
        )
    value = given.get("value")
    if "value" in given and not isinstance(value, str | int | float | bool):
        raise ImportRefused(f"{where}value: a text, a number or a boolean")
    return PropertyRule(_text(given, "column"), value, type_, _text(given, "format"))
