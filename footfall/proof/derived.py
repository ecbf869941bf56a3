"""Profiles and items are what their operations give: each is derived again and compared with the row."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from footfall.events.identity import ResolutionRules
from footfall.proof.findings import Finding
from footfall.storage.digests import MASK
from footfall.storage.rows import ItemRow, ProfileRow
from footfall.storage.store import Parameter, Query, Store
from processor.blocks import Plan
from processor.claims import Claims
from processor.person_book import PersonBook
from processor.snapshots import Profiles, fold_items

_AT_ONCE = 5_000
_NO_BLOCK = Plan(65_535, MASK, MASK, 0)
"""Look-ups leave out a block's own rows: this one has none."""

_NO_CLAIMS = Claims(())

_IDS = f"""
SELECT any(project), id_key FROM profile_operations
WHERE id_key > {{behind:UInt64}} {{filter}}
GROUP BY id_key ORDER BY id_key LIMIT {_AT_ONCE}"""

_PROFILES = """
SELECT project, user_key, user_id, properties, deleted FROM profiles FINAL
WHERE project IN {projects:Array(String)} AND user_key IN {persons:Array(UInt64)}"""

_OTHERS = f"""
SELECT project, user_key FROM profiles FINAL
WHERE NOT deleted AND user_key > {{behind:UInt64}} {{filter}}
    AND user_key NOT IN (SELECT id_key FROM profile_operations)
ORDER BY user_key LIMIT {_AT_ONCE}"""

_ITEMS_WITH_OPERATIONS = f"""
SELECT DISTINCT project, item_type, item_id FROM item_operations
WHERE (project, item_type, item_id) > ({{project:String}}, {{type:String}}, {{id:String}}) {{filter}}
ORDER BY project, item_type, item_id LIMIT {_AT_ONCE}"""

_ITEMS = """
SELECT project, item_type, item_id, properties, deleted FROM items FINAL
WHERE project IN {projects:Array(String)} AND item_type IN {types:Array(String)}
    AND item_id IN {ids:Array(String)}"""

_OTHER_ITEMS = """
SELECT project, item_type, item_id FROM items FINAL
WHERE NOT deleted {filter} AND (project, item_type, item_id) NOT IN (
    SELECT project, item_type, item_id FROM item_operations
) LIMIT 1000"""

Key = tuple[str, int] | tuple[str, str, str]


class Difference(NamedTuple):
    """A derived row that is not as it should be."""

    key: Key
    message: str


