"""Profiles and items as they stand after a block: rows of `profiles` and `items`, from all operations of
whom it touches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from footfall.events.keys import NOBODY, event_key
from footfall.storage.rows import ItemOperationRow, ItemRow, ProfileOperationRow, ProfileRow
from footfall.storage.store import Parameter, Query, Store
from processor.blocks import Plan
from processor.event_block import EventBlock
from processor.id_keys import IdKeys
from processor.key_filter import KeyFilter
from processor.person_book import People, PersonBook
from processor.profiles import Operation, fold_profile, json_of
from processor.values import text_of

_LOOKUP = 10_000

_PROFILE_OPERATIONS = """
SELECT id_key, operation, property, value, toUnixTimestamp64Milli(time), event_key,
    log_partition, log_offset, seq, distinct_id
FROM profile_operations WHERE id_key IN {keys:Array(UInt64)} AND NOT (
    log_partition = {own_partition:UInt16} AND log_offset BETWEEN {own_first:UInt64} AND {own_last:UInt64}
)"""

_ITEM_OPERATIONS = """
SELECT project, item_type, item_id, operation, property, value, toUnixTimestamp64Milli(time), seq,
    event_key, log_partition, log_offset
FROM item_operations
WHERE project IN {projects:Array(String)} AND item_type IN {types:Array(String)}
    AND item_id IN {ids:Array(String)} AND NOT (
    log_partition = {own_partition:UInt16} AND log_offset BETWEEN {own_first:UInt64} AND {own_last:UInt64}
)"""


def profile_operations(block: EventBlock, id_keys: IdKeys) -> list[ProfileOperationRow]:
    """What the profile records of a block ask for; ids that identify nobody have no profile."""
    properties = _by_row(block)
    rows = []
    for row, record in enumerate(block.records):
        id_key = int(block.id_keys[row])
        if id_key == NOBODY:
            continue
        header, partition, offset = block.requests[block.request_of[row]]
        operation = record.type.removeprefix("profile_")
        entries: Iterable[tuple[str, str]] = properties.get(row, ())
        if operation == "delete":
            entries = [("", "")]
        rows += [
            ProfileOperationRow(
                project=header.project,
                id_key=id_key,
                distinct_id=id_keys.carried_id(header.project, record),
                operation=operation,
                property=name,
                value="" if operation == "unset" else value,
                time=int(block.times[row]),
                seq=block.seq[row],
                event_key=event_key(block.event_ids[row]),
                log_partition=partition,
                log_offset=offset,
            )
            for name, value in entries
        ]
    return rows


def item_operations(block: EventBlock) -> list[ItemOperationRow]:
    """What the item records of a block ask for."""
    properties = _by_row(block)
    rows = []
    for row, record in enumerate(block.records):
        header, partition, offset = block.requests[block.request_of[row]]
        operation = record.type.removeprefix("item_")
        entries: Iterable[tuple[str, str]] = [("", "")]  # also a set of nothing makes an item
        if operation == "set":
            entries = [*properties.get(row, ()), ("", "")]
        rows += [
            ItemOperationRow(
                project=header.project,
                item_type=record.item_type or "",
                item_id=record.item_id or "",
                operation=operation,
                property=name,
                value=value,
                time=int(block.times[row]),
                seq=block.seq[row],
                event_key=event_key(block.event_ids[row]),
                log_partition=partition,
                log_offset=offset,
            )
            for name, value in entries
        ]
    return rows


def _by_row(block: EventBlock) -> dict[int, list[tuple[str, str]]]:
    """Each row's properties, the values as JSON."""
    found: dict[int, list[tuple[str, str]]] = {}
    for name, sparse in block.properties.items():
        for row, value in zip(sparse.rows.tolist(), sparse.values, strict=True):
            found.setdefault(row, []).append((name, json_of(value)))
    return found


