"""Bytes an event on disk, and which columns they are."""

from __future__ import annotations

from bench.results import Row, Section, Target
from footfall.storage.store import Query, Store

_TARGET = Target("<=", 20, " B")
_SHOWN = 14

_SIZES = """
SELECT
    (SELECT sum(rows) FROM system.parts WHERE {of_events}) AS events,
    (SELECT sum(bytes_on_disk) FROM system.parts WHERE {of_events}) AS with_projection,
    (SELECT sum(bytes_on_disk) FROM system.projection_parts WHERE {of_events}) AS projection,
    (SELECT count() FROM system.parts WHERE {of_events}) AS parts"""

_COLUMNS = """
SELECT column, sum(column_data_compressed_bytes + column_marks_bytes) AS bytes
FROM system.{table} WHERE {of_events} GROUP BY column ORDER BY bytes DESC"""

_OF_EVENTS = "active AND database = currentDatabase() AND table = 'events'"


def storage_section(store: Store, fill_seconds: float) -> Section:
    """`fill_seconds`: what it took to generate the events, 0 or so when they were there."""
    sizes = store.rows(Query(_SIZES.replace("{of_events}", _OF_EVENTS))).rows[0]
    events, whole, projection, parts = (int(size) for size in sizes)
    per_event = whole / events
    rows = [
        Row(
            "events table with its projection",
            f"{per_event:.1f} B/event",
            "",
            per_event,
            _TARGET,
        ),
        Row("of that, the table's own columns", f"{(whole - projection) / events:.1f} B/event"),
        Row("of that, the projection", f"{projection / events:.1f} B/event"),
    ]
    notes = [
        f"{events:,} events in {parts} parts, generated and merged in {fill_seconds:.0f} s",
        f"table: {_costliest(store, 'parts_columns', events)}",
        f"projection: {_costliest(store, 'projection_parts_columns', events)}",
    ]
    return Section("Storage", rows, notes)


def _costliest(store: Store, table: str, events: int) -> str:
    sql = _COLUMNS.replace("{table}", table).replace("{of_events}", _OF_EVENTS)
    columns = [(column, size / events) for column, size in store.rows(Query(sql)).rows]
    shown = ", ".join(f"{column} {size:.2f}" for column, size in columns[:_SHOWN])
    rest = sum(size for _, size in columns[_SHOWN:])
    return f"{shown}, the other {max(0, len(columns) - _SHOWN)} {rest:.2f}"