class DerivedRows:
    """Compares profiles and items with their operations, some thousands at once."""

    def __init__(
        self, store: Store, rules_of: Callable[[str], ResolutionRules], project: str | None = None
    ) -> None:
        self._store = store
        self._project = project
        self._book = PersonBook(store, rules_of)
        self._profiles = Profiles(store, self._book)
        self.compared = 0

    def profile_findings(self) -> Iterator[Finding]:
        self._book.rebuild()
        behind = 0
        while found := self._page(_IDS, {"behind": behind}):
            by_project: dict[str, set[int]] = {}
            for project, id_key in found:
                by_project.setdefault(project, set()).add(id_key)
            behind = found[-1][1]
            yield from self._settled(lambda ids=by_project: self._differing_profiles(ids), "profiles")  # type: ignore[misc]
        behind = 0
        while found := self._page(_OTHERS, {"behind": behind}):
            behind = found[-1][1]
            persons = {key: project for project, key in found}
            yield from self._settled(lambda asked=persons: self._unfounded(asked), "profiles")  # type: ignore[misc]

    def item_findings(self) -> Iterator[Finding]:
        last = ("", "", "")
        while found := self._page(
            _ITEMS_WITH_OPERATIONS, dict(zip(("project", "type", "id"), last, strict=True))
        ):
            last = found[-1]
            yield from self._settled(lambda items=found: self._differing_items(items), "items")  # type: ignore[misc]
        for project, item_type, item_id in self._page(_OTHER_ITEMS, {}):
            message = "no operation made this item"
            yield Finding("items", "derived", f"{item_type} {item_id}", message, project)

    def _page(self, sql: str, parameters: Mapping[str, Parameter]) -> list[Any]:
        own = dict(parameters)
        if self._project is not None:
            own["only"] = self._project
        text = sql.replace("{filter}", "AND project = {only:String}" if self._project is not None else "")
        return list(self._store.rows(Query(text, own)).rows)

    def _settled(self, compare: Callable[[], Iterable[Difference]], table: str) -> Iterator[Finding]:
        """Findings that stay: a block that is being inserted has its operations in the store before the
        rest.
        """
        for pause in (0.5, 1.5, 0.0):
            differences = list(compare())
            if not differences or not pause:
                break
            time.sleep(pause)
            self._book.rebuild()
        for difference in differences:
            project, *names = difference.key
            record = " ".join(map(str, names))
            yield Finding(table, "derived", record, difference.message, str(project))

    def _differing_profiles(self, by_project: Mapping[str, set[int]]) -> Iterator[Difference]:
        people = self._book.settle(_NO_BLOCK, by_project, _NO_CLAIMS)
        persons = {
            people.persons.get(key, key): project for project, keys in by_project.items() for key in keys
        }
        folded = self._profiles.fold(_NO_BLOCK, people, persons)
        stored = self._stored_profiles(persons)
        self.compared += len(folded)
        for row in folded:
            yield from _compare(
                (row.project, row.user_key), _told(row), stored.get((row.project, row.user_key))
            )

    def _unfounded(self, persons: Mapping[int, str]) -> Iterator[Difference]:
        """Persons whose own id has no operations: their profile must come from ids bound to them."""
        people = self._book.settle(_NO_BLOCK, _by_project(persons), _NO_CLAIMS)
        folded = {row.user_key: row for row in self._profiles.fold(_NO_BLOCK, people, persons)}
        stored = self._stored_profiles(persons)
        for person, project in persons.items():
            row = folded.get(person)
            if row is None:
                yield Difference((project, person), "no operation made this profile")
            else:
                yield from _compare((project, person), _told(row), stored.get((project, person)))

    def _stored_profiles(self, persons: Mapping[int, str]) -> dict[Key, tuple[Any, ...]]:
        own: dict[str, Parameter] = {"projects": sorted(set(persons.values())), "persons": list(persons)}
        rows = self._store.rows(Query(_PROFILES, own)).rows
        return {(project, key): (name, dict(values), bool(gone)) for project, key, name, values, gone in rows}

    def _differing_items(self, items: list[tuple[str, str, str]]) -> Iterator[Difference]:
        folded = fold_items(self._store, _NO_BLOCK, dict.fromkeys(items, ()))
        own: dict[str, Parameter] = {
            name: sorted({item[place] for item in items})
            for place, name in enumerate(("projects", "types", "ids"))
        }
        rows = self._store.rows(Query(_ITEMS, own)).rows
        stored = {tuple(row[:3]): (dict(row[3]), bool(row[4])) for row in rows}
        self.compared += len(folded)
        for row in folded:
            key = (row.project, row.item_type, row.item_id)
            yield from _compare(key, _told(row), stored.get(key))


def _told(row: ProfileRow | ItemRow) -> tuple[Any, ...]:
    if isinstance(row, ProfileRow):
        return (row.user_id, dict(row.properties), row.deleted)
    return (dict(row.properties), row.deleted)


def _compare(key: Key, told: tuple[Any, ...], stored: tuple[Any, ...] | None) -> Iterator[Difference]:
    *_, properties, gone = told
    if stored is None:
        if not gone:
            yield Difference(key, "its operations are there, the row is not")
        return
    if stored == told:
        return
    *_, found, found_gone = stored
    names = sorted(
        name for name in properties.keys() | found.keys() if properties.get(name) != found.get(name)
    )
    what = (
        f"the properties {', '.join(names[:10])}" if names else "deleted" if gone != found_gone else "its id"
    )
    yield Difference(key, f"{what}: not what its operations give")


def _by_project(persons: Mapping[int, str]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for person, project in persons.items():
        found.setdefault(project, set()).add(person)
    return found
