"""The forms a body may have, and the ways in which it may be none of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from footfall.events import limits
from footfall.events.batch import TooManyRecords, Unreadable, read_batch
from footfall.events.names import KnownNames
from footfall.events.verdicts import NATIVE, SENSORS, Door, Judge, Verdicts

NOW = 1_795_301_590_252
GOOD = json.dumps({"event": "a", "distinct_id": "u", "time": NOW, "properties": {"x": 1}}).encode()


def read(body: bytes, door: Door = NATIVE) -> Verdicts:
    return read_batch(body, Judge(door, KnownNames()), NOW)


def outcome(body: bytes) -> list[str]:
    """A word per record."""
    verdicts = read(body)
    words = ["accepted"] * len(verdicts.records)
    for refusal in verdicts.refusals:
        words[refusal.index] = refusal.reason
    return words


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (GOOD, 1),
        (b" \r\n" + GOOD + b"\n", 1),
        (json.dumps(json.loads(GOOD), indent=2).encode(), 1),
        (b"\xef\xbb\xbf" + GOOD, 1),
        (b"[" + GOOD + b"," + GOOD + b"]", 2),
        (b"[]", 0),
        (b'{"events":[' + GOOD + b"," + GOOD + b"]}", 2),
        (b' { "events" : [] } ', 0),
        (GOOD + b"\n" + GOOD, 2),
        (GOOD + b"\r\n\r\n" + GOOD + b"\r\n", 2),
    ],
)
def test_takes_an_object_an_array_an_envelope_and_ndjson(body, count):
    verdicts = read(body)
    assert not verdicts.refusals
    assert [record.event for record in verdicts.records] == ["a"] * count
    assert json.loads(verdicts.events) == [json.loads(GOOD)] * count


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"x",
        b"3",
        b'"a"',
        b"null",
        b"[",
        b"[" + GOOD,
        b"{",
        GOOD[:-1],
        GOOD + b"," + GOOD,
        b'{"events":3}',
        b'{"events":[],"more":1}',
        b'{"events":[}',
        b"[]]",
        b"[][]",
        GOOD + GOOD,
        b"{x}",
        b"[" * 100_000,
        b"[1" + b",1" * (limits.BATCH_COMMAS + 1) + b"]",
        b'["' + b'\\"' * 100_000,
        b"{" + b"\n" * 400_002 + b"x",
    ],
)
def test_finds_no_record_in_what_is_no_batch(body):
    with pytest.raises(Unreadable) as caught:
        read(body)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("bad", [b"{bad}", b"{", b"nonsense", b'{"x":1'])
def test_one_bad_line_does_not_fail_its_neighbours(bad):
    assert outcome(GOOD + b"\n" + bad + b"\n" + GOOD) == ["accepted", "unreadable", "accepted"]
    assert outcome(bad + b"\n" + GOOD) == ["unreadable", "accepted"]
    assert outcome((bad + b"\n") * 12 + GOOD) == ["unreadable"] * 12 + ["accepted"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"event":"a","distinct_id":"u","properties":{"x":NaN}}', "invalid_number"),
        (b'{"event":"a","distinct_id":"u","properties":{"x":1e999}}', "invalid_number"),
        (b'{"event":"a","distinct_id":"\xff"}', "invalid_utf8"),
        (b'{"event":"a","distinct_id":"\\ud800"}', "invalid_utf8"),
        (b'{"event":"a","x":' + b"[" * 5000 + b"]" * 5000 + b"}", "too_deep"),
        (b'{"event":"a",}', "unreadable"),
        (b"", "unreadable"),
        (b"7", "not_an_object"),
    ],
)
def test_one_bad_element_does_not_fail_its_neighbours(bad, reason):
    body = b"[" + GOOD + b"," + bad + b"," + GOOD + b"]"
    assert outcome(body) == ["accepted", reason, "accepted"]
    events = json.loads(read(body).events)
    assert len(events) == 3, "what goes into the log can be taken apart again"


def test_takes_as_many_records_as_the_limit_and_no_more():
    most = limits.BATCH_RECORDS
    assert len(read(b"[" + b",".join([GOOD] * most) + b"]").records) == most
    for body in (b"[" + b",".join([GOOD] * (most + 1)) + b"]", b"\n".join([GOOD] * (most + 1))):
        with pytest.raises(TooManyRecords, match=str(most)):
            read(body)
    with pytest.raises(TooManyRecords):
        read(b"[" + b"{}," * most + b"{}]")


def test_a_batch_beyond_a_megabyte_is_judged_the_same():
    padding = {"event": "a", "distinct_id": "u", "properties": {"x": "y" * 16_000}}
    verdicts = read(json.dumps([padding] * 100 + [padding | {"extra": 1}]).encode())
    assert [(refusal.index, refusal.reason) for refusal in verdicts.refusals] == [(100, "unknown_field")]


def test_the_sensors_door_lets_unknown_fields_pass_and_counts_them():
    record: dict[str, Any] = {"event": "a", "distinct_id": "u", "token": "t", "new": [[{"x": 1}]], "newer": 2}
    verdicts = read(json.dumps([record, {"event": "b", "distinct_id": "u"}]).encode(), SENSORS)
    assert [record.event for record in verdicts.records] == ["a", "b"]
    assert verdicts.ignored_fields == 2


def test_unknown_fields_are_held_to_what_holds_everywhere():
    for bad, reason in [
        (b"[" * 40 + b"]" * 40, "too_deep"),
        (b"1e999", "invalid_number"),
        (b'"\\udc00"', "invalid_utf8"),
    ]:
        body = b'[{"event":"a","distinct_id":"u","new":' + bad + b"}]"
        assert [refusal.reason for refusal in read(body, SENSORS).refusals] == [reason]
