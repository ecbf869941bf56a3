"""Who is behind an id, and every id of theirs: what is handed out, and what is erased."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from footfall.events.components import resolve_graph
from footfall.events.identity import ResolutionRules
from footfall.events.identity_graph import reach
from footfall.events.keys import NOBODY, KeyedHash
from footfall.events.persons import Merges, neighbourhood, owners
from footfall.storage.links import StoredLinks
from footfall.storage.store import Parameter, Query, QueryLimits, Store
from footfall.storage.ties import StoredTies
from footfall.workspace import Project

LONGEST: Final = QueryLimits(seconds=3600.0, memory_bytes=2 << 30)
"""What one question about a person may use."""

OWN_KEY: Final = "if(alias_key = 0, user_key, alias_key)"
"""Of a row of events: the key of the id that the record carried."""

_KEYS: Final = "{keys:Array(UInt64)}"
_TEXTS: Final = f"""
SELECT DISTINCT arrayJoin([distinct_id, anonymous_id, login_id]) FROM events
WHERE project = {{project:String}} AND user_key IN {{stamps:Array(UInt64)}} AND {OWN_KEY} IN {_KEYS}
UNION DISTINCT SELECT distinct_id FROM profile_operations
    WHERE project = {{project:String}} AND id_key IN {_KEYS}
UNION DISTINCT SELECT anonymous_id FROM bindings
    WHERE project = {{project:String}} AND anonymous_key IN {_KEYS}
UNION DISTINCT SELECT login_id FROM bindings WHERE project = {{project:String}} AND login_key IN {_KEYS}
UNION DISTINCT SELECT subject_id FROM rulings
    WHERE project = {{project:String}} AND subject_key IN {_KEYS}
UNION DISTINCT SELECT one_id FROM identity_links
    WHERE project = {{project:String}} AND one_key IN {_KEYS}
UNION DISTINCT SELECT other_id FROM identity_links
    WHERE project = {{project:String}} AND other_key IN {_KEYS}
UNION DISTINCT SELECT login_id FROM rulings WHERE project = {{project:String}} AND login_key IN {_KEYS}"""  # noqa: S608 - ours
_ERASED: Final = f"""
SELECT id_key, toUnixTimestamp64Milli(max(erased_at)) FROM tombstones
WHERE project = {{project:String}} AND id_key IN {_KEYS} GROUP BY id_key"""  # noqa: S608 - ours


@dataclass(frozen=True, slots=True)
class Person:
    """A person of a project: `keys` of all ids that are theirs, `stamps` that their rows may carry."""

    project: str
    keys: tuple[int, ...]
    stamps: tuple[int, ...]

    def query(self, sql: str) -> Query:
        """With those of {project}, {keys} and {stamps} that stand in it."""
        own: dict[str, Parameter] = {
            "project": self.project,
            "keys": list(self.keys),
            "stamps": list(self.stamps),
        }
        return asked(sql, own)


def key_of(project: Project, keyed_hash: KeyedHash, distinct_id: str) -> int:
    """The key of an id; NOBODY for one that identifies nobody."""
    if project.identity.is_nobody(distinct_id):
        return NOBODY
    return keyed_hash.id_key(project.name, distinct_id)


def find_person(store: Store, project: Project, id_key: int) -> Person:
    """The person behind an id (by its key), with all their ids. StoreError."""
    stored, rules = StoredTies(store.rows), project.identity.resolution
    merges = stored.merges(project.name)
    if rules.keys is not None:
        return _find_linked(store, project.name, rules, merges, id_key)
    owner = owners(neighbourhood([id_key], stored, rules), rules).get(id_key, id_key)
    person = merges.root(owner)
    logins = {person, *merges.logins_of(person)}
    named = {device for devices in stored.devices_of(logins).values() for device in devices}
    ties = neighbourhood(named | logins, stored, rules)
    mine = {device for device, login in owners(ties, rules).items() if login in logins}
    keys = logins | mine
    stamps = keys | {login for key in keys if key in ties for login, _ in ties[key].logins}
    stamps |= {each for key in tuple(stamps) for each in merges.ever_one_with(key)}
    return Person(project.name, tuple(sorted(keys)), tuple(sorted(stamps)))


def find_by_texts(
    store: Store, project: Project, keyed_hash: KeyedHash, texts: Iterable[str], keys: Iterable[int] = ()
) -> Person:
    """Whoever is behind any of these ids, and these keys themselves. StoreError."""
    mine, stamps = set(keys), set(keys)
    for key in sorted({key_of(project, keyed_hash, text) for text in texts} - {NOBODY}):
        person = find_person(store, project, key)
        mine |= set(person.keys)
        stamps |= set(person.stamps)
    mine.discard(NOBODY)
    return Person(project.name, tuple(sorted(mine)), tuple(sorted(stamps | mine)))


def _find_linked(store: Store, project: str, rules: ResolutionRules, merges: Merges, id_key: int) -> Person:
    """Under the strategy `global`: all ids of the components that are merged into one person."""
    links = StoredLinks(store.rows)
    component = resolve_graph(reach({id_key}, links, rules), rules).persons.get(id_key, id_key)
    person = merges.root(component)
    reached = reach({id_key, person, *merges.logins_of(person)}, links, rules)
    persons = resolve_graph(reached, rules).persons
    keys = {key for key, found in persons.items() if merges.root(found) == person} | {id_key, person}
    stamps = keys | links.past_persons(project, keys)
    stamps |= {each for key in tuple(stamps) for each in merges.ever_one_with(key)}
    return Person(project, tuple(sorted(keys)), tuple(sorted(stamps)))


def texts_of(store: Store, person: Person, keyed_hash: KeyedHash) -> list[str]:
    """The person's ids themselves, as far as the store knows them; of declared keys (`key+value`) the value,
    too. StoreError.
    """
    texts = {str(text) for (text,) in store.rows(person.query(_TEXTS), LONGEST).rows}
    own = {text for text in texts if text and keyed_hash.id_key(person.project, text) in person.keys}
    declared = {text.partition("+")[2] for text in own if text.startswith("$") and "+" in text}
    return sorted(own | declared - {""})


def erased_ids(store: Store, person: Person) -> dict[int, int]:
    """Those of the person's ids that somebody had who was erased: by key, when (epoch ms). StoreError."""
    return {int(key): int(at) for key, at in store.rows(person.query(_ERASED)).rows}


def asked(sql: str, parameters: Mapping[str, Parameter]) -> Query:
    """A query with those of the parameters that stand in it."""
    return Query(sql, {name: value for name, value in parameters.items() if f"{{{name}:" in sql})
