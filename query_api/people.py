"""People: who is behind an id, all their ids, their profile and their timeline.

Who is who comes from the bindings, as footfall.events.identity decides it; a person's rows may carry older
stamps, so they are looked for under every key that a binding of theirs names, and kept if their person is
right now.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from footfall.events.identity import NO_TIES, Binding, ResolutionRules, person_of, resolve, tie
from footfall.events.keys import KeyedHash
from footfall.events.nobody import NOBODY_IDS, identifies_nobody
from footfall.storage.columns import PROPERTY_COLUMNS
from footfall.storage.store import Parameter, Query
from footfall.workspace.projects import Project
from query_api.answers import instant
from query_api.catalogue import Catalogue
from query_api.problems import Fault, NotFound, refused
from query_api.property_values import read_value
from query_api.sql.events import PERSON, TIME
from query_api.store_reader import StoreReader

MAX_IDS_SHOWN = 1_000
_NOBODY_PATTERN = rf"(?i)^[\s\pZ]*(?:[0:.-]*|{'|'.join(map(re.escape, NOBODY_IDS))})[\s\pZ]*$"
_NOBODY = "'" + _NOBODY_PATTERN.replace("\\", "\\\\") + "'"
_CARRIED = (
    f"multiIf(NOT match(login_id, {_NOBODY}), login_id, "
    f"NOT match(distinct_id, {_NOBODY}), distinct_id, anonymous_id)"
)
"""As footfall.events.record.carried_id, of rows that somebody is behind."""
_CARRIED_KEY = "if(alias_key = 0, user_key, alias_key)"

_BINDINGS = """
SELECT DISTINCT anonymous_key, login_key, trusted, toUnixTimestamp64Milli(received_at), seq, event_key,
    anonymous_id, login_id
FROM bindings
WHERE project = {project:String} AND ({column} IN {keys:Array(UInt64)})
"""

_ACTIVITY = f"""
SELECT person, groupUniqArray({MAX_IDS_SHOWN})(carried), anyIf(carried, carried_key = person),
    min(ms), max(ms)
FROM (
    SELECT {PERSON} AS person, {_CARRIED} AS carried, {_CARRIED_KEY} AS carried_key, {TIME} AS ms
    FROM events WHERE project = {{project:String}} AND user_key IN {{stamps:Array(UInt64)}}
)
WHERE person IN {{keys:Array(UInt64)}} GROUP BY person
"""

_PROFILES = """
SELECT user_key, argMax(user_id, version), argMax(properties, version)
FROM profiles WHERE project = {project:String} AND user_key IN {keys:Array(UInt64)}
GROUP BY user_key HAVING NOT argMax(deleted, version)
"""


@dataclass(slots=True)
class Person:
    """What is known of a person; `ids` are all they were ever seen with."""

    user_id: str = ""
    ids: set[str] = field(default_factory=set)
    first: int | None = None
    last: int | None = None
    profile: Mapping[str, str] | None = None

    @property
    def is_known(self) -> bool:
        """Whether there is an event, a profile or a binding of theirs."""
        return self.first is not None or self.profile is not None or bool(self.ids)

    def as_json(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        others = sorted(self.ids - {self.user_id, ""})
        return {
            "user_id": self.user_id,
            "distinct_ids": [self.user_id, *others] if self.user_id else others,
            "first_time": None if self.first is None else instant(self.first),
            "last_time": None if self.last is None else instant(self.last),
            "properties": dict(properties),
        }


def describe_people(
    reader: StoreReader,
    project: Project,
    catalogue: Catalogue,
    keys: Sequence[int],
    properties: Sequence[str],
) -> list[dict[str, Any]]:
    """Persons in the order of their keys, with the profile columns asked for (null where missing)."""
    people = _read_people(reader, project, keys)
    described = []
    for key in keys:
        typed = _typed_profile(people[key], catalogue)
        described.append(people[key].as_json({name: typed.get(name) for name in properties}))
    return described


def show_person(
    reader: StoreReader, project: Project, catalogue: Catalogue, keyed_hash: KeyedHash, distinct_id: str
) -> dict[str, Any]:
    """The person behind any of their ids, with the whole profile. Raises NotFound."""
    key = find_person(reader, project, keyed_hash, distinct_id)
    person = _read_people(reader, project, [key])[key]
    if not person.is_known:
        raise NotFound(
            f"nobody in project {project.name!r} has the id {distinct_id[:100]!r}", code="unknown_user"
        )
    return person.as_json(_typed_profile(person, catalogue))


def find_person(reader: StoreReader, project: Project, keyed_hash: KeyedHash, distinct_id: str) -> int:
    """The key of the person behind an id, known or not. Raises NotFound for an id that identifies nobody."""
    if identifies_nobody(distinct_id):
        raise NotFound(f"{distinct_id[:100]!r} identifies nobody", code="unknown_user")
    key = keyed_hash.id_key(project.name, distinct_id)
    bindings = [binding for binding, _, _ in _read_bindings(reader, project, [key])]
    return person_of(key, tie(key, NO_TIES, bindings), _rules(project))


def _rules(project: Project) -> ResolutionRules:
    identity = project.identity
    return ResolutionRules(identity.bindings == "trusted", identity.shared_device_limit)


_NamedBinding = tuple[Binding, str, str]  # with the two ids


def _read_bindings(reader: StoreReader, project: Project, keys: Sequence[int]) -> list[_NamedBinding]:
    """Every binding that names one of the keys."""
    if not keys:
        return []
    parameters: dict[str, Parameter] = {"project": project.name, "keys": list(keys)}
    found: dict[Binding, _NamedBinding] = {}
    for column in ("anonymous_key", "login_key"):
        for *values, anonymous_id, login_id in reader.rows(
            Query(_BINDINGS.replace("{column}", column), parameters)
        ).rows:
            binding = Binding(*values)
            found[binding] = (binding, anonymous_id, login_id)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Ids:
    """The ids that belong to persons by their bindings, and the keys their rows may be stamped with."""

    texts: dict[int, set[str]]  # by person
    login_ids: dict[int, str]
    stamps: set[int]


def _read_ids(reader: StoreReader, project: Project, keys: Sequence[int]) -> _Ids:
    """From the bindings of the persons' logins to all bindings of the ids that these name."""
    wanted = set(keys)
    of_logins = [named for named in _read_bindings(reader, project, keys) if named[0].login_key in wanted]
    named_ids = {binding.anonymous_key for binding, _, _ in of_logins}
    all_bindings = {
        named[0]: named for named in (*of_logins, *_read_bindings(reader, project, sorted(named_ids)))
    }
    persons = resolve(all_bindings, _rules(project))
    texts: dict[int, set[str]] = {}
    login_ids: dict[int, str] = {}
    stamps = set(wanted)
    for binding, anonymous_id, login_id in all_bindings.values():
        if binding.login_key in wanted:
            login_ids[binding.login_key] = login_id
        owner = persons.get(binding.anonymous_key)
        if owner in wanted:
            texts.setdefault(owner, set()).add(anonymous_id)
            stamps |= {binding.anonymous_key, binding.login_key}
    return _Ids(texts, login_ids, stamps)


