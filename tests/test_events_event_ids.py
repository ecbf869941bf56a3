"""The id of each event: what makes a repeat recognisable."""

from __future__ import annotations

import json
from typing import Any

import pytest

from footfall.events.event_ids import event_ids
from footfall.events.keys import KeyedHash
from footfall.events.names import KnownNames
from footfall.events.record import read_records, split_array
from footfall.events.verdicts import NATIVE, Judge

HASH = KeyedHash(b"k" * 32)


def ids_of(*records: dict[str, Any], project: str = "p") -> list[str]:
    array = json.dumps(records).encode()
    return event_ids(project, read_records(array), lambda: split_array(array), HASH)


def id_of(project: str = "p", **fields: Any) -> str:
    return ids_of({"event": "a", "distinct_id": "u", "time": 1} | fields, project=project)[0]


def test_takes_the_clients_own_id():
    assert id_of(event_id="e", time=1) == id_of(event_id="e", time=2)
    assert id_of(event_id="e") == HASH.event_id(b"p", b"client", b"e").hex()
    assert id_of(event_id="e") != id_of(event_id="f")


def test_takes_what_a_retry_of_a_sensors_sdk_repeats():
    assert id_of(_track_id=1, _flush_time=5) == id_of(_track_id=1, _flush_time=6)
    different = [
        id_of(_track_id=1),
        id_of(_track_id=2),
        id_of(_track_id=1, time=2),
        id_of(_track_id=1, event="b"),
        id_of(_track_id=1, type="track_signup"),
        id_of(_track_id=1, distinct_id="v"),
    ]
    assert len(set(different)) == len(different)


def test_takes_the_whole_record_but_for_what_changes_at_a_retry():
    assert id_of(properties={"x": 1, "y": 2}, _flush_time=5, sent_at=6) == id_of(properties={"y": 2, "x": 1})
    assert id_of(properties={"x": 1}) != id_of(properties={"x": 1.0})
    assert id_of(properties={"x": 2**70}) != id_of(properties={"x": 2**70 + 1})


def json_id(number: str) -> str:
    array = f'[{{"event":"a","distinct_id":"u","time":1,"properties":{{"amount":{number}}}}}]'.encode()
    return event_ids("p", read_records(array), lambda: split_array(array), HASH)[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1234567890123.123456", "1234567890123.123457"),
        ("99999999999999.01", "99999999999999.02"),
        ("12345678901234567.01", "12345678901234567.02"),
        ("1.5", '"1.5"'),
        ("1e-9999999999999999999999", "2e-9999999999999999999999"),
    ],
)
def test_amounts_that_differ_in_any_digit_are_two_records(one, other):
    assert json_id(one) != json_id(other)
    assert json_id(one) == json_id(one)


def test_a_record_has_one_id_whatever_way_the_door_read_it():
    judge = Judge(NATIVE, KnownNames())
    array = b'[{"event":"a","distinct_id":"u","time":1795301590252,"properties":{"amount":1.50,"n":1e2}}]'
    ids = []
    for _ in range(20):  # the later ones by what was learned from the earlier
        verdicts = judge.judge_array(array, 1_795_301_590_252)
        assert verdicts is not None
        ids += event_ids("p", verdicts.records, lambda: split_array(array), HASH)
    slowly = judge.judge_elements([array[1:-1]], 1_795_301_590_252)
    ids += event_ids("p", slowly.records, lambda: split_array(slowly.events), HASH)
    assert len(set(ids)) == 1


def test_of_a_track_id_the_time_that_counts_counts():
    assert id_of(_track_id=1, properties={"$time": 5}) != id_of(_track_id=1, properties={"$time": 6})
    assert id_of(_track_id=1, time=5) == id_of(_track_id=1, time=1, properties={"$time": 5})


def test_of_a_track_id_the_id_that_tells_somebody_counts():
    assert id_of(_track_id=1, login_id="null") == id_of(_track_id=1)
    assert id_of(_track_id=1, login_id="null", distinct_id="v") != id_of(_track_id=1, login_id="null")


def test_tells_equal_records_of_one_request_apart_by_their_number():
    record = {"event": "a", "distinct_id": "u", "time": 1}
    first, second, other = ids_of(record, record, record | {"event": "b"})
    assert len({first, second, other}) == 3
    assert ids_of(record, record | {"event": "b"}, record) == [first, other, second]


def test_the_same_event_in_another_project_is_another():
    assert id_of("p", event_id="e") != id_of("q", event_id="e")


def test_refused_records_have_none():
    array = b'[7,{"event":"a","event_id":"e"}]'
    assert event_ids("p", read_records(array, {0}), lambda: split_array(array), HASH)[0] == ""
