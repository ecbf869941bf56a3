"""What an import will do, told from the beginning of the file: shown before anything is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from footfall.events.names import HOISTED, explain_name, name_fault
from footfall.importing.faults import ImportRefused
from footfall.importing.mapping import FileMapping, PropertyRule, check_columns, check_needs, guess_mapping
from footfall.importing.rows import Cells
from footfall.importing.values import (
    FORMATS,
    ValueType,
    as_text,
    moment_reader,
    read_boolean,
    read_number,
)
from footfall.workspace.projects import InvalidProject, check_timezone

SAMPLE_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Column:
    """Where a property comes from."""

    name: str  # of the property
    column: str | None
    value: Any
    type: ValueType
    format: str | None
    is_guessed: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A mapping with nothing left open."""

    mapping: FileMapping
    zone: ZoneInfo  # of the project: of times in properties
    time_format: str | None
    time_zone: ZoneInfo
    properties: tuple[Column, ...]
    unused: tuple[str, ...]  # columns that nothing becomes of

    def canonical(self) -> str:
        """Equal for plans that make the same records."""
        mapping = self.mapping
        return repr((
            mapping.type, mapping.event, mapping.event_column, mapping.item_type, sorted(mapping.ids.items()),
            mapping.time and mapping.time.column, self.time_format, self.time_zone.key, self.zone.key,
            [(each.name, each.column, each.value, each.type, each.format) for each in self.properties],
        ))  # fmt: skip


def make_plan(
    mapping: FileMapping | None,
    columns: Sequence[str] | None,
    kinds: Mapping[str, str],
    sample: Sequence[Cells],
    zone: ZoneInfo,
) -> Plan:
    """Settles what is open by what the sample looks like. `columns` None: those of the sample.

    ImportRefused if the mapping does not fit the file.
    """
    known = (
        list(columns) if columns is not None else list(dict.fromkeys(name for row in sample for name in row))
    )
    if mapping is None:
        mapping = guess_mapping(known)
    check_columns(mapping, known, all_known=columns is not None)
    check_needs(mapping, known)
    time_format, time_zone = _settle_time(mapping, sample, zone)
    used = set(mapping.columns().values())
    rules = mapping.properties
    if rules is None:
        rules = {column: PropertyRule(column) for column in known if column not in used}
        _check_names(rules)
        used = set(known)
    else:
        _check_names(rules)
    properties = tuple(_settle(name, rule, kinds, sample) for name, rule in rules.items())
    unused = tuple(column for column in known if column not in used)
    return Plan(mapping, zone, time_format, time_zone, properties, unused)


def _check_names(names: Iterable[str]) -> None:
    bad = [name for name in names if name_fault(name) is not None and name not in HOISTED]
    if bad:
        lines = "\n".join(f'  some_name = "{name}"' for name in bad)
        raise ImportRefused(
            f"{explain_name(bad[0])}: write a mapping file with [properties]"
            " that names every column to import, as in\n"
            f"  [properties]\n{lines}"
        )


def _settle(name: str, rule: PropertyRule, kinds: Mapping[str, str], sample: Sequence[Cells]) -> Column:
    if rule.column is None:
        return Column(name, None, rule.value, "string", None, is_guessed=False)
    kind = kinds.get(rule.column)
    texts = [value for row in sample if isinstance(value := row.get(rule.column), str) and value.strip()]
    type_, format_ = rule.type, rule.format
    if type_ is None:
        type_, format_ = (_of_kind(kind), None) if kind is not None else guess_type(texts)
    if type_ == "datetime" and format_ is None and texts:
        format_ = guess_format(texts)
        if format_ is None:
            raise ImportRefused(
                f"properties.{name}: {texts[0][:60]!r} is no time in a format that is known: give its format"
            )
    return Column(name, rule.column, None, type_, format_, is_guessed=rule.type is None)


def _of_kind(kind: str) -> ValueType:
    return kind if kind in ("number", "boolean", "datetime", "list") else "string"  # type: ignore[return-value]


def guess_type(texts: Sequence[str]) -> tuple[ValueType, str | None]:
    """What all of the texts are; a datetime's format too. Codes with leading zeros, and numbers too long to
    calculate with, are texts."""
    stripped = [text.strip() for text in texts]
    if not stripped:
        return "string", None
    if all(len(text) <= 16 and "," not in text and read_number(text) is not None for text in stripped):
        return "number", None
    if all(text.lower() not in ("0", "1") and read_boolean(text) is not None for text in stripped):
        return "boolean", None
    format_ = guess_format(stripped, plain_numbers=False)
    return ("datetime", format_) if format_ is not None else ("string", None)


def guess_format(texts: Sequence[str], *, plain_numbers: bool = True) -> str | None:
    """The first format that all of the texts, or all but a few, are written in."""
    best, most = None, 0
    for format_ in FORMATS:
        if not plain_numbers and format_.startswith(("epoch", "%Y%m%d")):
            continue
        read = moment_reader(format_)
        count = sum(read(text.strip()) is not None for text in texts)
        if count > most:
            best, most = format_, count
    enough = len(texts) if not plain_numbers else (len(texts) + 1) // 2
    return best if most >= max(enough, 1) else None


def _settle_time(
    mapping: FileMapping, sample: Sequence[Cells], zone: ZoneInfo
) -> tuple[str | None, ZoneInfo]:
    rule = mapping.time
    if rule is None:
        return None, zone
    if rule.zone is not None:
        try:
            check_timezone(rule.zone)
        except InvalidProject as error:
            raise ImportRefused(f"time.zone: {error.message}") from None
        zone = ZoneInfo(rule.zone)
    values = [row[rule.column] for row in sample if row.get(rule.column) not in (None, "")]
    texts = [value for value in values if isinstance(value, str)]
    texts = texts or [as_text(value) for value in values if not isinstance(value, date)]
    if rule.format is not None:
        fits: Callable[[str], object] = moment_reader(rule.format)
        if texts and not any(fits(text.strip()) for text in texts):
            raise ImportRefused(
                f"time.format: none of the first {len(texts)} times is like {rule.format!r}: "
                f"the first is {texts[0][:60]!r}"
            )
        return rule.format, zone
    if not texts:
        return None, zone
    format_ = guess_format(texts)
    if format_ is None:
        raise ImportRefused(
            f"time: {texts[0][:60]!r} is no time in a format that is known: write time = "
            f'{{column = "{rule.column}", format = "%Y-%m-%d %H:%M:%S"}} into a mapping file'
        )
    return format_, zone
