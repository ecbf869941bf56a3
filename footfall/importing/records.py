"""Rows become records: JSON as it would come through a door. What cannot be read as its type stays text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec

from footfall.events.log_record import Refusal
from footfall.events.reasons import Reason
from footfall.importing.plan import Column, Plan
from footfall.importing.rows import Cells
from footfall.importing.values import (
    as_text,
    epoch_ms,
    moment_reader,
    read_boolean,
    read_list,
    read_number,
    wall_clock,
)

_write = msgspec.json.Encoder().encode
_Cell = Callable[[Any], Any]


class RecordWriter:
    """Writes the records of one plan."""

    def __init__(self, plan: Plan) -> None:
        mapping = plan.mapping
        self._plan = plan
        self.kept_as_text: Counter[str] = Counter()
        """Values that are not of their property's type, by property."""
        self._fixed: dict[str, Any] = {"type": mapping.type}
        if mapping.event is not None and mapping.type.startswith("track"):
            self._fixed["event"] = mapping.event
        if mapping.type.startswith("item_"):
            self._fixed["item_type"] = mapping.item_type
        self._texts = [(field, column) for field, column in mapping.ids.items()]
        if mapping.event_column is not None:
            self._texts.append(("event", mapping.event_column))
        self._values = {each.name: each.value for each in plan.properties if each.column is None}
        self._cells = [
            (each.name, each.column, self._reader(each)) for each in plan.properties if each.column
        ]
        self._time = None if mapping.time is None else mapping.time.column
        self._read_time = moment_reader(plan.time_format) if plan.time_format is not None else None
        self._reads_epochs = (plan.time_format or "").startswith("epoch")
        self._needs_time = mapping.type.startswith("track")

    def write(self, cells: Cells) -> bytes:
        """The record of a row. A time that cannot be read is left as it is, for the judge to refuse."""
        record = dict(self._fixed)
        for field, column in self._texts:
            value = cells.get(column)
            if value is not None and value != "":
                record[field] = as_text(value).strip()
        if self._time is not None:
            time = self._time_of(cells.get(self._time))
            if time is not None:
                record["time"] = time
        properties = dict(self._values)
        for name, column, read in self._cells:
            value = cells.get(column)
            if value is not None and value != "":
                properties[name] = read(value)
        record["properties"] = properties
        return _write(record)

    def explain(self, refusal: Refusal) -> Refusal:
        """A refusal in words of the mapping: how the times of the file are read."""
        if refusal.reason != Reason.INVALID_TIME or self._plan.time_format is None:
            return refusal
        message = f"{refusal.message}; the column {self._time!r} is read as {self._plan.time_format}"
        return msgspec.structs.replace(refusal, message=message)

    def _time_of(self, value: Any) -> int | str | None:
        if isinstance(value, date):
            return epoch_ms(value, self._plan.time_zone)
        if type(value) is int and not self._reads_epochs:
            return value  # typed by the file: milliseconds or seconds, as at the doors
        text = "" if value is None else as_text(value).strip()
        if not text:
            return "" if self._needs_time else None  # not "now": an event without a time is refused
        moment = self._read_time(text) if self._read_time is not None else None
        return text if moment is None else epoch_ms(moment, self._plan.time_zone)

    def _reader(self, column: Column) -> _Cell:
        """Reads a cell that is not empty."""
        name, zone = column.name, self._plan.zone

        def read_moment(text: str) -> str | None:
            found = moment(text)
            return None if found is None else wall_clock(found, zone)

        moment = moment_reader(column.format or "iso")
        readers: dict[str, Callable[[str], Any]] = {
            "number": read_number,
            "boolean": read_boolean,
            "list": read_list,
            "datetime": read_moment,
        }
        read = readers.get(column.type)
        kept_as_text = self.kept_as_text

        def read_cell(value: Any) -> Any:
            if not isinstance(value, str):
                return wall_clock(value, zone) if isinstance(value, date) else value
            if read is None:
                return value
            found = read(value.strip())
            if found is None:
                kept_as_text[name] += 1
                return value
            return found

        return read_cell if column.type != "string" else _string(read_cell)


def _string(read_cell: _Cell) -> _Cell:
    return lambda value: value if isinstance(value, str) else as_text(read_cell(value))
