"""What a project holds after its records were received: events with the person behind each, by the book.

Slow, obvious, and independent: it reads records as a client sends them and shares no code with the services.
Times are epoch milliseconds. Repeats (an `event_id` that came before) change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.reference.identity import Claim, persons

Record = Mapping[str, Any]

NOBODY_IDS = {"", "null", "none", "undefined", "0", "guest", "anonymous", "[object object]"}

SHARED_DEVICE_LIMIT = 3  # a project's own, where it says none


@dataclass(frozen=True)
class Event:
    """A row that queries read; `person` is None where the id identifies nobody."""

    name: str
    type: str
    time: int
    person: str | None
    properties: Mapping[str, Any]
    profile: Mapping[str, Any] = field(default_factory=dict)  # the person's, as it is now
    seq: int = 0  # its place in the client's request
    event_id: str = ""


def read_events(records: Sequence[Record], *, seqs: Sequence[int] | None = None) -> list[Event]:
    """The events of records in the order in which they were received; `seqs` are their places in requests."""
    seen: set[str] = set()
    kept: list[tuple[int, Record]] = []
    for order, record in enumerate(records):
        if record["event_id"] not in seen:
            seen.add(record["event_id"])
            kept.append((order, record))
    claims = [claim for order, record in kept for claim in _claims(order, record)]
    people = persons(
        claims, {_carried_id(record) for _, record in kept}, only_trusted=False, limit=SHARED_DEVICE_LIMIT
    )
    profiles: dict[str, dict[str, Any]] = {}  # each property is set once at most
    for _, record in kept:
        if record.get("type") == "profile_set":
            profiles.setdefault(people[_carried_id(record)], {}).update(record["properties"])
    return [
        Event(
            name=record["event"],
            type=record.get("type", "track"),
            time=record["time"],
            person=None if _is_nobody(_carried_id(record)) else people[_carried_id(record)],
            properties={k: v for k, v in record.get("properties", {}).items() if v is not None},
            profile=profiles.get(people[_carried_id(record)], {}),
            seq=seqs[order] if seqs is not None else 0,
            event_id=record["event_id"],
        )
        for order, record in kept
        if record.get("type") != "profile_set"
    ]


def _carried_id(record: Record) -> str:
    """The first of the ids that identifies somebody, else the first that is there."""
    told = [str(record[field]) for field in ("login_id", "distinct_id", "anonymous_id") if record.get(field)]
    return next((id_ for id_ in told if not _is_nobody(id_)), told[0] if told else "")


def _is_nobody(id_: str) -> bool:
    return id_.strip().lower() in NOBODY_IDS


def _claims(order: int, record: Record) -> list[Claim]:
    """The links that a record makes; a link to oneself says: this id is a login."""
    pairs: list[tuple[str, str]] = []
    if record.get("type") == "track_signup":
        pairs.append((record["original_id"], record["distinct_id"]))
    if record.get("login_id"):
        pairs.append((record["login_id"], record["login_id"]))
        if record.get("anonymous_id"):
            pairs.append((record["anonymous_id"], record["login_id"]))
    return [
        Claim(anonymous, login, received_at=order, seq=0, event_id=0, trusted=False)
        for anonymous, login in pairs
        if not _is_nobody(anonymous) and not _is_nobody(login)
    ]
