"""The record: what a client sends for one event, profile operation or item, and what it means.

`Record` is the readers' view (processor, import, replay): it takes whatever a door accepted and ignores
fields it does not know. What may come in at all is decided in verdicts.py.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Collection
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, NamedTuple

import msgspec

from footfall.events.names import HOISTED
from footfall.events.nobody import IsNobody, identifies_nobody
from footfall.events.times import read_moment

__all__ = [
    "HOISTED",
    "EventTime",
    "Record",
    "RecordType",
    "carried_id",
    "event_name",
    "event_time",
    "raw_bytes",
    "read_records",
    "split_array",
    "telling",
    "written_time",
]

RecordType = Literal[
    "track",
    "track_signup",
    "track_id_bind",
    "track_id_unbind",
    "profile_set",
    "profile_set_once",
    "profile_increment",
    "profile_append",
    "profile_unset",
    "profile_delete",
    "item_set",
    "item_delete",
]

_DEFAULT_EVENTS: Final = {
    "track_signup": "$SignUp",
    "track_id_bind": "$BindID",
    "track_id_unbind": "$UnbindID",
}


class Record(msgspec.Struct, gc=False):
    """A record as it came. Times are what the client wrote: use `event_time` for the meaning.

    In `properties`, integers are int (of any size), numbers with a point or exponent are Decimal (so that
    money keeps every digit; `str` of it is JSON number text), lists are lists of str, null means absent.
    The garbage collector need not look at records: they are read-only and hold no cycles.
    """

    type: str = "track"
    event: str | None = None
    distinct_id: str | None = None
    time: int | float | str | None = None
    properties: dict[str, Any] = {}
    event_id: str | None = None
    anonymous_id: str | None = None
    login_id: str | None = None
    original_id: str | None = None
    identities: dict[str, Any] | None = None
    lib: dict[str, Any] | None = None
    project: str | None = None
    item_type: str | None = None
    item_id: str | None = None
    time_free: bool | None = None
    sent_at: int | float | str | None = None
    track_id: int | str | None = msgspec.field(default=None, name="_track_id")
    flush_time: int | float | str | None = msgspec.field(default=None, name="_flush_time")


class EventTime(NamedTuple):
    """When a record happened, in epoch ms: `time` on our clock, `original` what the client's clock said."""

    time: int
    original: int


_read_all = msgspec.json.Decoder(list[Record], float_hook=Decimal).decode
_read_one = msgspec.json.Decoder(Record, float_hook=Decimal).decode


def _decimal(text: str) -> Decimal:
    """The number; 0 where its exponent is below what a Decimal holds (no door lets in one above)."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal(0)


_read_one_tiny = msgspec.json.Decoder(Record, float_hook=_decimal).decode
_read_text = msgspec.json.Decoder(str).decode
split_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
"""The elements of a log record's array, each as its JSON bytes. Always succeeds on what a collector wrote."""


def read_records(events: bytes, refused: Collection[int] = ()) -> list[Record | None]:
    """The records of a log record's array, in order, None at the refused indexes.

    Raises msgspec.MsgspecError on what no collector wrote.
    """
    try:
        if not refused:
            return _read_all(events)  # type: ignore[return-value]  # list is invariant; nobody writes to it
        return _read_each(events, refused, _read_one)
    except InvalidOperation:  # a number like 1e-99999999999999999999: to a door it is a 0
        return _read_each(events, refused, _read_one_tiny)


def _read_each(
    events: bytes, refused: Collection[int], read: Callable[[bytes | msgspec.Raw], Record]
) -> list[Record | None]:
    elements = split_array(events)
    return [None if index in refused else read(element) for index, element in enumerate(elements)]


def raw_bytes(element: bytes | msgspec.Raw) -> bytes:
    """What the client sent for a refused element of a log record's array: the dead letter's bytes.

    What was no readable JSON, or a bare JSON string, lies in the array as a JSON string of its base64.
    """
    text = bytes(element)
    return b64decode(_read_text(text)) if text.startswith(b'"') else text


def event_name(record: Record) -> str:
    """The event's name; identity records have one even if the client left it out; "" for profiles, items."""
    return record.event or _DEFAULT_EVENTS.get(record.type, "")


def telling(id_: str | None, is_nobody: IsNobody = identifies_nobody) -> str:
    """The id, "" if it is absent or identifies nobody: then it is as good as absent."""
    return id_ if id_ and not is_nobody(id_) else ""


def carried_id(record: Record, is_nobody: IsNobody = identifies_nobody) -> str:
    """The id whose record this is: login_id, else distinct_id, else anonymous_id.

    One that identifies nobody is passed over; where all do, the first of them that is there, else "".
    """
    login_id, distinct_id = record.login_id, record.distinct_id
    if login_id and not is_nobody(login_id):
        return login_id
    if distinct_id and not is_nobody(distinct_id):
        return distinct_id
    anonymous_id = record.anonymous_id
    if anonymous_id and not is_nobody(anonymous_id):
        return anonymous_id
    return login_id or distinct_id or anonymous_id or ""


def written_time(record: Record) -> Any:
    """The time that counts, as the client wrote it: `$time` among the properties wins. None: none."""
    properties = record.properties
    # A door's fastest way (usual.py) gives properties that are no dict; it takes none with a `$time`.
    hoisted = properties.get("$time") if type(properties) is dict else None
    return record.time if hoisted is None else hoisted


def event_time(record: Record, received_at: int, *, network: bool = True) -> EventTime:
    """When it happened, in epoch ms; without a time of its own, a record happened when it was received.

    Clocks are corrected on the network doors only. Raises InvalidTime.
    """
    written = written_time(record)
    if isinstance(written, Decimal):
        written = float(written)
    if written is None:
        return EventTime(received_at, received_at)
    corrected, original = read_moment(written, (record.flush_time, record.sent_at), received_at)
    return EventTime(corrected if network else original, original)