class Profiles:
    """Knows which ids have profile operations at all, and folds profiles anew."""

    def __init__(self, store: Store, book: PersonBook) -> None:
        self._store = store
        self._book = book
        self._ids = KeyFilter()

    def rebuild(self) -> None:
        """Reads which ids have operations from the store."""
        self._ids = KeyFilter()
        for (keys,) in self._store.stream(Query("SELECT DISTINCT id_key FROM profile_operations")):
            self._ids.add(keys.tolist())

    def remember(self, id_keys: Iterable[int]) -> None:
        """These ids have operations in the store now."""
        self._ids.add(id_keys)

    def build(self, plan: Plan, people: People, asked: Sequence[ProfileOperationRow]) -> list[ProfileRow]:
        """The profiles that the block's operations and bindings change.

        A person that was merged into another, or whose profile was deleted, gets a row that says so.
        """
        moved = self._moved_with_operations(people, asked)
        touched = {_person_of(people, row.id_key): row.project for row in asked}
        for id_key in moved:
            for person in people.moved[id_key]:
                touched[person] = people.projects[id_key]
        if not touched:
            return []
        rows = self.fold(plan, people, touched, asked)
        found = {row.user_key for row in rows}
        left = {people.moved[id_key][0]: people.projects[id_key] for id_key in moved}
        rows += [
            ProfileRow(project, person, "", {}, True, plan.derived)
            for person, project in left.items()
            if person not in found
        ]
        return sorted(rows, key=lambda row: (row.project, row.user_key))

    def fold(
        self,
        plan: Plan,
        people: People,
        persons: Mapping[int, str],
        asked: Sequence[ProfileOperationRow] = (),
    ) -> list[ProfileRow]:
        """The profiles of those of the persons (key -> project) that have operations: stored ones or
        `asked`.
        """
        members = self._book.members(plan, people, persons)
        by_person: dict[int, list[tuple[Operation, str]]] = {}
        for operation, distinct_id in _operations(self._store, plan, list(members), asked):
            by_person.setdefault(members[operation.id_key].person, []).append((operation, distinct_id))
        names = {member.person: member.person_id for member in members.values()}
        return [
            _profile_row(person, persons[person], names.get(person), found, plan.derived)
            for person, found in by_person.items()
            if person in persons
        ]

    def _moved_with_operations(self, people: People, asked: Sequence[ProfileOperationRow]) -> list[int]:
        """Of the ids whose person changed those that may have operations: the others take no profile
        along.
        """
        own = {row.id_key for row in asked}
        return sorted(self._ids.seen(people.moved) | (own & people.moved.keys()))


def _person_of(people: People, id_key: int) -> int:
    return people.persons.get(id_key, id_key)


def _profile_row(
    person: int, project: str, login_id: str | None, found: Sequence[tuple[Operation, str]], version: int
) -> ProfileRow:
    properties = fold_profile(person, (operation for operation, _ in found))
    own = [distinct_id for operation, distinct_id in found if operation.id_key == person]
    return ProfileRow(project, person, login_id or min(own, default=""), properties, not properties, version)


def _operations(
    store: Store, plan: Plan, id_keys: Sequence[int], asked: Sequence[ProfileOperationRow]
) -> list[tuple[Operation, str]]:
    """All operations of these ids with the id's text: stored ones and the block's own."""
    found = [
        (
            Operation(
                row.id_key, row.operation, row.property, row.value, row.time, row.event_key,
                row.log_partition, row.log_offset, row.seq,
            ),
            row.distinct_id,
        )
        for row in asked
    ]  # fmt: skip
    for start in range(0, len(id_keys), _LOOKUP):
        wanted: dict[str, Parameter] = {"keys": id_keys[start : start + _LOOKUP], **plan.own}
        rows = store.rows(Query(_PROFILE_OPERATIONS, wanted)).rows
        found += [(Operation(*row[:-1]), row[-1]) for row in rows]
    return found


_read = msgspec.json.Decoder(float_hook=str).decode


def build_items(store: Store, plan: Plan, asked: Sequence[ItemOperationRow]) -> list[ItemRow]:
    """The items that the block's operations change: properties by event time, then event id."""
    touched: dict[tuple[str, str, str], list[ItemOperationRow]] = {}
    for operation in asked:
        touched.setdefault((operation.project, operation.item_type, operation.item_id), []).append(operation)
    return fold_items(store, plan, touched)


def fold_items(
    store: Store, plan: Plan, touched: Mapping[tuple[str, str, str], Sequence[ItemOperationRow]]
) -> list[ItemRow]:
    """The items (project, type, id) from their stored operations and those given with them."""
    by_item = {item: list(asked) for item, asked in touched.items()}
    for operation in _stored_item_operations(store, plan, list(by_item)):
        item = (operation.project, operation.item_type, operation.item_id)
        if item in by_item:
            by_item[item].append(operation)
    rows = []
    for (project, item_type, item_id), operations in sorted(by_item.items()):
        properties = fold_item(operations)
        rows.append(ItemRow(project, item_type, item_id, properties or {}, properties is None, plan.derived))
    return rows


def fold_item(operations: Iterable[ItemOperationRow]) -> dict[str, str] | None:
    """The item's properties, as texts; None if it was deleted."""
    properties: dict[str, str] | None = None
    for operation in sorted(
        operations, key=lambda each: (each.time, each.event_key, each.log_offset, each.seq)
    ):
        if operation.operation == "delete":
            properties = None
            continue
        properties = properties or {}
        if operation.property:
            properties[operation.property] = text_of(_read(operation.value))
    return properties


def _stored_item_operations(
    store: Store, plan: Plan, items: Sequence[tuple[str, str, str]]
) -> Iterable[ItemOperationRow]:
    for start in range(0, len(items), _LOOKUP):
        part = items[start : start + _LOOKUP]
        wanted: dict[str, Parameter] = {
            "projects": sorted({item[0] for item in part}),
            "types": sorted({item[1] for item in part}),
            "ids": sorted({item[2] for item in part}),
            **plan.own,
        }
        yield from (ItemOperationRow(*row) for row in store.rows(Query(_ITEM_OPERATIONS, wanted)).rows)
