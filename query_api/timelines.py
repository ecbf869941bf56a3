"""What a person did and was: the timeline with its sessions, and the operations that made the profile."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from footfall.storage.columns import PROPERTY_COLUMNS
from footfall.storage.store import Parameter, Query
from footfall.workspace.projects import Project
from query_api.answers import instant
from query_api.catalogue import Catalogue
from query_api.people import read_ids
from query_api.problems import Fault, refused
from query_api.property_values import read_value
from query_api.sql.events import PERSON, SESSION_GAP_MS, TIME
from query_api.store_reader import StoreReader

_COLUMNS = ", ".join(f"`{column.column}`" for column in PROPERTY_COLUMNS.values())
_ORDER = f"({TIME}, seq, event_key, log_partition, log_offset)"

_TIMELINE = f"""
SELECT event, type, {TIME}, toUnixTimestamp64Milli(received_at), distinct_id, anonymous_id, login_id, door,
    seq, event_key, log_partition, log_offset, properties, {_COLUMNS}
FROM events
WHERE project = {{project:String}} AND user_key IN {{stamps:Array(UInt64)}} AND {PERSON} = {{person:UInt64}}
    AND {{before}}
ORDER BY {_ORDER} DESC
LIMIT {{limit:UInt32}}
"""


_SESSIONS = f"""
SELECT number, min(ms), max(ms), count()
FROM (
    SELECT ms, sum(starts) OVER (ORDER BY ms ROWS UNBOUNDED PRECEDING) AS number
    FROM (
        SELECT {TIME} AS ms, row_number() OVER (ORDER BY time) = 1
            OR ms - lagInFrame(ms) OVER (ORDER BY time ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
                >= {SESSION_GAP_MS} AS starts
        FROM events
        WHERE project = {{project:String}} AND user_key IN {{stamps:Array(UInt64)}}
            AND {PERSON} = {{person:UInt64}} AND type = 'track'
    )
)
GROUP BY number HAVING max(ms) >= {{oldest:Int64}} AND min(ms) <= {{newest:Int64}}
ORDER BY number DESC
"""


class _Session(NamedTuple):
    """One of a person's sessions: the first has the number 1."""

    number: int
    first: int
    last: int
    events: int

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "from": instant(self.first),
            "to": instant(self.last),
            "events": self.events,
        }


def read_timeline(
    reader: StoreReader,
    project: Project,
    catalogue: Catalogue,
    person: int,
    *,
    before: str | None,
    limit: int,
) -> dict[str, Any]:
    """`{"events", "sessions", "next_before"}`, newest first; ties in the reverse of the client's order.

    `sessions` are those that the page's events are of, each whole, also where the page shows a part of it.
    """
    parameters: dict[str, Parameter] = {
        "project": project.name,
        "stamps": sorted(read_ids(reader, project, [person]).stamps),
        "person": person,
        "limit": limit,
    }
    test = "1"
    if before is not None:
        test, place = _before(before, _ORDER, TIME)
        parameters |= place
    rows = reader.rows(Query(_TIMELINE.replace("{before}", test), parameters)).rows
    sessions = _read_sessions(reader, parameters, rows)
    return {
        "events": [_event_json(row, catalogue) | {"session": _number(row, sessions)} for row in rows],
        "sessions": [session.as_json() for session in sessions],
        "next_before": _write_place([rows[-1][2], *rows[-1][8:12]]) if len(rows) == limit else None,
    }


def _read_sessions(
    reader: StoreReader, parameters: dict[str, Parameter], rows: Sequence[Sequence[Any]]
) -> list[_Session]:
    """Of all the person's `track` events with gaps under half an hour, those that touch the rows."""
    if not rows:
        return []
    times = [row[2] for row in rows]
    of_person = {name: parameters[name] for name in ("project", "stamps", "person")}
    asked = of_person | {"oldest": min(times) - SESSION_GAP_MS, "newest": max(times)}
    found = [_Session(*row) for row in reader.rows(Query(_SESSIONS, asked)).rows]
    numbers = {_number(row, found) for row in rows}
    return [session for session in found if session.number in numbers]


def _number(row: Sequence[Any], sessions: Sequence[_Session]) -> int | None:
    """The session that an event is of; identity records are of the one that they fall in, if there is one."""
    tail = 1 if row[1] == "track" else SESSION_GAP_MS
    within = (each.number for each in sessions if each.first <= row[2] < each.last + tail)
    return next(within, None)


