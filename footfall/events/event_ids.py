"""The id of each event: what makes a repeat recognisable as one.

The client's own `event_id`, else what Sensors Analytics' SDKs repeat unchanged (`_track_id` and its company),
else the whole record but for the fields that change at a retry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from footfall.events.keys import KeyedHash
from footfall.events.record import Record, carried_id, event_name

_read = msgspec.json.Decoder(dict[str, object]).decode
_write = msgspec.json.Encoder(order="sorted").encode


def event_ids(
    project: str,
    records: Sequence[Record | None],
    elements: Callable[[], Sequence[bytes | msgspec.Raw]],
    keyed_hash: KeyedHash,
) -> list[str]:
    """The ids of a project's records in one request, 32 hex digits each, "" for refused ones (None).

    `elements` gives their JSON, and is only asked if some record has neither `event_id` nor `_track_id`.
    """
    scope = project.encode()
    seen: Counter[bytes] = Counter()
    raw: Sequence[bytes | msgspec.Raw] = ()
    ids: list[str] = []
    for index, record in enumerate(records):
        if record is None:
            ids.append("")
        elif record.event_id:
            ids.append(keyed_hash.event_id(scope, b"client", record.event_id.encode()).hex())
        elif record.track_id is not None:
            text = f"{record.track_id}\x1f{record.time}\x1f{event_name(record)}\x1f{record.type}"
            ids.append(keyed_hash.event_id(scope, b"track", carried_id(record).encode(), text.encode()).hex())
        else:
            raw = raw or elements()
            text_of_record = canonical(raw[index])
            ordinal = seen[text_of_record]
            seen[text_of_record] += 1
            ids.append(keyed_hash.event_id(scope, b"record", text_of_record, b"%d" % ordinal).hex())
    return ids


def canonical(element: bytes | msgspec.Raw) -> bytes:
    """A record's text without what changes at a retry, and whatever order its fields came in."""
    plain = _read(element)
    plain.pop("_flush_time", None)
    plain.pop("sent_at", None)
    return _write(plain)
