"""Everything that is known of a person, as lines of JSON: what they are entitled to get.

The first line tells what the others are, in Chinese and English; the last one how many there were, so that a
file that was cut off is seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from footfall.events.keys import KeyedHash
from footfall.rights.person import LONGEST, OWN_KEY, Person, erased_ids, texts_of
from footfall.rights.traces import Letters
from footfall.storage.columns import PROPERTY_COLUMNS
from footfall.storage.store import Query, Store
from footfall.workspace import Project

FORMAT: Final = 1
README: Final = {
    "zh": (
        "本文件每行是一个 JSON 对象，kind 说明其类别：about（本行）、event（事件）、"
        "profile（用户属性的当前值）、"
        "profile_operation（对用户属性的每次修改）、binding 与 link（标识之间的关联；他人的标识为 null）、"
        "ruling（管理员对标识的决定）、decision（关联是否被采纳及原因）、dead_letter（被拒收的记录及原文；"
        "含有他人标识时原文为 null）、"
        "end（最后一行，lines 为其余行数；没有这一行说明文件不完整）。"
        "时间为 UTC。物品（item）不是个人信息，不在其中。"
    ),
    "en": (
        "Each line is a JSON object; kind says what it is: about (this line), event, profile (the values "
        "now), profile_operation (each change of them), binding and link (what ties ids; ids of others are "
        "null), ruling (what an administrator said of ids), decision (whether a link was accepted, and why "
        "not), dead_letter (a record that was turned away, as it came; raw is null where it tells ids of "
        "others, too), end (the last line: lines counts the others; without it the file is not whole). Times "
        "are UTC. Items are not personal and are not here."
    ),
}
_COLUMNS: Final = ", ".join(f"`{column.column}`" for column in PROPERTY_COLUMNS.values())
_MS: Final = "toUnixTimestamp64Milli"
_EVENTS: Final = f"""
SELECT event, type, {_MS}(time), {_MS}(received_at), distinct_id, anonymous_id, login_id, door, properties,
    {_COLUMNS}
FROM events WHERE project = {{project:String}} AND user_key IN {{stamps:Array(UInt64)}}
    AND {OWN_KEY} IN {{keys:Array(UInt64)}}
