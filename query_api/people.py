"""People: who is behind an id, all their ids, their profile.

Who is who comes from the bindings, as footfall.events.identity decides it; a person's rows may carry older
stamps, so they are looked for under every key that a binding of theirs names, and kept if their person is
right now.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from footfall.events.identity_graph import NO_NODE_TIES, NodeTies
from footfall.events.keys import KeyedHash
from footfall.events.nobody import NOBODY_IDS, folded
from footfall.events.persons import neighbourhood, owners
from footfall.storage.store import Parameter, Query
from footfall.storage.ties import StoredTies
from footfall.workspace.projects import Project
from query_api.answers import instant
from query_api.catalogue import Catalogue
from query_api.linked_people import find_linked_person, identities_of, read_linked_ids
from query_api.problems import NotFound
from query_api.property_values import read_value
from query_api.sql.events import PERSON, TIME
from query_api.store_reader import StoreReader

MAX_IDS_SHOWN = 1_000
_IS_SOMEBODY = (
    "(NOT match({id}, {nobody:String}) OR has({somebody:Array(String)}, lowerUTF8(trimBoth({id}))))"
)
_CARRIED = (
    f"multiIf({_IS_SOMEBODY.replace('{id}', 'login_id')}, login_id, "
    f"{_IS_SOMEBODY.replace('{id}', 'distinct_id')}, distinct_id, anonymous_id)"
)
"""As footfall.events.record.carried_id, of rows that somebody is behind."""
_CARRIED_KEY = "if(alias_key = 0, user_key, alias_key)"

_DEVICE_IDS = """
SELECT anonymous_key, any(anonymous_id) FROM bindings
WHERE project = {project:String} AND anonymous_key IN {keys:Array(UInt64)} GROUP BY anonymous_key
"""

_ACTIVITY = f"""
SELECT person, groupUniqArrayIf({MAX_IDS_SHOWN})(carried, NOT is_linked),
    anyIf(carried, carried_key = person AND NOT is_linked), min(ms), max(ms)
FROM (
    SELECT {PERSON} AS person, {_CARRIED} AS carried, {_CARRIED_KEY} AS carried_key, {TIME} AS ms,
        has({{linked:Array(UInt64)}}, carried_key) AS is_linked
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
    identities: Mapping[str, list[str]] | None = None  # by declared key, in projects that declare some

    @property
    def is_known(self) -> bool:
        """Whether there is an event, a profile or a binding of theirs."""
        return self.first is not None or self.profile is not None or bool(self.ids)

    def as_json(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        others = sorted(self.ids - {self.user_id, ""})
        return {
            "user_id": self.user_id,
            "distinct_ids": [self.user_id, *others] if self.user_id else others,
            **({} if self.identities is None else {"identities": dict(self.identities)}),
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
    if project.identity.is_nobody(distinct_id):
        raise NotFound(f"{distinct_id[:100]!r} identifies nobody", code="unknown_user")
    key = keyed_hash.id_key(project.name, distinct_id)
    if project.identity.declared is not None:
        return find_linked_person(reader, project, key)
    stored, rules = StoredTies(reader.rows), project.identity.resolution
    owner = owners(neighbourhood([key], stored, rules), rules).get(key, key)
    return stored.merges(project.name).root(owner)


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids that belong to persons by their bindings, and the keys their rows may be stamped with."""

    texts: dict[int, set[str]]  # by person
    login_ids: dict[int, str]
    stamps: set[int]
    keys: set[int]  # of the persons' ids
    linked: dict[int, dict[int, NodeTies]] = field(default_factory=dict)  # by person, where keys are declared

    @property
    def linked_keys(self) -> list[int]:
        """Ids whose texts are known from links: a row's columns need not tell them."""
        return sorted(key for ids in self.linked.values() for key in ids)


def read_ids(reader: StoreReader, project: Project, keys: Sequence[int]) -> Ids:
    """From the logins of these persons to all bindings of the ids that these name."""
    if project.identity.declared is not None:
        return _linked_ids(reader, project, keys)
    stored, rules = StoredTies(reader.rows), project.identity.resolution
    merges = stored.merges(project.name)
    person_of = {login: person for person in keys for login in merges.logins_of(person)}
    named = {device for devices in stored.devices_of(person_of).values() for device in devices}
    ties = neighbourhood(named | set(keys), stored, rules)
    mine = {device: login for device, login in owners(ties, rules).items() if login in person_of}
    login_ids = stored.names_of(person_of)
    texts: dict[int, set[str]] = {}
    for login, login_id in login_ids.items():
        texts.setdefault(person_of[login], set()).add(login_id)
    parameters: dict[str, Parameter] = {"project": project.name, "keys": sorted(mine)}
    for device, text in reader.rows(Query(_DEVICE_IDS, parameters)).rows if mine else ():
        texts.setdefault(person_of[mine[device]], set()).add(text)
    # A row carries the stamp of the day it was processed: any login that ever stood for one of the ids.
    stamps = set(person_of) | set(mine)
    stamps |= {login for key in (*mine, *keys) for login, _ in ties[key].logins}
    stamps |= {each for key in (*stamps,) for each in merges.ever_one_with(key)}
    return Ids(texts, login_ids, stamps, {*person_of, *mine})


def _linked_ids(reader: StoreReader, project: Project, keys: Sequence[int]) -> Ids:
    found = read_linked_ids(reader, project, keys)
    linked: dict[int, dict[int, NodeTies]] = {}
    for key, person in found.person_of.items():
        if found.ties.get(key, NO_NODE_TIES).id:
            linked.setdefault(person, {})[key] = found.ties[key]
    texts = {person: {ties.id for ties in ids.values()} for person, ids in linked.items()}
    names = {person: found.ties[person].id for person in keys if person in found.ties}
    return Ids(
        texts,
        {person: name for person, name in names.items() if name},
        found.stamps,
        set(found.person_of),
        linked,
    )


def _read_people(reader: StoreReader, project: Project, keys: Sequence[int]) -> dict[int, Person]:
    people = {key: Person() for key in keys}
    if not keys:
        return people
    ids = read_ids(reader, project, keys)
    parameters: dict[str, Parameter] = {"project": project.name, "keys": list(keys)}
    for key, user_id, profile in reader.rows(Query(_PROFILES, parameters)).rows:
        people[key].profile = profile
        people[key].user_id = user_id
    stamped = parameters | {"stamps": sorted(ids.stamps), "linked": ids.linked_keys}
    stamped |= _told_from_nobody(project)
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
        if (declared := project.identity.declared) is not None:
            mine = list(ids.linked.get(key, {}).values())
            others = sorted(person.ids - {ties.id for ties in mine} - {""})
            person.identities = identities_of(mine, others, project, declared)
    return people


def _told_from_nobody(project: Project) -> dict[str, Parameter]:
    """What tells the project's ids that identify nobody: as footfall.events.nobody, in RE2."""
    identity = project.identity
    listed = "|".join(map(re.escape, sorted({*NOBODY_IDS, *map(folded, identity.nobody_ids)})))
    pattern = rf"(?i)^[\s\pZ]*(?:[0:.-]*|{listed})[\s\pZ]*$"
    return {"nobody": pattern, "somebody": [folded(each) for each in identity.somebody_ids]}


def _typed_profile(person: Person, catalogue: Catalogue) -> dict[str, Any]:
    profile = person.profile or {}
    return {name: read_value(text, catalogue.type_of("user", name)) for name, text in sorted(profile.items())}
