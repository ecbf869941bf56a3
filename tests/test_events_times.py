"""Reading the time a client wrote, and correcting it by the client's clock."""

from __future__ import annotations

from decimal import Decimal

import pytest

from footfall.events.record import EventTime, Record, event_time
from footfall.events.times import InvalidTime, correct_time, read_time

NOW = 1_795_301_590_252


@pytest.mark.parametrize(
    ("written", "milliseconds"),
    [
        (1_795_301_590_252, 1_795_301_590_252),
        (1_795_301_590_252.9, 1_795_301_590_252),
        (1_795_301_590, 1_795_301_590_000),
        (1_795_301_590.252, 1_795_301_590_252),
        (99_999_999_999, 99_999_999_999),
        ("2026-11-21T22:53:10.252Z", 1_795_301_590_252),
        ("2026-11-22T06:53:10.252+08:00", 1_795_301_590_252),
        ("2026-11-21 22:53:10.252999-00:00", 1_795_301_590_252),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_reads_milliseconds_seconds_and_iso_8601(written, milliseconds):
    assert read_time(written) == milliseconds


@pytest.mark.parametrize(
    "written",
    [
        0,
        -1,
        999_999_999,
        10**13,
        1e300,
        -1e300,
        "",
        "yesterday",
        "1795301590252",
        "2026-11-21",
        "2026-11-21T22:53:10",
        "1969-12-31T23:59:59Z",
        "9999-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "x" * 10_000,
        "2026-11-21T22:53:10\x00Z",
    ],
)
def test_refuses_what_says_no_time(written):
    with pytest.raises(InvalidTime) as caught:
        read_time(written)
    assert len(str(caught.value)) < 300


def test_corrects_a_clock_that_is_more_than_a_minute_off():
    assert correct_time(NOW, NOW, NOW + 60_000) == NOW
    assert correct_time(NOW, NOW + 60_000, NOW) == NOW
    assert correct_time(NOW, NOW, NOW + 60_001) == NOW + 60_001
    assert correct_time(NOW, NOW + 60_001, NOW) == NOW - 60_001
    assert correct_time(NOW, None, NOW + 10**9) == NOW


def test_keeps_what_the_clients_clock_said():
    record = Record(event="a", time=NOW - 3_600_000, flush_time=NOW - 3_500_000)
    assert event_time(record, NOW) == EventTime(NOW - 100_000, NOW - 3_600_000)


def test_takes_sent_at_where_there_is_no_flush_time():
    record = Record(time=NOW - 3_600_000, sent_at="2026-11-21T21:53:10.252Z")
    assert event_time(record, NOW).time == NOW


@pytest.mark.parametrize(
    ("written", "sent", "expected"),
    [
        (5_000_000, 5_010_000, NOW - 10_000),
        (1_500_000_000, 1_500_060_000, NOW - 60_000),
        ("1970-01-01T01:00:00Z", 3_610_000, NOW - 10_000),
        (1_795_301_500, 1_795_301_590, 1_795_301_500_000),  # both are seconds, of a clock that is right
        (1_795_300_500, 1_795_300_590, NOW - 90_252 + 252),  # both are seconds, of one 1000 s behind
        (NOW - 5_000, 0, NOW - 5_000),
        (NOW - 5_000, "soon", NOW - 5_000),
        (NOW - 5_000, -7, NOW - 5_000),
        (NOW - 5_000, 10**15, NOW - 5_000),
        (1_795_301_500, 90_000, 1_795_301_500_000),
    ],
)
def test_reads_clocks_near_1970_and_passes_over_what_tells_no_clock(written, sent, expected):
    assert event_time(Record(time=written, flush_time=sent), NOW).time == expected
    assert event_time(Record(time=written, sent_at=sent), NOW).time == expected


def test_takes_sent_at_where_the_flush_time_says_nothing():
    assert event_time(Record(time=NOW - 3_600_000, flush_time=0, sent_at=NOW - 3_600_000), NOW).time == NOW


def test_corrects_no_clock_of_an_import():
    record = Record(time=NOW - 3_600_000, flush_time=NOW - 3_600_000)
    assert event_time(record, NOW, network=False).time == NOW - 3_600_000


def test_a_record_without_time_happened_when_it_was_received():
    record = Record(flush_time=NOW - 3_600_000)
    assert event_time(record, NOW) == EventTime(NOW, NOW)


def test_the_time_among_the_properties_wins():
    record = Record(time=NOW, properties={"$time": Decimal("1795301580252.5")})
    assert event_time(record, NOW).time == 1_795_301_580_252
