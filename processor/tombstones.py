"""Who was erased: what their ids bring from before is turned away, and records of others do not name them.

A tombstone has the keyed hash of an id and a moment. A record of the id that happened, or arrived, up to then
is refused (reason `erased`), without its content; one of somebody else loses the id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from footfall.events.reasons import Reason
from footfall.events.record import Record, event_time, written_time
from footfall.events.times import InvalidTime
from footfall.storage.rows import TombstoneRow
from footfall.storage.store import Query, Store
from processor.event_block import Request
from processor.id_keys import IdKeys
from processor.intake import DeadLetter, Intake

_TOMBSTONES = """
SELECT project, id_key, toUnixTimestamp64Milli(max(erased_at)), toBool(max(refuse_all)) FROM tombstones
GROUP BY project, id_key"""

MESSAGE = "the person of this id was erased, and this is from before"


class Tombstone(NamedTuple):
    """Until when (epoch ms) what an id did is gone, and whether nothing of it is ever taken again."""

    erased_at: int
    refuse_all: bool

    def covers(self, time: int, received_at: int) -> bool:
        return self.refuse_all or time <= self.erased_at or received_at <= self.erased_at


class Tombstones:
    """In memory; the store keeps them."""

    def __init__(self, store: Store, id_keys: IdKeys) -> None:
        self._store = store
        self._id_keys = id_keys
        self._known: dict[int, Tombstone] = {}
        self._projects: set[str] = set()

    def rebuild(self) -> None:
        """Reads them from the store."""
        rows = self._store.rows(Query(_TOMBSTONES)).rows
        self._known = {int(key): Tombstone(int(at), bool(all_)) for _, key, at, all_ in rows}
        self._projects = {str(project) for project, *_ in rows}

    def add(self, rows: Iterable[TombstoneRow]) -> None:
        """These are in the store now."""
        for row in rows:
            known = self._known.get(row.id_key, Tombstone(0, False))
            self._known[row.id_key] = Tombstone(
                max(known.erased_at, row.erased_at), known.refuse_all or row.refuse_all
            )
            self._projects.add(row.project)

    def apply(self, intake: Intake) -> Intake:
        """The intake without what is of erased persons."""
        if not self._known:
            return intake
        rows = intake.rows
        kept: list[int] = []
        changed: dict[int, Record] = {}
        for row, record in enumerate(rows.records):
            request = intake.requests[rows.request_of[row]]
            own = self._known.get(rows.id_keys[row])
            is_theirs = own is not None and not record.type.startswith("item")
            came = _came(request, rows.seq[row])
            if own is not None and is_theirs and own.covers(_event_time(record, request), came):
                intake.dead_letters.append(
                    DeadLetter(rows.request_of[row], rows.seq[row], Reason.ERASED, "", MESSAGE, b"")
                )
                continue
            kept.append(row)
            without = self._without_erased(record, request, came)
            if without is not record:
                changed[row] = without
        if len(kept) < len(rows.records) or changed:
            records = [changed.get(row, record) for row, record in enumerate(rows.records)]
            intake.rows = rows._replace(records=records).select(kept)
        return intake

    def _without_erased(self, record: Record, request: Request, came: int) -> Record:
        """The record without ids, beside the one that it carries, of persons that were erased."""
        project = request.header.project
        named = [each for each in (record.anonymous_id, record.original_id, record.distinct_id) if each]
        if not record.identities and len(named) < 2 and not record.login_id:
            return record
        gone = {
            each
            for each, *forms in _texts(record)
            if any(self._is_gone(project, form, record, request, came) for form in (each, *forms))
        }
        gone.discard(self._id_keys.carried_id(project, record))
        if not gone:
            return record
        return msgspec.structs.replace(
            record,
            distinct_id=record.login_id if record.distinct_id in gone else record.distinct_id,
            anonymous_id=None if record.anonymous_id in gone else record.anonymous_id,
            original_id=None if record.original_id in gone else record.original_id,
            identities=_left(record.identities, gone),
        )

    def _is_gone(self, project: str, text: str, record: Record, request: Request, came: int) -> bool:
        tombstone = self._known.get(self._id_keys.key(project, text))
        return tombstone is not None and tombstone.covers(_event_time(record, request), came)

    def empty_letters(self, intake: Intake) -> None:
        """What was turned away for another reason keeps no content that names one of them. Once no record of
        the block is turned away any more.
        """
        if not self._known:
            return
        for place, letter in enumerate(intake.dead_letters):
            request = intake.requests[letter.request]
            if letter.raw and self._names_erased(letter.raw, request, _came(request, letter.seq)):
                intake.dead_letters[place] = letter._replace(raw=b"", field="", message=MESSAGE)

    def _names_erased(self, raw: bytes, request: Request, came: int) -> bool:
        """Whether bytes that may be records name an id in one that is from before its erasure, or may be: it
        does not say when it happened. What came for no project is of any.
        """
        project = request.header.project
        for text, fields in _told_in(raw):
            for key in {self._id_keys.key(each, text) for each in ([project] if project else self._projects)}:
                tombstone = self._known.get(key)
                if tombstone is not None:
                    time = _time_of(fields, request)
                    if time is None or tombstone.covers(time, came):
                        return True
        return False


def ids_in(raw: bytes) -> set[str]:
    """The ids that bytes name, as far as they can be read as records."""
    return {text for text, _ in _told_in(raw)}


def _came(request: Request, seq: int) -> int:
    """When a record arrived; of a replay, when its dead letter did. Epoch ms."""
    header = request.header
    if not header.came:
        return header.received_at
    index = header.indexes.index(seq) if header.indexes else seq
    return min([header.received_at, *header.came[index : index + 1]])


def _event_time(record: Record, request: Request) -> int:
    header = request.header
    return event_time(record, header.received_at, network=header.door != "import").time


def _time_of(fields: Mapping[str, Any], request: Request) -> int | None:
    """When what may be a record happened, in epoch ms; None if it does not say so readably."""
    properties = fields.get("properties")
    record = Record(
        time=fields.get("time"),
        properties=properties if isinstance(properties, dict) else {},
        flush_time=fields.get("_flush_time"),
        sent_at=fields.get("sent_at"),
    )
    try:
        return None if written_time(record) is None else _event_time(record, request)
    except (InvalidTime, TypeError):
        return None


def _told_in(raw: bytes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each id that bytes name, with the record that names it."""
    try:
        found = _read(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return iter(())
    return _told_of(found, 3)


_read = msgspec.json.Decoder().decode
_FIELDS = ("distinct_id", "login_id", "anonymous_id", "original_id")


def _told_of(value: Any, depth: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, list) and depth:
        for each in value:
            yield from _told_of(each, depth - 1)
    if not isinstance(value, dict):
        return
    for text in _ids_of(value):
        yield text, value
    if depth and "events" in value:
        yield from _told_of(value["events"], depth - 1)


def _ids_of(fields: Mapping[str, Any]) -> Iterator[str]:
    for name in _FIELDS:
        yield from _written(fields.get(name))
    identities = fields.get("identities")
    if isinstance(identities, dict):
        for name, told in identities.items():
            for each in told if isinstance(told, list) else [told]:
                for text in _written(each):
                    yield from (text, f"{name}+{text}")


def _written(told: Any) -> tuple[str, ...]:
    """An id as text: some clients send numbers."""
    if isinstance(told, str):
        return (told,)
    return (str(told),) if isinstance(told, int) and not isinstance(told, bool) else ()


def _texts(record: Record) -> Iterator[tuple[str, ...]]:
    """Each id, and how else it may be written where keys are declared (footfall/events/identity_keys.py)."""
    for text in (record.distinct_id, record.anonymous_id, record.original_id, record.login_id):
        if text:
            yield (text,)
    for name, value in (record.identities or {}).items():
        for text in _flat([value]):
            yield text, f"{name}+{text}"


def _flat(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))


def _left(identities: dict[str, Any] | None, gone: set[str]) -> dict[str, Any] | None:
    if identities is None:
        return None
    left: dict[str, Any] = {}
    for name, value in identities.items():
        several = isinstance(value, list)
        kept = [each for each in (value if several else [value]) if each not in gone]
        if kept:
            left[name] = kept if several else kept[0]
    return left
