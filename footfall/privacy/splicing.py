"""The quick way to what `Records` makes of a record: only what must change is read and written.

The scanner in C says where a record has its fields and entries and which of their values may hold something;
what a name asks for is found out once for all events of its name. Whatever is unusual (names with escapes or
with something of a person, names that are there twice) is left to `Records`, whose rules these are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from footfall.events.faults import FIELD_TYPES
from footfall.privacy.native import ENTRY_WORDS, HEAD_WORDS, EntriesOf
from footfall.privacy.never_collect import is_never_collected
from footfall.privacy.records import ID_FIELDS, Records, Told
from footfall.privacy.rulebook import Verdict
from footfall.privacy.values import Masked, Place

Raw = msgspec.Raw

_RECORD: Final = 0
_PROPERTIES: Final = 1
_OBJECTS: Final = ("", "properties", "lib", "identities")
_AN_OBJECT: Final = 2
_MOST_REMEMBERED: Final = 20_000

_KEPT: Final = Verdict("keep", "ip")

_read_name = msgspec.json.Decoder(str).decode


class _Asked(NamedTuple):
    """What the name of a field or an entry asks for."""

    always: bool  # something is done, even where detection finds nothing
    name: str
    place: Place
    verdict: Verdict | None


_Known = tuple[dict[bytes, _Asked | None], ...]
"""By object and name (JSON) of the events of one name; None: `Records` must see to it."""


class Splicer:
    """Of one project. Safe to use from several threads."""

    def __init__(self, records: Records, entries_of: EntriesOf) -> None:
        self._records = records
        self._entries_of = entries_of
        self._known: dict[tuple[bytes, bytes], tuple[Told, _Known]] = {}
        self._remembered = 0

    def rewritten(self, element: bytes, masked: Masked) -> bytes:
        """As `Records.rewritten`; the very same bytes where nothing is to be hidden."""
        words = self._entries_of(element)
        if words is None:
            return self._records.rewritten(element, masked)
        told, known = self._told(element[words[0] : words[1]], element[words[2] : words[3]])
        counted = Masked()
        told = told._replace(masked=counted)
        changes: list[tuple[int, Raw | None]] = []
        columns = iter(words[HEAD_WORDS:])
        rows = zip(*[columns] * ENTRY_WORDS, strict=True)
        for index, (object_, name_at, name_end, value_at, end, flag) in enumerate(rows):
            if flag == _AN_OBJECT:
                continue
            name = element[name_at:name_end]
            try:
                asked = known[object_][name]
            except KeyError:
                asked = self._remember(known[object_], object_, name, told)
            if asked is None:
                return self._records.rewritten(element, masked)
            if flag or asked.always:
                value = Raw(element[value_at:end])
                new = self._changed(object_, asked, value, told)
                if new is not value:
                    changes.append((index, new))
        if not changes:
            return element
        for done, count in counted.items():
            masked[done] += count
        return _written(element, words, changes)

    def _told(self, type_: bytes, event: bytes) -> tuple[Told, _Known]:
        key = type_, event
        try:
            return self._known[key]
        except KeyError:
            if self._remembered >= _MOST_REMEMBERED:
                self._known.clear()
                self._remembered = 0
            self._remembered += 1
            fields = {"type": Raw(type_)} if type_ else {}
            if event:
                fields["event"] = Raw(event)
            found: tuple[Told, _Known] = self._records.told(fields, Masked()), ({}, {}, {}, {})
            self._known[key] = found
            return found

    def _remember(
        self, known: dict[bytes, _Asked | None], object_: int, name: bytes, told: Told
    ) -> _Asked | None:
        if self._remembered >= _MOST_REMEMBERED:
            self._known.clear()
            self._remembered = 0
        self._remembered += 1
        known[name] = asked = self._asked(object_, _read_name(name), told)
        return asked

    def _asked(self, object_: int, name: str, told: Told) -> _Asked | None:
        records = self._records
        if records.shown(name) != name:
            return None
        if object_ == _RECORD:
            if name in _OBJECTS or (name not in FIELD_TYPES and is_never_collected(name)):
                return None  # what is no object under their names
            return _Asked(name in ID_FIELDS and records.looks_at_all_ids, name, Place(told.event, name), None)
        if name == "$ip" and object_ == _PROPERTIES:
            return _Asked(False, name, Place(told.event, name), _KEPT) if records.keeps_ip else None
        path = name if object_ == _PROPERTIES else f"{_OBJECTS[object_]}.{name}"
        verdict = records.verdict(told, path)
        is_id = _OBJECTS[object_] == "identities"
        always = (verdict is not None and verdict.action != "keep") or (is_id and records.looks_at_all_ids)
        return _Asked(always, name, Place(told.event, path), verdict)

    def _changed(self, object_: int, asked: _Asked, value: Raw, told: Told) -> Raw | None:
        """The value as it may rest, the same object if nothing is to be done; None: dropped."""
        records = self._records
        if object_ == _RECORD:
            return records.field(asked.name, value, asked.place, told)
        if object_ == _PROPERTIES:
            return records.property(asked.name, value, asked.place, asked.verdict, told)
        return records.entry(_OBJECTS[object_], value, asked.place, asked.verdict, told)


def _written(element: bytes, words: Sequence[int], changes: Sequence[tuple[int, Raw | None]]) -> bytes:
    """The record with these values in the place of others."""
    if any(new is None for _, new in changes):
        return _written_anew(element, words, dict(changes))
    parts: list[bytes] = []
    at = 0
    for index, new in changes:
        row = HEAD_WORDS + ENTRY_WORDS * index
        parts += (element[at : words[row + 3]], bytes(new or b""))
        at = words[row + 4]
    return b"".join([*parts, element[at:]])


def _written_anew(element: bytes, words: Sequence[int], changes: Mapping[int, Raw | None]) -> bytes:
    """As `_written`, where entries are left out."""
    parts: tuple[list[bytes], ...] = ([], [], [], [])
    objects: list[tuple[int, int, bytes]] = []
    for index, row in enumerate(range(HEAD_WORDS, len(words), ENTRY_WORDS)):
        object_, name_at, name_end, _, end, flag = words[row : row + ENTRY_WORDS]
        name = element[name_at:name_end]
        if flag == _AN_OBJECT:
            objects.append((len(parts[_RECORD]), _OBJECTS.index(name[1:-1].decode()), name))
            parts[_RECORD].append(b"")
        elif index not in changes:
            parts[object_].append(element[name_at:end])
        elif (new := changes[index]) is not None:
            parts[object_].append(name + b":" + bytes(new))
    for place, object_, name in objects:
        parts[_RECORD][place] = name + b":{" + b",".join(parts[object_]) + b"}"
    return b"{" + b",".join(parts[_RECORD]) + b"}"
