"""Verdicts: each reason once, what must be accepted, and that the fast way and the slow way agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.events import limits
from footfall.events.faults import TYPES
from footfall.events.names import KnownNames
from footfall.events.reasons import Reason
from footfall.events.record import event_time, read_records
from footfall.events.verdicts import NATIVE, SENSORS, Door, Judge, Verdicts

NOW = 1_795_301_590_252
DAY = 86_400_000


def event(**fields: Any) -> dict[str, Any]:
    return {"event": "a", "distinct_id": "u", "time": NOW} | fields


def judge(record: Any, door: Door = NATIVE, *, now: int = NOW) -> Verdicts:
    element = record if isinstance(record, bytes) else json.dumps(record).encode()
    return Judge(door, KnownNames()).judge_elements([element], now)


def verdict(record: Any, door: Door = NATIVE) -> tuple[str, str]:
    """Reason and field of the one record, or two empty strings."""
    verdicts = judge(record, door)
    if not verdicts.refusals:
        return "", ""
    (refusal,) = verdicts.refusals
    assert refusal.message
    assert verdicts.records == [None]
    return refusal.reason, refusal.field


LONG = "x" * (limits.STRING_LENGTH + 1)

REFUSED: list[tuple[Reason, str, Any]] = [
    (Reason.UNREADABLE, "", b"{bad}"),
    (Reason.NOT_AN_OBJECT, "", [event()]),
    (Reason.RECORD_TOO_LARGE, "", event(properties={f"p{n}": LONG[1:] for n in range(70)})),
    (Reason.TOO_DEEP, "", b'{"properties":{"x":' + b"[" * 31 + b"]" * 31 + b"}}"),
    (Reason.INVALID_UTF8, "", b'{"event":"a","distinct_id":"\xff"}'),
    (Reason.INVALID_UTF8, "distinct_id", b'{"event":"a","distinct_id":"\\ud800"}'),
    (Reason.INVALID_UTF8, "properties", b'{"event":"a","properties":{"\\ud800":1}}'),
    (Reason.UNSUPPORTED_SCHEMA, "schema", {"version": "2.0", "schema": "events", "id": "1"}),
    (Reason.UNKNOWN_FIELD, "version", event(version="2.0")),
    (Reason.UNKNOWN_FIELD, "user", event(user="u")),
    (Reason.UNKNOWN_TYPE, "type", event(type="tracks")),
    (Reason.MISSING_FIELD, "event", {"distinct_id": "u"}),
    (Reason.MISSING_FIELD, "event", event(event="")),
    (Reason.MISSING_FIELD, "distinct_id", {"event": "a"}),
    (Reason.MISSING_FIELD, "distinct_id", event(distinct_id=None)),
    (Reason.MISSING_FIELD, "original_id", event(type="track_signup")),
    (Reason.MISSING_FIELD, "identities", event(type="track_id_bind")),
    (Reason.MISSING_FIELD, "properties", {"type": "profile_set", "distinct_id": "u"}),
    (Reason.MISSING_FIELD, "item_type", {"type": "item_set", "item_id": "1", "properties": {}}),
    (Reason.MISSING_FIELD, "item_id", {"type": "item_delete", "item_type": "fund"}),
    (Reason.INVALID_TYPE, "distinct_id", event(distinct_id=7)),
    (Reason.INVALID_TYPE, "time", event(time=True)),
    (Reason.INVALID_TYPE, "time_free", event(time_free="yes")),
    (Reason.INVALID_TYPE, "properties", event(properties=[])),
    (Reason.INVALID_TYPE, "properties", event(properties=None)),
    (Reason.INVALID_TYPE, "type", event(type=None)),
    (Reason.INVALID_TYPE, "lib.$lib", event(lib={"$lib": {}})),
    (Reason.INVALID_TYPE, "identities.$identity_login_id", event(identities={"$identity_login_id": 7})),
    (Reason.INVALID_TYPE, "_track_id", event(_track_id=1.5)),
    (Reason.INVALID_TYPE, "properties.$project", event(properties={"$project": 7})),
    (Reason.INVALID_TYPE, "", b'{"event":1,"event":"a","distinct_id":"u"}'),
    (Reason.ID_TOO_LONG, "distinct_id", event(distinct_id="x" * 1025)),
    (Reason.ID_TOO_LONG, "identities.k", event(identities={"k": ["x" * 1025]})),
    (Reason.INVALID_TIME, "time", event(time="yesterday")),
    (Reason.INVALID_TIME, "time", event(time=17)),
    (Reason.INVALID_TIME, "properties.$time", event(properties={"$time": "2026-11-21 10:00:00"})),
    (Reason.INVALID_TIME, "properties.$time", event(properties={"$time": ["x"]})),
    (Reason.TOO_OLD, "time", event(time=NOW - 365 * DAY - 1)),
    (Reason.TOO_OLD, "properties.$time", event(properties={"$time": NOW - 366 * DAY})),
    (Reason.TOO_OLD, "time", event(time=NOW - 364 * DAY, _flush_time=NOW + 2 * DAY)),
    (Reason.TOO_FAR_AHEAD, "time", event(time=NOW + 3 * DAY + 1)),
    (Reason.INVALID_NAME, "event", event(event="view fund")),
    (Reason.INVALID_NAME, "properties.user_id", event(properties={"user_id": 1})),
    (Reason.INVALID_NAME, "properties.a\0b", event(properties={"a\0b": 1})),
    (Reason.NAME_TOO_LONG, "event", event(event="a" * 256)),
    (Reason.TOO_MANY_PROPERTIES, "properties", event(properties={f"p{n}": n for n in range(1001)})),
    (Reason.TOO_MANY_PROPERTIES, "lib", event(lib={f"p{n}": n for n in range(101)})),
    (Reason.TOO_MANY_PROPERTIES, "identities", event(identities={f"p{n}": "x" for n in range(101)})),
    (Reason.NESTED_VALUE, "properties.x", event(properties={"x": {"y": 1}})),
    (Reason.NESTED_VALUE, "properties.x[1]", event(properties={"x": ["a", 1]})),
    (Reason.NESTED_VALUE, "properties.x[0]", event(properties={"x": [None]})),
    (Reason.STRING_TOO_LONG, "properties.x", event(properties={"x": LONG})),
    (Reason.STRING_TOO_LONG, "properties.x[0]", event(properties={"x": [LONG]})),
    (Reason.STRING_TOO_LONG, "lib.x", event(lib={"x": LONG})),
    (Reason.LIST_TOO_LONG, "properties.x", event(properties={"x": ["a"] * 1001})),
    (Reason.LIST_TOO_LONG, "identities.x", event(identities={"x": ["a"] * 101})),
    (Reason.INVALID_NUMBER, "properties.x", b'{"event":"a","distinct_id":"u","properties":{"x":NaN}}'),
    (Reason.INVALID_NUMBER, "properties.x", b'{"event":"a","distinct_id":"u","properties":{"x":-1e999}}'),
    (Reason.INVALID_NUMBER, "properties.x", b'{"event":"a","properties":{"x":' + b"9" * 4301 + b"}}"),
    (
        Reason.INVALID_VALUE,
        "properties.n",
        {"type": "profile_increment", "distinct_id": "u", "properties": {"n": "1"}},
    ),
    (
        Reason.INVALID_VALUE,
        "properties.n",
        {"type": "profile_increment", "distinct_id": "u", "properties": {"n": True}},
    ),
    (
        Reason.INVALID_VALUE,
        "properties.tags",
        {"type": "profile_append", "distinct_id": "u", "properties": {"tags": "x"}},
    ),
]
OF_THE_REQUEST = {
    Reason.BODY_TOO_LARGE,
    Reason.TOO_MANY_RECORDS,
    Reason.UNKNOWN_KEY,
    Reason.WRONG_PROJECT,
    Reason.ENCRYPTED,
}
"""Tested in test_collector_reasons.py: a record alone cannot have them."""


@pytest.mark.parametrize("clock", [{"_flush_time": "now"}, {"_flush_time": 0}, {"sent_at": 1}])
def test_a_time_of_sending_that_says_nothing_costs_no_event(clock):
    assert verdict({"event": "a", "distinct_id": "u", "time": NOW} | clock) == ("", "")


@pytest.mark.parametrize("value", [True, False, "1"])
def test_an_increment_adds_numbers_only(value):
    record = {"type": "profile_increment", "distinct_id": "u", "properties": {"n": value}}
    assert verdict(record) == ("invalid_value", "properties.n")


@pytest.mark.parametrize(("reason", "field", "record"), REFUSED)
def test_refuses_for_a_reason_and_names_the_field(reason, field, record):
    assert verdict(record) == (reason.value, field)


ELSEWHERE = {
    Reason.MALFORMED_ENVELOPE: "test_collector_encrypted_bad.py",
    Reason.UNDECRYPTABLE: "test_collector_encrypted_bad.py",
    Reason.UNSUPPORTED_ENCRYPTION: "test_collector_encrypted_bad.py",
    Reason.UNDECLARED_IDENTITY: "test_query_identities.py",
    Reason.ERASED: "test_erasure.py",
    **{reason: "test_plan_doors.py" for reason in Reason if reason.startswith("plan_")},
}
"""Where reasons are tested that a record alone cannot have either."""


def test_every_reason_has_a_test():
    tested = {reason for reason, _, _ in REFUSED} | OF_THE_REQUEST | ELSEWHERE.keys() | {Reason.UNPROCESSABLE}
    assert tested == set(Reason)
    for reason, module in ELSEWHERE.items():
        text = (Path(__file__).parent / module).read_text()
        assert f'"{reason}"' in text or f"Reason.{reason.name}" in text, f"{reason} is not in {module}"


ACCEPTED: list[dict[str, Any]] = [
    event(),
    {"event": "a", "distinct_id": "u"},
    {"event": "a", "distinct_id": ""},
    {"event": "a", "login_id": "u"},
    {"event": "a", "anonymous_id": "u"},
    event(type="track", login_id=None, properties={}),
    event(distinct_id="用" * 1024),
    event(time=NOW - 365 * DAY),
    event(time=NOW + 3 * DAY),
    event(time=1_400_000_000_000, time_free=True),
    event(time=NOW // 1000),
    event(time="2026-11-21T22:53:10Z"),
    event(time=NOW - 366 * DAY, _flush_time=NOW - 366 * DAY),
    event(_track_id=9_828_643_549, _flush_time=NOW),
    event(_track_id="t"),
    event(event="a" * 255),
    event(properties={"app_crashed_reason": "x" * 16_384}),
    event(properties={"n": 2**70, "f": -1.5e-300, "b": False, "none": None, "l": [], "s": "a\0b"}),
    event(properties={"l": ["x" * 16_384] * 3}),
    event(properties={"l": ["x"] * 1000}),
    event(properties={f"p{n}": n for n in range(1000)}),
    event(properties={"n": 10**4299}),
    event(properties={"$is_login_id": True, "$time": NOW, "$project": "p"}),
    event(identities={"$identity_login_id": "l", "$identity_email": ["a@b", "c@d"]}),
    event(lib={"$lib": "js", "$lib_version": "1", "n": 1, "none": None}),
    event(type="track_signup", original_id="a"),
    event(type="track_id_unbind", identities={"$identity_mobile": "1"}),
    {"type": "profile_set", "distinct_id": "u", "properties": {}},
    {"type": "profile_increment", "distinct_id": "u", "properties": {"n": 1, "f": 0.5, "none": None}},
    {"type": "profile_append", "distinct_id": "u", "properties": {"tags": ["a"]}},
    {"type": "profile_unset", "distinct_id": "u", "properties": {"k": True}},
    {"type": "profile_delete", "distinct_id": "u"},
    {"type": "item_set", "item_type": "book", "item_id": "1", "properties": {"price": 1}},
    {"type": "item_delete", "item_type": "book", "item_id": "1"},
]


@pytest.mark.parametrize("record", ACCEPTED)
def test_accepts_whatever_a_client_may_legally_send(record):
    for door in (NATIVE, SENSORS):
        assert verdict(record, door) == ("", "")


def test_a_record_says_which_project_and_token_it_wants():
    record = event(project="p", token="t", properties={"$project": "q"})
    assert judge(record, SENSORS).claims == {0: ("q", "t")}
    assert judge(event()).claims == {}


def test_an_encrypted_envelope_is_known_as_one_on_the_sensors_door():
    for envelope in (
        {"ekey": "x", "pkv": 1, "payloads": ["y"]},
        {"key_id": 7, "payload": "y"},
    ):
        assert verdict(envelope, SENSORS)[0] == "encrypted"
        assert verdict(envelope, NATIVE)[0] == "unknown_field"


# --- the fast way and the slow way -------------------------------------------------------------------------

names = st.sampled_from(["a", "b1", "$x", "user_id", "$project", "$time", "1x", "", "基"]) | st.text(
    max_size=4
)
ids = st.text(max_size=3) | st.none() | st.integers(0, 3) | st.just("x" * 1025)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
times = (
    st.integers(NOW - 400 * DAY, NOW + 10 * DAY)
    | st.floats(NOW - 400 * DAY, NOW + 10 * DAY)
    | st.integers(-(2**70), 2**70)
    | st.sampled_from(["2026-11-21T22:53:10Z", "x", None, True, NOW // 1000, 1e300, []])
)
values = (
    st.none()
    | st.booleans()
    | numbers
    | st.text(max_size=5)
    | st.just(LONG)
    | st.lists(st.text(max_size=2) | st.integers(), max_size=3)
    | st.dictionaries(st.text(max_size=2), st.integers(), max_size=1)
)
properties = st.dictionaries(names, values | times, max_size=4) | st.none() | st.just([])
types = st.sampled_from(
    [*TYPES, "nonsense", None, 1],
)
usual = st.fixed_dictionaries(
    {"event": st.just("a"), "distinct_id": st.just("u"), "time": st.integers(NOW - DAY, NOW)},
    optional={"properties": st.dictionaries(st.sampled_from(["a", "b1", "$x"]), st.integers(), max_size=3)},
)
odd = st.fixed_dictionaries(
    {},
    optional={
        "type": types,
        "event": names | st.none(),
        "distinct_id": ids,
        "time": times,
        "properties": properties,
        "login_id": ids,
        "original_id": ids,
        "identities": st.dictionaries(st.text(max_size=2), ids | st.lists(ids, max_size=2), max_size=2),
        "lib": st.dictionaries(st.text(max_size=2), values, max_size=2),
        "project": ids,
        "item_type": ids,
        "item_id": ids,
        "time_free": st.booleans() | st.none() | st.integers(),
        "sent_at": times,
        "_track_id": st.integers() | st.text(max_size=2) | st.floats(0, 9),
        "_flush_time": times,
        "token": ids,
        "more": values,
    },
)
records = usual | odd | values


@given(batch=st.lists(records, max_size=4), door=st.sampled_from([NATIVE, SENSORS]))
@settings(max_examples=600, deadline=None)
def test_the_fast_way_and_the_slow_way_give_the_same_verdicts(batch, door):
    elements = [json.dumps(record).encode() for record in batch]
    array = b"[" + b",".join(elements) + b"]"
    slow = Judge(door, KnownNames()).judge_elements(elements, NOW)
    fast = Judge(door, KnownNames()).judge_array(array, NOW)
    if fast is not None:
        assert fast.refusals == slow.refusals
        assert fast.claims == slow.claims
        assert slow.ignored_fields == 0
        assert fast.records == slow.records
    elif not slow.ignored_fields:
        assert slow.refusals, "the fast way gave up on a batch in which nothing is wrong"


def experienced_judge(door: Door) -> Judge:
    """One that has learned the usual names."""
    judge = Judge(door, KnownNames())
    lesson = json.dumps([event(properties={"a": 1, "b1": 2, "$x": 3})]).encode()
    for _ in range(20):
        judge.judge_array(lesson, NOW)
    return judge


@given(batch=st.lists(usual | odd, max_size=4), door=st.sampled_from([NATIVE, SENSORS]))
@settings(max_examples=600, deadline=None)
def test_a_judge_of_experience_judges_as_a_new_one(batch, door):
    array = json.dumps(batch).encode()
    experienced = experienced_judge(door).judge_array(array, NOW)
    new = Judge(door, KnownNames()).judge_array(array, NOW)
    assert (experienced is None) == (new is None)
    if experienced is not None and new is not None:
        assert experienced.events == new.events
        assert experienced.refusals == new.refusals
        assert experienced.claims == new.claims
        for one, other in zip(experienced.records, new.records, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                fields = set(one.__struct_fields__) - {"properties"}
                assert all(getattr(one, field) == getattr(other, field) for field in fields)


@pytest.mark.parametrize(
    "properties",
    [
        b'{"\\u0061":1}',
        b'{"a":1,"a":{}}',
        b'{"a":{},"a":1}',
        b'{"a":1e999}',
        b'{"a":"\xff"}',
        b'{"A":1}',
        b'{"a\\u0000":1}',
        b"null",
        b"[]",
        b'{"$project":"p"}',
        b'{"a":' + b"9" * 4301 + b"}",
        b'{"a":"' + b"x" * 16_385 + b'"}',
    ],
)
def test_experience_does_not_make_careless(properties):
    array = b'[{"event":"a","distinct_id":"u","properties":' + properties + b"}]"
    for door in (NATIVE, SENSORS):
        verdicts = [
            judge.judge_array(array, NOW) for judge in (experienced_judge(door), Judge(door, KnownNames()))
        ]
        outcomes = [each and (each.events, each.refusals, each.claims) for each in verdicts]
        assert outcomes[0] == outcomes[1]


def test_names_that_come_later_are_learned_too():
    judge = experienced_judge(NATIVE)
    later = json.dumps([event(properties={"later": 1})]).encode()
    for _ in range(100):
        assert judge.judge_array(later, NOW).refusals == []
    assert judge._usual.decode(later) is not None
    assert judge._usual.decode(json.dumps([event(properties={"a": 1})]).encode()) is not None


def test_a_judge_rests_from_what_hardly_ever_works():
    judge = experienced_judge(NATIVE)
    array = json.dumps([event(properties={"$time": NOW})]).encode()
    for _ in range(40):
        assert judge.judge_array(array, NOW).refusals == []
    assert judge._usual._rest > 0


@given(batch=st.lists(records, max_size=4), door=st.sampled_from([NATIVE, SENSORS]))
@settings(max_examples=300, deadline=None)
def test_readers_can_read_whatever_was_accepted(batch, door):
    elements = [json.dumps(record).encode() for record in batch]
    verdicts = Judge(door, KnownNames()).judge_elements(elements, NOW)
    refused = {refusal.index for refusal in verdicts.refusals}
    read = read_records(verdicts.events, refused)
    assert [record is None for record in read] == [index in refused for index in range(len(batch))]
    for record in read:
        if record is not None:
            assert event_time(record, NOW).time >= 0
    assert json.loads(verdicts.events) is not None


@pytest.mark.parametrize(
    ("record", "meant"),
    [
        ({"evnt": "a", "distinct_id": "u"}, "event"),
        ({"evnet": "a", "distinct_id": "u"}, "event"),
        ({"event": "a", "distinctId": "u"}, "distinct_id"),
        ({"event": "a", "distinct-id": "u"}, "distinct_id"),
        ({"event": "a", "user_id": "u"}, "distinct_id"),
        ({"event": "a", "distinct_id": "u", "timestamp": NOW}, "time"),
        ({"event": "a", "distinct_id": "u", "propertys": {}}, "properties"),
        ({"event": "a", "distinct_id": "u", "flush_time": NOW}, "_flush_time"),
        (event(type="tracks"), "track"),
        (event(type="Profile_Set"), "profile_set"),
        (event(type="profile_incremnt"), "profile_increment"),
        (event(type="identify"), "profile_set"),
    ],
)
def test_an_unknown_word_is_answered_with_the_nearest(record: Any, meant: str) -> None:
    (refusal,) = judge(record).refusals
    assert f"did you mean {meant!r}?" in refusal.message


@pytest.mark.parametrize(
    "record", [event(colour="red"), event(user_id="u"), event(ab=1), event(**{"": 1}), event(type="colour")]
)
def test_a_word_like_none_is_answered_without_a_guess(record: Any) -> None:
    (refusal,) = judge(record).refusals
    assert "did you mean" not in refusal.message


@pytest.mark.parametrize(
    "name", ["x" * 500_000, "\u200b" * 100_000, "_" * 500_000, "eventeventeventeventeventevent"]
)
def test_words_of_any_length_are_answered_shortly(name: str) -> None:
    for record in (event(**{name: 1}), event(type=name)):
        (refusal,) = judge(record).refusals
        assert refusal.reason in ("unknown_field", "unknown_type")
        assert len(refusal.field) <= 60
        assert len(refusal.message) < 1_000
