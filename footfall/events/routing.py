"""Where a log places records by their key: the keys of a request's records, and one log record for each.

A record's key is made of the id that the client sent, as it sent it: whatever privacy makes of the id, a
record that comes again has the same key, and whoever processes that key finds the repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from footfall.events.keys import KeyedHash
from footfall.events.log_record import Header
from footfall.events.record import Record, split_array


class Part(NamedTuple):
    """What becomes one log record."""

    key: bytes  # "" of what names nobody
    header: Header
    events: bytes  # JSON array


def routing_keys(project: str, records: Sequence[Record | None], keyed_hash: KeyedHash) -> list[bytes]:
    """A key a record; None, which was refused, goes with the first that was not."""
    keys: dict[str, bytes] = {"": b""}
    found: list[bytes | None] = []
    for record in records:
        if record is None:
            found.append(None)
            continue
        told = record.distinct_id or record.login_id or record.anonymous_id or record.item_id or ""
        if told not in keys:
            keys[told] = keyed_hash.id_key(project, told).to_bytes(8, "big")
        found.append(keys[told])
    first = next((key for key in found if key is not None), b"")
    return [first if key is None else key for key in found]


def split(header: Header, events: bytes, keys: Sequence[bytes]) -> list[Part]:
    """One log record a key, in the order of their first records; positions in the request stay known.

    What is counted for the request as a whole (`masked`) goes with the first.
    """
    numbers: dict[bytes, list[int]] = {}
    for number, key in enumerate(keys):
        numbers.setdefault(key, []).append(number)
    if len(numbers) <= 1:
        return [Part(next(iter(numbers), b""), header, events)]
    elements = [bytes(element) for element in split_array(events)]
    parts: list[Part] = []
    for key, mine in numbers.items():
        array = b"[" + b",".join([elements[number] for number in mine]) + b"]"
        own = _part_of(header, mine)
        parts.append(Part(key, own if not parts else replace(own, masked=[]), array))
    return parts


def _part_of(header: Header, numbers: Sequence[int]) -> Header:
    """What the header says of the records with these numbers, renumbered from 0."""
    places = {number: place for place, number in enumerate(numbers)}
    violations = [
        replace(violation, indexes=[places[index] for index in violation.indexes if index in places])
        for violation in header.violations
    ]
    return replace(
        header,
        count=len(numbers),
        event_ids=[header.event_ids[number] for number in numbers],
        refusals=[
            replace(refusal, index=places[refusal.index])
            for refusal in header.refusals
            if refusal.index in places
        ],
        indexes=[header.indexes[number] if header.indexes else number for number in numbers],
        replayed=[header.replayed[number] for number in numbers] if header.replayed else [],
        came=[header.came[number] for number in numbers] if header.came else [],
        violations=[violation for violation in violations if violation.indexes],
    )
