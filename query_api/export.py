"""A project's events, profiles or items as records: what `footfall import` takes back.

Rows come as the store reads them, in the order of its key (a person's events together, in the order of their
time), and leave as they come: nothing is held but a block. The same data gives the same records in the same
order.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import orjson

from footfall.events.exported import export_prefix
from footfall.events.keys import KeyedHash
from footfall.storage.columns import PROPERTY_COLUMNS, PropertyType
from footfall.storage.store import Query, QueryLimits, Store
from footfall.workspace.projects import Project
from query_api.buckets import Period
from query_api.catalogue import Catalogue, Source
from query_api.sql.events import EARLIEST_MS, LATEST_MS, TIME
from query_api.sql.parameters import Parameters

Subject = Literal["events", "profiles", "items"]
SUBJECTS: Final[tuple[Subject, ...]] = get_args(Subject)

LIMITS: Final = QueryLimits(seconds=12 * 3600, memory_bytes=1 << 30)
"""An export takes as long as it takes; what it may hold is little."""

_JSON_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")

# All columns of properties as pairs of name and text; missing ones are left out.
_COLUMNS: Final = ", ".join(
    f"('{name}', toString(`{column.column}`))" for name, column in sorted(PROPERTY_COLUMNS.items())
)
_TEXTS: Final = f"arrayFilter(pair -> isNotNull(pair.2), [{_COLUMNS}])"


@dataclass(frozen=True, slots=True)
class Export:
    """What is asked for."""

    project: Project
    subject: Subject
    period: Period | None = None  # of events; None: all of them
    events: Sequence[str] = ()  # names; none: all of them


def count_rows(store: Store, export: Export) -> int:
    """How many records there will be, if nothing changes meanwhile."""
    parameters = Parameters()
    sql = f"SELECT count() FROM {_source(export, parameters)}"
    return int(store.rows(parameters.query(sql)).rows[0][0])


def stream_records(
    store: Store, export: Export, catalogue: Catalogue, keyed_hash: KeyedHash
) -> Generator[bytes, None, None]:
    """Blocks of lines, each a record in JSON. StoreError."""
    prefix = export_prefix(keyed_hash, export.project.name)
    write = {"events": _event, "profiles": _profile, "items": _item}[export.subject]
    for rows in store.stream_rows(_query(export), LIMITS):
        lines = [orjson.dumps(write(row, prefix, catalogue)) for row in rows]
        if lines:
            yield b"\n".join(lines) + b"\n"


def _query(export: Export) -> Query:
    parameters = Parameters()
    source = _source(export, parameters)
    return parameters.query(
        {
            "events": f"""SELECT type, event, distinct_id, anonymous_id, login_id, {TIME},
    log_partition, log_offset, seq, properties, {_TEXTS}
FROM {source}
ORDER BY project, user_key, time, log_partition, log_offset, seq""",
            "profiles": f"""SELECT user_id, user_key, version, properties FROM {source}
ORDER BY project, user_key""",
            "items": f"""SELECT item_type, item_id, version, properties FROM {source}
ORDER BY project, item_type, item_id""",
        }[export.subject]
    )


def _source(export: Export, parameters: Parameters) -> str:
    project = f"project = {parameters.text(export.project.name)}"
    if export.subject != "events":
        return f"{export.subject} FINAL WHERE {project} AND NOT deleted"
    tests = [project]
    if export.period is not None:
        edges = (min(max(edge, EARLIEST_MS), LATEST_MS) for edge in (export.period.start, export.period.end))
        first, last = (f"fromUnixTimestamp64Milli({parameters.integer(edge)}, 'UTC')" for edge in edges)
        tests.append(f"time >= {first} AND time < {last}")
    if export.events:
        tests.append(f"event IN {parameters.one_of(export.events)}")
    return f"events WHERE {' AND '.join(tests)}"


def _event(row: Sequence[Any], prefix: str, catalogue: Catalogue) -> dict[str, Any]:
    type_, event, distinct_id, anonymous_id, login_id, time, partition, offset, seq, tail, columns = row
    texts = {**tail, **dict(columns)}
    record = {"type": type_, "event": event, "distinct_id": distinct_id}
    if anonymous_id:
        record["original_id" if type_ == "track_signup" else "anonymous_id"] = anonymous_id
    if login_id:
        record["login_id"] = login_id
    if type_ in ("track_id_bind", "track_id_unbind"):
        record["identities"] = _identities(texts, anonymous_id, login_id or distinct_id, catalogue)
    return record | {
        "time": time,
        "event_id": f"{prefix}{partition}-{offset}-{seq}",
        "properties": _properties(texts.items(), "event", catalogue),
    }


def _identities(
    texts: Mapping[str, str], anonymous_id: str, login_id: str, catalogue: Catalogue
) -> dict[str, Any]:
    """What a binding declared: kept as properties, but for what repeats the record's own ids."""
    declared = _properties(
        [(name, text) for name, text in texts.items() if name.startswith("$identity_")], "event", catalogue
    )
    return {
        "$identity_login_id": login_id,
        **({"$identity_anonymous_id": anonymous_id} if anonymous_id else {}),
        **declared,
    }


def _profile(row: Sequence[Any], prefix: str, catalogue: Catalogue) -> dict[str, Any]:
    user_id, user_key, version, texts = row
    return {
        "type": "profile_set",
        "distinct_id": user_id,
        "time": version,
        "event_id": f"{prefix}profile-{user_key}-{version}",
        "properties": _properties(texts.items(), "user", catalogue),
    }


def _item(row: Sequence[Any], _prefix: str, catalogue: Catalogue) -> dict[str, Any]:
    item_type, item_id, version, texts = row
    return {
        "type": "item_set",
        "item_type": item_type,
        "item_id": item_id,
        "time": version,
        "properties": _properties(texts.items(), "item", catalogue),
    }


def _properties(texts: Iterable[tuple[str, str]], source: Source, catalogue: Catalogue) -> dict[str, Any]:
    return {name: _value(text, catalogue.type_of(source, name)) for name, text in sorted(texts)}


def _value(text: str, type_: PropertyType | None) -> Any:
    """The value that is stored as this text, every digit of a number as it is."""
    if type_ in ("number", "decimal") and _JSON_NUMBER.fullmatch(text):
        return orjson.Fragment(text)
    if type_ == "boolean" and text in ("true", "false"):
        return text == "true"
    if type_ == "list" and text.startswith("["):
        try:
            found = orjson.loads(text)
        except ValueError:
            return text
        return found if all(isinstance(each, str) for each in found) else text
    return text
