"""What the clients of a round send, and what each record must come to.

Every record has a number of its own, which the store must hold once, with the content that was sent.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

_EVENTS = ("register", "verify_identity", "bind_card", "view_fund", "purchase_fund", "$pageview")
_LOGINS = 8  # fewer than devices, each of which signs up as one of them: again and again, in any order
_TEXTS = ("plain", "基金 详情", 'O\'Brien \\ "quoted"', "tab\tnewline\n", "😀 \u202e{x:String}", "a" * 700)


class Fate(StrEnum):
    """What a record must come to once a request with it was answered 200."""

    EVENT = "event"  # a row of events
    PROFILE = "profile"  # a row of profile_operations
    REFUSED = "refused"  # a dead letter


class Content(NamedTuple):
    """What is compared between what was sent and what is stored."""

    name: str  # the event's, or the profile operation's
    distinct_id: str
    time: int
    text: str
    amount: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A record, and how it goes over the wire."""

    number: int
    fate: Fate
    content: Content
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """New records to one door, and some that an earlier request has brought already."""

    door: str
    sent: tuple[Sent, ...]
    again: tuple[Sent, ...] = ()

    @property
    def records(self) -> tuple[Sent, ...]:
        return (*self.sent, *self.again)

    def body(self, now_ms: int) -> bytes:
        """The bytes; the Sensors door's `_flush_time` is of each sending, as its SDKs do."""
        if self.door == "native":
            return orjson.dumps([sent.record for sent in self.records])
        flushed = [{**sent.record, "_flush_time": now_ms} for sent in self.records]
        data = base64.b64encode(orjson.dumps(flushed)).decode()
        return f"data_list={quote(data, safe='')}&gzip=0".encode()


def draw_request(random: Random, first_number: int, now_ms: int, before: list[Sent]) -> Request:
    """The next request of a client; `before` are records of earlier requests that it may repeat."""
    door = random.choice(["native", "native", "sensors"])
    numbers = range(first_number, first_number + random.randint(1, 30))
    sent = tuple(_draw_record(random, number, door, now_ms) for number in numbers)
    repeatable = [old for old in before[-200:] if ("event_id" in old.record) == (door == "native")]
    again = tuple(random.sample(repeatable, min(len(repeatable), random.choice([0, 0, 0, 1, 3]))))
    return Request(door, sent, again)


def _draw_record(random: Random, number: int, door: str, now_ms: int) -> Sent:
    kind = random.random()
    customer = random.randrange(40)
    amount = f"{random.randrange(10**9)}.{random.randrange(10**6):06d}"
    content = Content(
        name=random.choice(_EVENTS),
        distinct_id=f"customer-{customer}",
        time=now_ms - random.randrange(3_600_000),
        text=random.choice(_TEXTS),
        amount=amount,
    )
    if kind < 0.06 and door == "native":
        fate, content = Fate.REFUSED, content._replace(name="not a name!")
    elif kind < 0.12:
        fate, content = Fate.PROFILE, content._replace(name="profile_set", distinct_id=f"profile-{number}")
    else:
        fate = Fate.EVENT
    signs_up: dict[str, Any] = {}
    if kind > 0.9:
        content = content._replace(name="$SignUp", distinct_id=f"login-{customer % _LOGINS}")
        signs_up = {"type": "track_signup", "original_id": f"customer-{customer}"}
    return Sent(number, fate, content, _record(number, fate, content, door) | signs_up)


def _record(number: int, fate: Fate, content: Content, door: str) -> dict[str, Any]:
    record: dict[str, Any] = {
        "type": "profile_set" if fate is Fate.PROFILE else "track",
        "distinct_id": content.distinct_id,
        "time": content.time,
        "properties": {
            "fault_number": number,
            "text": content.text,
            "amount": orjson.Fragment(content.amount),
        },
    }
    if fate is not Fate.PROFILE:
        record["event"] = content.name
    if door == "native":
        record["event_id"] = f"record-{number}"
    else:
        record["_track_id"] = number
    return record
