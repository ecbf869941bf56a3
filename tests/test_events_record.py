"""What readers of the log get to see of a record."""

from __future__ import annotations

from decimal import Decimal

import pytest

from footfall.events.record import Record, carried_id, event_name, raw_bytes, read_records, split_array
from footfall.events.verdicts import wrap_raw


def test_keeps_every_digit_of_a_number():
    (record,) = read_records(
        b'[{"properties":{"amount":100000000000000000.000001,"n":123456789012345678901}}]'
    )
    assert record is not None
    assert record.properties == {"amount": Decimal("100000000000000000.000001"), "n": 123456789012345678901}


def test_a_number_too_small_for_any_type_is_zero_and_harms_nobody():
    events = b'[{"event":"a","properties":{"n":1e-9999999999999999999999}},{"event":"b"}]'
    first, second = read_records(events)
    assert first is not None
    assert second is not None
    assert first.properties == {"n": 0}


def test_leaves_out_what_was_refused_whatever_it_is():
    records = read_records(b'[1,{"event":"a"},"AP8=",{"event":{"x":[]}}]', {0, 2, 3})
    assert [record and record.event for record in records] == [None, "a", None, None]


def test_ignores_fields_it_does_not_know():
    (record,) = read_records(b'[{"event":"a","_hybrid_h5":true,"deep":[[[{"x":1e999}]]]}]')
    assert record is not None
    assert record.event == "a"


def test_gives_the_bytes_of_a_dead_letter_as_they_came():
    array = b"[" + wrap_raw(b"\xff\x00 nonsense") + b',{"event": 1 }]'
    assert [raw_bytes(element) for element in split_array(array)] == [b"\xff\x00 nonsense", b'{"event": 1 }']


@pytest.mark.parametrize(
    ("ids", "carried"),
    [
        ({"distinct_id": "d"}, "d"),
        ({"distinct_id": "d", "login_id": "l", "anonymous_id": "a"}, "l"),
        ({"anonymous_id": "a"}, "a"),
        ({"distinct_id": "", "anonymous_id": ""}, ""),
        ({"distinct_id": "d", "login_id": "null"}, "d"),
        ({"distinct_id": "Undefined", "login_id": "none", "anonymous_id": "a"}, "a"),
        ({"distinct_id": "null", "anonymous_id": "a"}, "a"),
        ({"distinct_id": "guest", "anonymous_id": "0"}, "guest"),
        ({}, ""),
    ],
)
def test_a_record_is_of_its_login_if_it_has_one(ids, carried):
    assert carried_id(Record(**ids)) == carried


def test_identity_records_have_an_event_name_of_their_own():
    assert event_name(Record(type="track_signup")) == "$SignUp"
    assert event_name(Record(type="track_id_bind", event="$BindID")) == "$BindID"
    assert event_name(Record(type="profile_set")) == ""