def _event_json(row: Sequence[Any], catalogue: Catalogue) -> dict[str, Any]:
    event, type_, time, received_at, distinct_id, anonymous_id, login_id, door = row[:8]
    texts, columns = row[12], row[13:]
    properties: dict[str, Any] = {
        name: read_value(text, catalogue.type_of("event", name)) for name, text in texts.items()
    }
    typed = zip(PROPERTY_COLUMNS, columns, strict=True)
    properties |= {name: value for name, value in typed if value is not None}
    return {
        "event": event,
        "type": type_,
        "time": instant(time),
        "received_at": instant(received_at),
        "distinct_id": distinct_id,
        "anonymous_id": anonymous_id or None,
        "login_id": login_id or None,
        "door": door,
        "properties": dict(sorted(properties.items())),
    }


_OPERATION_ORDER = "(toUnixTimestamp64Milli(time), seq, event_key, log_partition, log_offset)"

_OPERATIONS = f"""
SELECT toUnixTimestamp64Milli(time), seq, event_key, log_partition, log_offset, distinct_id, operation,
    property, value
FROM profile_operations
WHERE project = {{project:String}} AND id_key IN {{ids:Array(UInt64)}} AND {{before}}
ORDER BY {_OPERATION_ORDER} DESC, property
LIMIT {{limit:UInt32}}
"""


def read_profile_history(
    reader: StoreReader, project: Project, person: int, *, before: str | None, limit: int
) -> dict[str, Any]:
    """`{"operations": [...], "next_before"}`: what made the profile, newest first."""
    ids = read_ids(reader, project, [person])
    parameters: dict[str, Parameter] = {"project": project.name, "ids": sorted(ids.keys), "limit": limit + 1}
    test = "1"
    if before is not None:
        test, place = _before(before, _OPERATION_ORDER, "toUnixTimestamp64Milli(time)")
        parameters |= place
    rows = reader.rows(Query(_OPERATIONS.replace("{before}", test), parameters)).rows
    shown = rows[:limit]
    while len(rows) > limit and len(shown) > 1 and shown[-1][:5] == rows[limit][:5]:
        shown = shown[:-1]  # a record's operations stay on one page
    return {
        "operations": [_operation_json(row) for row in shown],
        "next_before": _write_place(shown[-1][:5]) if len(rows) > limit else None,
    }


def _operation_json(row: Sequence[Any]) -> dict[str, Any]:
    time, _, _, _, _, distinct_id, operation, property_name, value = row
    return {
        "time": instant(time),
        "distinct_id": distinct_id,
        "operation": f"profile_{operation}",
        "property": property_name or None,
        "value": orjson.Fragment(value) if value else None,
    }


def _before(before: str, order: str, time: str) -> tuple[str, dict[str, Parameter]]:
    """The condition for a page that goes on at `before`, and its parameters."""
    place = _read_place(before)
    placeholders = ", ".join(
        f"{{before{index}:{'Int64' if index == 0 else 'UInt64'}}}" for index in range(len(place))
    )
    test = f"{order} < ({placeholders})" if len(place) > 1 else f"{time} < {placeholders}"
    return test, {f"before{index}": value for index, value in enumerate(place)}


def _write_place(place: Sequence[int]) -> str:
    return urlsafe_b64encode(json.dumps(list(place), separators=(",", ":")).encode()).decode().rstrip("=")


def _read_place(before: str) -> list[int]:
    """An instant, or `next_before` as it came: time, seq, event_key, log_partition, log_offset."""
    try:
        moment = datetime.fromisoformat(before)
        if moment.utcoffset() is not None:
            return [round(moment.timestamp() * 1000)]
    except (ValueError, OverflowError):
        pass
    try:
        place = json.loads(urlsafe_b64decode(before.encode("ascii") + b"=" * (-len(before) % 4)))
    except ValueError:
        place = None
    if isinstance(place, list) and len(place) == 5 and all(map(_is_number, place)):
        return place
    message = "an instant like 2026-10-01T08:00:00+08:00, or next_before as it came"
    raise refused([Fault("before", "invalid_value", message, before)])


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 64