def _read_people(reader: StoreReader, project: Project, keys: Sequence[int]) -> dict[int, Person]:
    people = {key: Person() for key in keys}
    if not keys:
        return people
    ids = _read_ids(reader, project, keys)
    parameters: dict[str, Parameter] = {"project": project.name, "keys": list(keys)}
    for key, user_id, profile in reader.rows(Query(_PROFILES, parameters)).rows:
        people[key].profile = profile
        people[key].user_id = user_id
    stamped = parameters | {"stamps": sorted(ids.stamps)}
    for key, carried, own, first, last in reader.rows(Query(_ACTIVITY, stamped)).rows:
        person = people[key]
        person.ids.update(carried)
        person.user_id = own or person.user_id
        person.first, person.last = first, last
    for key, person in people.items():
        person.ids |= ids.texts.get(key, set())
        if key in ids.login_ids:
            person.user_id = ids.login_ids[key]
            person.ids.add(person.user_id)
    return people


def _typed_profile(person: Person, catalogue: Catalogue) -> dict[str, Any]:
    profile = person.profile or {}
    return {name: read_value(text, catalogue.type_of("user", name)) for name, text in sorted(profile.items())}


# --------------------------------------------------------------------------------------- timeline

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


def read_timeline(
    reader: StoreReader,
    project: Project,
    catalogue: Catalogue,
    person: int,
    *,
    before: str | None,
    limit: int,
) -> dict[str, Any]:
    """`{"events": [...], "next_before"}`, newest first; ties in the reverse of the client's order."""
    parameters: dict[str, Parameter] = {
        "project": project.name,
        "stamps": sorted(_read_ids(reader, project, [person]).stamps),
        "person": person,
        "limit": limit,
    }
    test = "1"
    if before is not None:
        place = _read_place(before)
        parameters |= {f"before{index}": value for index, value in enumerate(place)}
        placeholders = ", ".join(f"{{before{index}:Int64}}" for index in range(len(place)))
        test = f"{_ORDER} < ({placeholders})" if len(place) > 1 else f"{TIME} < {placeholders}"
    rows = reader.rows(Query(_TIMELINE.replace("{before}", test), parameters)).rows
    return {
        "events": [_event_json(row, catalogue) for row in rows],
        "next_before": _write_place(rows[-1]) if len(rows) == limit else None,
    }


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


def _write_place(row: Sequence[Any]) -> str:
    place = [row[2], *row[8:12]]
    return urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")


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
    if isinstance(place, list) and len(place) == 5 and all(_is_int64(value) for value in place):
        return place
    message = "an instant like 2026-10-01T08:00:00+08:00, or next_before as it came"
    raise refused([Fault("before", "invalid_value", message, before)])


def _is_int64(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63
