"""The id of each event: what makes a repeat recognisable as one.

The client's own `event_id`, else what Sensors Analytics' SDKs repeat unchanged (`_track_id` and its company),
else the whole record but for the fields that change at a retry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from footfall.events.keys import KeyedHash
from footfall.events.record import Record, carried_id, event_name, written_time

_read = msgspec.json.Decoder(dict[str, object], float_hook=msgspec.Raw).decode
"""Numbers with a point or an exponent stay text: as doubles, different amounts would be equal."""
_write = msgspec.json.Encoder(order="sorted").encode


def event_ids(
    project: str,
    records: Sequence[Record | None],
    elements: Callable[[], Sequence[bytes | msgspec.Raw]],
    keyed_hash: KeyedHash,
    ordinal_of: Callable[[bytes], int] | None = None,
) -> list[str]:
    """The ids of a project's records in one request, 32 hex digits each, "" for refused ones (None).

    `elements` gives their JSON, and is only asked if some record has neither `event_id` nor `_track_id`.
    `ordinal_of` counts equal records, by the text that makes them equal: 0, 1, ...; by default those of
    this call.
    """
    scope = project.encode()
    by_client = keyed_hash.event_ids_behind(scope, b"client")
    by_track = keyed_hash.event_ids_behind(scope, b"track")
    number_of = ordinal_of or _counter()
    raw: Sequence[bytes | msgspec.Raw] = ()
    ids: list[str] = []
    for index, record in enumerate(records):
        if record is None:
            ids.append("")
        elif record.event_id:
            ids.append(by_client(record.event_id.encode()))
        elif record.track_id is not None:
            ids.append(by_track(_track_text(record)))
        else:
            raw = raw or elements()
            text = _canonical(raw[index])
            ids.append(keyed_hash.event_id(scope, b"record", text, b"%d" % number_of(text)).hex())
    return ids


def _counter() -> Callable[[bytes], int]:
    seen: dict[bytes, int] = {}

    def count(text: bytes) -> int:
        seen[text] = ordinal = seen.get(text, -1) + 1
        return ordinal

    return count


def _track_text(record: Record) -> bytes:
    """What a retry repeats. The id last: it alone may hold any character."""
    event, time = record.event or event_name(record), written_time(record)
    return f"{record.track_id}\x1f{time}\x1f{event}\x1f{record.type}\x1f{carried_id(record)}".encode()


def _canonical(element: bytes | msgspec.Raw) -> bytes:
    """A record's text without what changes at a retry, and whatever order its fields came in.

    Numbers count as they are written: 1.0 and 1.00 are two different ones.
    """
    plain = _read(element)
    plain.pop("_flush_time", None)
    plain.pop("sent_at", None)
    return _write(plain)
