"""The Java SDK's schema protocol: its records become records like all others, at the Sensors door."""

from __future__ import annotations

import json
from typing import Any

import pytest

from footfall.events.record import read_records
from footfall.events.schema_protocol import translate
from tests.collector_worker import NOW, Worker, event

LIB = {"$lib": "Java", "$lib_version": "3.6.8", "$lib_method": "code"}
ENVELOPE = {"_track_id": -1_903_123_456, "version": "2.0", "lib": LIB, "time": NOW}
IDS = {"$identity_login_id": "cust-1", "$identity_mobile": "hash-1"}


def of_schema(schema: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {**ENVELOPE, "type": kind, "schema": schema, "properties": {}, **fields}


USUAL = {"_track_id": ENVELOPE["_track_id"], "lib": LIB, "time": NOW}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an event of a person known by identities": (
        of_schema(
            "events",
            "track",
            event="buy",
            properties={"amount": 10.25, "identities": IDS, "distinct_id": "cust-1"},
        ),
        {
            **USUAL,
            "type": "track",
            "event": "buy",
            "distinct_id": "cust-1",
            "identities": IDS,
            "properties": {"amount": 10.25},
        },
    ),
    "an event of a person known by the user's number": (
        of_schema("events", "track", event="buy", properties={"user_id": 9_876_543_210_123, "n": 1}),
        {**USUAL, "type": "track", "event": "buy", "distinct_id": "9876543210123", "properties": {"n": 1}},
    ),
    "an event whose sender left the distinct id to the identities": (
        of_schema("events", "track", event="buy", properties={"identities": {"$identity_mobile": "m1"}}),
        {
            **USUAL,
            "type": "track",
            "event": "buy",
            "distinct_id": "$identity_mobile+m1",
            "identities": {"$identity_mobile": "m1"},
            "properties": {},
        },
    ),
    "a login among the identities": (
        of_schema(
            "events", "track", event="buy", properties={"identities": {"$identity_mobile": "m1", **IDS}}
        ),
        {
            **USUAL,
            "type": "track",
            "event": "buy",
            "distinct_id": "cust-1",
            "identities": {"$identity_mobile": "hash-1", "$identity_login_id": "cust-1"},
            "properties": {},
        },
    ),
    "identities bound": (
        of_schema(
            "events",
            "track_id_bind",
            event="$BindID",
            properties={"identities": IDS, "distinct_id": "cust-1"},
        ),
        {
            **USUAL,
            "type": "track_id_bind",
            "event": "$BindID",
            "distinct_id": "cust-1",
            "identities": IDS,
            "properties": {},
        },
    ),
    "an event of an entity of the customer's own": (
        of_schema("order_events", "track", event="order_paid", properties={"order_id": "o1"}),
        {
            **USUAL,
            "type": "track",
            "event": "order_paid",
            "distinct_id": "",
            "properties": {"order_id": "o1", "$schema": "order_events"},
        },
    ),
    "a profile": (
        of_schema("users", "profile_set", identities=IDS, distinct_id="cust-1", properties={"level": "gold"}),
        {
            **USUAL,
            "type": "profile_set",
            "distinct_id": "cust-1",
            "identities": IDS,
            "properties": {"level": "gold"},
        },
    ),
    "a profile of a user's number": (
        of_schema("users", "profile_unset", user_id=17, properties={"level": True}),
        {**USUAL, "type": "profile_unset", "distinct_id": "17", "properties": {"level": True}},
    ),
    "an item": (
        of_schema("fund", "item_set", id="000001", properties={"risk": "R3"}),
        {**USUAL, "type": "item_set", "item_type": "fund", "item_id": "000001", "properties": {"risk": "R3"}},
    ),
    "an item taken away": (
        of_schema("fund", "item_delete", id=1),
        {**USUAL, "type": "item_delete", "item_type": "fund", "item_id": "1", "properties": {}},
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_becomes_a_usual_record(case):
    sent, expected = CASES[case]
    worker = Worker()
    assert (await worker.sa([sent])).status_code == 200
    (stored,) = worker.stored()
    assert stored.reasons == []
    assert stored.plain == [expected]
    (record,) = read_records(stored.events)
    assert record is not None
    assert record.type == expected["type"]


@pytest.mark.parametrize(
    ("record", "reason", "field"),
    [
        (of_schema("order_line", "detail_set", id="d1"), "unsupported_schema", "type"),
        (of_schema("order_line", "detail_delete", id="d1"), "unsupported_schema", "type"),
        (
            of_schema("fund", "item_set", id="1", properties={"user_id": 7}),
            "unsupported_schema",
            "properties.user_id",
        ),
        (
            of_schema("fund", "item_set", id="1", properties={"identities": IDS}),
            "unsupported_schema",
            "properties.identities",
        ),
        (of_schema("users", "track", event="buy"), "unsupported_schema", "type"),
        (of_schema("fund", "item_set"), "missing_field", "item_id"),
        (of_schema("events", "track", event="buy"), "missing_field", "distinct_id"),
        (of_schema("events", "track", properties={"user_id": 1}), "missing_field", "event"),
        (of_schema("events", "profile_sets", properties={"user_id": 1}), "unknown_type", "type"),
        (of_schema("", "track", event="buy"), "invalid_type", "schema"),
        (of_schema("events", "track", event="buy") | {"schema": 7}, "invalid_type", "schema"),
        (of_schema("events", "track", event="buy", properties=[]), "invalid_type", "properties"),
        (of_schema("events", "track", event="buy", properties={"user_id": 1.5}), "invalid_type", "user_id"),
        (
            of_schema("events", "track", event="buy", properties={"identities": {"k": 1.5}}),
            "invalid_type",
            "identities.k",
        ),
        (
            of_schema("events", "track", event="buy", properties={"user_id": 1, "x": {"y": 1}}),
            "nested_value",
            "properties.x",
        ),
        (
            of_schema("events", "track", event="buy", properties={"user_id": 1}, time=17),
            "invalid_time",
            "time",
        ),
    ],
)
async def test_what_has_no_place_or_is_wrong_is_kept_as_it_came_with_a_reason(record, reason, field):
    worker = Worker()
    await worker.sa([event(), record, event()])
    (stored,) = worker.stored()
    ((index, *why),) = [(each.index, each.reason, each.field) for each in stored.header.refusals]
    assert (index, *why) == (1, reason, field)
    (letter,) = stored.dead_letters()
    assert json.loads(letter) == record


async def test_the_same_event_sent_again_has_the_same_id():
    worker = Worker()
    with_number = CASES["an event of a person known by identities"][0]
    without = {name: value for name, value in with_number.items() if name != "_track_id"}
    await worker.sa([with_number, without])
    await worker.sa([with_number | {"_flush_time": NOW + 1}, without | {"_flush_time": NOW + 1}])
    first, again = [each.header.event_ids for each in worker.stored()]
    assert first == again
    assert len(set(first)) == 2


def test_numbers_keep_every_digit():
    text = (
        b'{"schema":"events","type":"track","event":"a","properties":{"user_id":1,"amount":0.10,"n":'
        + b"9" * 40
        + b"}}"
    )
    assert b'"amount":0.10,"n":' + b"9" * 40 in translate(text)


def test_other_records_are_left_alone():
    text = b'{ "event": "a", "version": "2.0" }'
    assert translate(text) is text


async def test_a_debug_request_is_told_what_is_wrong():
    worker = Worker()
    answer = await worker.post(
        "/debug?project=open", b"data=" + json.dumps(of_schema("x", "detail_set", id="1")).encode()
    )
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["reason"] == "unsupported_schema"