ORDER BY time, seq, event_key, log_partition, log_offset"""  # noqa: S608 - ours


@dataclass(frozen=True, slots=True)
class _Part:
    """Lines of one kind: their columns by name, whose they are, their order."""

    kind: str
    table: str
    columns: Mapping[str, str]
    theirs: str
    order: str

    @property
    def sql(self) -> str:
        return (
            f"SELECT {', '.join(self.columns.values())} FROM {self.table} "  # noqa: S608 - ours
            f"WHERE project = {{project:String}} AND {self.theirs} {self.order}"
        )


_KEYS: Final = "{keys:Array(UInt64)}"


def _own(side: str) -> str:
    """An id of a row that is between two; whom else theirs was used by is not theirs to read."""
    return f"if({side}_key IN {_KEYS}, {side}_id, NULL)"


_EITHER: Final = f"(subject_key IN {_KEYS} OR login_key IN {_KEYS})"
_PARTS: Final = (
    _Part(
        "profile",
        "profiles",
        {"user_id": "argMax(user_id, version)", "properties": "argMax(properties, version)"},
        f"user_key IN {_KEYS}",
        "GROUP BY user_key HAVING NOT argMax(deleted, version) ORDER BY user_key",
    ),
    _Part(
        "profile_operation",
        "profile_operations",
        {name: name for name in ("distinct_id", "operation", "property", "value")} | {"time": f"{_MS}(time)"},
        f"id_key IN {_KEYS}",
        "ORDER BY profile_operations.time, seq, event_key, log_partition, log_offset, property",
    ),
    _Part(
        "binding",
        "bindings",
        {
            "received_at": f"{_MS}(received_at)",
            "anonymous_id": _own("anonymous"),
            "login_id": _own("login"),
            "trusted": "trusted",
        },
        f"(anonymous_key IN {_KEYS} OR login_key IN {_KEYS})",
        "ORDER BY bindings.received_at, seq, event_key",
    ),
    _Part(
        "link",
        "identity_links",
        {
            "received_at": f"{_MS}(received_at)",
            "link": "kind",
            "one_id": _own("one"),
            "other_id": _own("other"),
            "trusted": "trusted",
        },
        f"(one_key IN {_KEYS} OR other_key IN {_KEYS})",
        "ORDER BY identity_links.received_at, seq, event_key, one_key, other_key",
    ),
    _Part(
        "ruling",
        "rulings",
        {
            "received_at": f"{_MS}(received_at)",
            "ruling": "kind",
            "subject_id": _own("subject"),
            "login_id": _own("login"),
        },
        _EITHER,
        "ORDER BY rulings.received_at, seq, event_key",
    ),
    _Part(
        "decision",
        "binding_decisions",
        {
            "decided_at": f"{_MS}(decided_at)",
            "claim": "kind",
            "subject_id": _own("subject"),
            "login_id": _own("login"),
            "outcome": "outcome",
            "reason": "reason",
        },
        _EITHER,
        "ORDER BY binding_decisions.decided_at, binding_decisions.received_at, seq",
    ),
)
_TYPES: Final = """
SELECT source, property, argMin(type, (seen_at, log_partition, log_offset, seq))
FROM property_catalogue WHERE project = {project:String} GROUP BY source, property"""

Types = Mapping[tuple[str, str], str]
Line = dict[str, Any]


def person_lines(
    store: Store,
    project: Project,
    person: Person,
    letters: Letters,
    keyed_hash: KeyedHash,
    *,
    now: int,
) -> Iterator[Line]:
    """The lines; `now` is epoch ms. Letters from before one of the ids was erased are somebody else's.
    StoreError.
    """
    ids = texts_of(store, person, keyed_hash)
    yield {
        "kind": "about",
        "format": FORMAT,
        "project": project.name,
        "exported_at": _instant(now),
        "ids": ids,
        "readme": README,
    }
    count = 1
    for line in _lines(store, person, letters, ids):
        count += 1
        yield line
    yield {"kind": "end", "lines": count}


def _lines(store: Store, person: Person, letters: Letters, ids: Sequence[str]) -> Iterator[Line]:
    own: Types = {
        (source, name): type_
        for source, name, type_ in store.rows(Query(_TYPES, {"project": person.project})).rows
    }
    for block in store.stream_rows(person.query(_EVENTS), LONGEST):
        for row in block:
            yield _event(row, own)
    for part in _PARTS:
        for row in store.rows(person.query(part.sql), LONGEST).rows:
            line = dict(zip(part.columns, row, strict=True))
            for name in ("time", "received_at", "decided_at"):
                if name in line:
                    line[name] = _instant(line[name])
            if part.kind == "profile":
                line["properties"] = _typed("user", line["properties"], own)
            if "trusted" in line:
                line["trusted"] = bool(line["trusted"])
            yield {"kind": part.kind, **line}
    for letter in letters.naming(person.project, person.keys, ids, erased_ids(store, person)):
        yield {
            "kind": "dead_letter",
            "id": ":".join(map(str, letter.place)),
            "received_at": _instant(letter.received_at),
            "door": letter.door,
            "reason": letter.reason,
            "field": letter.field,
            "message": letter.message,
            # What others did is not theirs to read: such a letter is told, and not shown.
            "raw": letter.raw.decode(errors="backslashreplace")
            if letters.is_of(letter, person.project, person.keys)
            else None,
        }


def _event(row: Sequence[Any], types: Types) -> Line:
    event, type_, time, received_at, distinct_id, anonymous_id, login_id, door, texts = row[:9]
    properties = _typed("event", texts, types)
    for name, value in zip(PROPERTY_COLUMNS, row[9:], strict=True):
        if value is not None:
            properties[name] = _exact(value) if isinstance(value, Decimal) else value
    return {
        "kind": "event",
        "event": event,
        "type": type_,
        "time": _instant(time),
        "received_at": _instant(received_at),
        "distinct_id": distinct_id or None,
        "anonymous_id": anonymous_id or None,
        "login_id": login_id or None,
        "door": door,
        "properties": properties,
    }


def _typed(source: str, texts: Mapping[str, str], types: Types) -> dict[str, Any]:
    return {name: _value(text, types.get((source, name), "string")) for name, text in sorted(texts.items())}


def _value(text: str, type_: str) -> Any:
    """As it was sent, where its text can be read as a value of the type."""
    if type_ in ("number", "decimal", "boolean", "list"):
        try:
            return msgspec.Raw(_checked(text))
        except msgspec.MsgspecError:
            return text
    return text


def _exact(number: Decimal) -> msgspec.Raw:
    """As JSON, without the zeros that the column adds."""
    text = format(number, "f")
    return msgspec.Raw((text.rstrip("0").rstrip(".") if "." in text else text).encode())


def _checked(text: str) -> bytes:
    raw = text.encode()
    msgspec.json.decode(raw)
    return raw


def _instant(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_line(line: Line) -> bytes:
    """JSON with a line break. Numbers are as exact as they came."""
    return msgspec.json.encode(line) + b"\n"
