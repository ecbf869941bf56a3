"""The Python SDK against a collector that misbehaves: nothing lost silently, raised or blocked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from footfall_sdk import Client, Rejection
from sdk_clients import FAST, numbers, open_client, stored_rows, track_many, wait_for, written
from sdk_server import (
    FakeCollector,
    accept,
    accept_then_reset,
    after,
    fake_collector,
    friendly_page,
    reject,
    status,
    too_large_over,
    unused_port,
)


@pytest.fixture
def collector() -> Iterator[FakeCollector]:
    with fake_collector() as fake:
        yield fake


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    return tmp_path / "queue"


def test_delivers_in_order_with_the_key_and_the_time_of_sending(
    collector: FakeCollector, queue: Path
) -> None:
    with open_client(collector.url, queue) as client:
        track_many(client, 1200)
        assert client.flush(10)
        counters = client.counters()
    assert numbers(collector.accepted) == list(range(1200))
    assert collector.headers[0]["Authorization"] == "Bearer ff_wk_test"
    assert max(map(len, collector.requests)) <= 500
    record = collector.accepted[0]
    assert record["type"] == "track"
    assert record["distinct_id"] == "cust-0"
    assert record["lib"]["$lib"] == "footfall-python"
    assert abs(record["sent_at"] - record["time"]) < 60_000
    assert (counters.tracked, counters.delivered, counters.waiting) == (1200, 1200, 0)


def test_login_joins_the_device_with_the_person(collector: FakeCollector, queue: Path) -> None:
    with open_client(collector.url, queue) as client:
        client.track("register")
        client.login("cust-1")
        client.track("bind_card")
        client.logout()
        client.track("view_fund")
        device = client.anonymous_id
    before, signup, later, last = collector.accepted
    assert before["distinct_id"] == before["anonymous_id"] == device
    assert (signup["type"], signup["event"]) == ("track_signup", "$SignUp")
    assert (signup["distinct_id"], signup["original_id"]) == ("cust-1", device)
    assert (later["distinct_id"], later["login_id"], later["anonymous_id"]) == ("cust-1", "cust-1", device)
    assert "login_id" not in last


def test_the_anonymous_id_survives_a_restart(collector: FakeCollector, queue: Path) -> None:
    with open_client(collector.url, queue) as first:
        device = first.anonymous_id
    with open_client(collector.url, queue) as second:
        assert second.anonymous_id == device
        second.identify("device-of-mine")
    with open_client(collector.url, queue) as third:
        assert third.anonymous_id == "device-of-mine"


def test_a_server_can_speak_for_many_people(collector: FakeCollector, queue: Path) -> None:
    with open_client(collector.url, queue) as client:
        client.login("cust-7", anonymous_id="device-7")
        client.track("transfer", login_id="cust-8", anonymous_id="device-8")
        client.track("transfer", anonymous_id="device-9")
    signup, known, device = collector.accepted
    assert (signup["distinct_id"], signup["original_id"]) == ("cust-7", "device-7")
    assert (known["distinct_id"], known["login_id"], known["anonymous_id"]) == (
        "cust-8",
        "cust-8",
        "device-8",
    )
    assert device["distinct_id"] == "device-9"


def test_profile_calls_carry_their_type_and_person(collector: FakeCollector, queue: Path) -> None:
    with open_client(collector.url, queue) as client:
        client.profile_set({"level": "gold"}, distinct_id="c")
        client.profile_set_once({"first": "app"}, distinct_id="c")
        client.profile_increment({"visits": 1}, distinct_id="c")
        client.profile_append({"tags": ["vip"]}, distinct_id="c")
        client.profile_unset(["level"], distinct_id="c")
        client.profile_delete(distinct_id="c")
    assert [(record["type"], record["properties"]) for record in collector.accepted] == [
        ("profile_set", {"level": "gold"}),
        ("profile_set_once", {"first": "app"}),
        ("profile_increment", {"visits": 1}),
        ("profile_append", {"tags": ["vip"]}),
        ("profile_unset", {"level": True}),
        ("profile_delete", {}),
    ]


def test_keeps_events_while_the_server_is_down_and_delivers_them_in_order_afterwards(queue: Path) -> None:
    port = unused_port()
    client = open_client(f"http://127.0.0.1:{port}", queue)
    track_many(client, 50)
    assert not client.flush(0.3)
    with fake_collector(port) as collector:
        assert client.flush(10)
        client.close()
        assert numbers(collector.accepted) == list(range(50))


@pytest.mark.parametrize("code", [500, 502, 503, 429, 401, 403, 404, 302])
def test_sends_the_same_event_ids_again_after(code: int, collector: FakeCollector, queue: Path) -> None:
    collector.script = [status(code), status(code)]
    with open_client(collector.url, queue) as client:
        track_many(client, 3)
        wait_for(lambda: len(collector.accepted) == 3)
    ids = [{record["event_id"] for record in request} for request in collector.requests]
    assert ids[0] == ids[1] <= ids[2]
    assert numbers(collector.accepted) == [0, 1, 2]


def test_a_connection_cut_in_mid_answer_is_retried_under_the_same_ids(
    collector: FakeCollector, queue: Path
) -> None:
    collector.script = [accept_then_reset]
    with open_client(collector.url, queue) as client:
        track_many(client, 3)
        wait_for(lambda: len(collector.accepted) >= 6)
    assert collector.event_ids()[:3] == collector.event_ids()[3:]


def test_waits_as_long_as_retry_after_says(collector: FakeCollector, queue: Path) -> None:
    collector.script = [status(503, Retry_After="1")]
    with open_client(collector.url, queue) as client:
        track_many(client, 1)
        wait_for(lambda: len(collector.accepted) == 1)
    assert collector.times[1] - collector.times[0] >= 1.0  # a lower bound that the server asked for


def test_a_proxys_friendly_page_is_no_acknowledgement(collector: FakeCollector, queue: Path) -> None:
    collector.script = [friendly_page]
    with open_client(collector.url, queue) as client:
        track_many(client, 2)
        wait_for(lambda: len(collector.accepted) == 2)
    assert len(collector.requests) >= 2


def test_a_slow_server_is_given_up_and_asked_again(collector: FakeCollector, queue: Path) -> None:
    collector.script = [after(0.6, status(500))]
    with open_client(collector.url, queue, timeout_seconds=0.2) as client:
        track_many(client, 2)
        wait_for(lambda: len(collector.accepted) == 2)
    assert numbers(collector.accepted) == [0, 1]


def test_a_413_splits_the_batch_until_it_fits(collector: FakeCollector, queue: Path) -> None:
    collector.always = too_large_over(3)
    with open_client(collector.url, queue) as client:
        track_many(client, 20)
        assert client.flush(10)
    assert sorted(numbers(collector.accepted)) == list(range(20))


def test_a_record_that_is_too_large_alone_is_dropped_and_counted(
    collector: FakeCollector, queue: Path
) -> None:
    collector.script = [status(413)]
    with open_client(collector.url, queue) as client:
        track_many(client, 1)
        assert client.flush(10)
        track_many(client, 1)
        client.track("huge", {f"text_{number}": "x" * 16_000 for number in range(20)})
        assert client.flush(10)
        assert client.counters().dropped == {"too_large": 2}
    assert numbers(collector.accepted) == [0]


def test_a_401_keeps_the_data_and_is_logged_once(
    collector: FakeCollector, queue: Path, caplog: pytest.LogCaptureFixture
) -> None:
    collector.always = status(401)
    client = open_client(collector.url, queue)
    track_many(client, 5)
    wait_for(lambda: len(collector.requests) >= 3)
    client.close(0.1)
    assert stored_rows(queue) == 5
    assert sum("401" in message for message in caplog.messages) == 1
    assert "ff_wk_test" not in caplog.text


def test_a_request_the_server_cannot_read_costs_only_the_record_at_fault(
    collector: FakeCollector, queue: Path
) -> None:
    def refuse_number_two(fake: FakeCollector, records: list[dict[str, Any]], request: Any) -> None:
        respond = status(400) if 2 in numbers(records) else accept
        respond(fake, records, request)

    collector.always = refuse_number_two
    with open_client(collector.url, queue) as client:
        track_many(client, 5)
        assert client.flush(10)
        assert client.counters().dropped == {"refused": 1}
    assert numbers(collector.accepted) == [0, 1, 3, 4]


def test_rejections_are_counted_and_told_to_the_callback(collector: FakeCollector, queue: Path) -> None:
    told: list[tuple[Rejection, dict[str, Any]]] = []
    collector.script = [reject(1, "bad_name")]
    with open_client(collector.url, queue, on_rejection=lambda *verdict: told.append(verdict)) as client:
        track_many(client, 3)
        assert client.flush(10)
        assert client.counters().dropped == {"rejected": 1}
    ((rejection, record),) = told
    assert (rejection.reason, rejection.field) == ("bad_name", "event")
    assert record["properties"]["number"] == 1
    assert numbers(collector.accepted) == [0, 2]


def test_a_callback_that_raises_stops_nothing(collector: FakeCollector, queue: Path) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError("the host's own bug")

    collector.script = [reject(0, "bad_name")]
    with open_client(collector.url, queue, on_rejection=explode) as client:
        track_many(client, 3)
        assert client.flush(10)
        track_many(client, 1)
        assert client.flush(10)


@pytest.mark.parametrize("hours", [-2, 48])
def test_a_system_clock_that_is_set_meanwhile_changes_neither_order_nor_ids(
    hours: int, collector: FakeCollector, queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_time, set_by = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: true_time() + set_by[0])
    collector.script = [status(503), status(503)]
    with open_client(collector.url, queue) as client:
        track_many(client, 5)
        wait_for(lambda: collector.requests)
        set_by[0] = hours * 3600.0
        assert client.flush(10)
        track_many(client, 5)
        assert client.flush(10)
    first, last = collector.requests[0], collector.requests[-1]
    assert numbers(collector.accepted) == [*range(5)] * 2
    assert {record["event_id"] for record in first} <= set(collector.event_ids())
    assert len(set(collector.event_ids())) == 10
    assert round((last[0]["sent_at"] - first[0]["sent_at"]) / 3_600_000) == hours
    assert last[0]["sent_at"] >= last[0]["time"]  # by these the server tells a wrong clock


def test_events_after_close_are_dropped_and_counted(collector: FakeCollector, queue: Path) -> None:
    client = open_client(collector.url, queue)
    assert client.close()
    client.track("register")
    assert client.counters().dropped == {"closed": 1}
    assert client.flush(1)
    assert client.close()


@pytest.mark.parametrize("url", ["", "ftp://bank", "http://", "127.0.0.1:8106", "http://bank:port", None])
def test_a_wrong_address_raises_nothing_and_keeps_the_data(
    url: Any, queue: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = open_client(url, queue)
    track_many(client, 2)
    wait_for(lambda: "cannot post to" in caplog.text)
    wait_for(lambda: written(client) == 2)
    assert not client.flush(0.2)
    client.close(0.1)
    assert stored_rows(queue) == 2


@pytest.mark.parametrize("key", ["", None, "ff_wk_read from a file\n", "ff_wk_mit Ümlaut", b"ff_wk_bytes"])
def test_a_key_that_cannot_be_is_named_but_not_shown(
    key: Any, collector: FakeCollector, queue: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Client(collector.url, key, queue_directory=queue, exit_seconds=0.1, **FAST) as client:
        track_many(client, 2)
        wait_for(lambda: "there is no write key, or it has characters that none has" in caplog.text)
        wait_for(lambda: written(client) == 2)
        assert not client.flush(0.2)
    assert stored_rows(queue) == 2
    assert "ff_wk" not in caplog.text


def test_wrong_calls_raise_nothing_and_are_counted(
    collector: FakeCollector, queue: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_client(collector.url, queue) as client:
        wrong: Any = client
        wrong.track()
        wrong.track("register", 7)
        wrong.track("register", distinct_id=None)
        wrong.track("register", user="c")
        wrong.track("register", distinct_id=object())
        wrong.login("")
        wrong.login(client.anonymous_id)
        wrong.profile_set(None, nobody="c")
        wrong.identify([7])
        wrong.track("register", time="yesterday")
        assert client.counters().dropped == {"invalid": 10}
        client.track("register")
        assert client.flush(10)
    assert [r["event"] for r in collector.accepted if r["event"] != "$SDKReport"] == ["register"]
    for told in (
        "track: nothing was sent: TypeError: properties are a dict of names and values, not 7",
        "distinct_id is None: give an id, or none for the client's own identity",
        "no argument user; ids are distinct_id, anonymous_id, login_id",
        "time is a datetime or epoch milliseconds, not 'yesterday'",
    ):
        assert told in caplog.text


def test_ids_that_are_no_text_are_sent_as_their_text(collector: FakeCollector, queue: Path) -> None:
    card = UUID("12345678-1234-5678-1234-567812345678")
    with open_client(collector.url, queue) as client:
        client.track("a", login_id=42, anonymous_id=None)
        client.track("a", distinct_id=card, event_id=Decimal("7"))
        client.identify(5)
        client.login(777)
        client.track("a")
        assert client.flush(10)
        assert client.counters().dropped == {}
    first, second, signed_up, last = collector.accepted
    assert (first["distinct_id"], first["login_id"]) == ("42", "42")
    assert "anonymous_id" not in first
    assert (second["distinct_id"], second["event_id"]) == (str(card), "7")
    assert (signed_up["original_id"], signed_up["login_id"]) == ("5", "777")
    assert (last["distinct_id"], last["anonymous_id"]) == ("777", "5")


def test_threads_can_share_a_client(collector: FakeCollector, queue: Path) -> None:
    with open_client(collector.url, queue) as client:
        threads = [threading.Thread(target=track_many, args=(client, 500)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.flush(20)
    assert len(set(collector.event_ids())) == len(collector.accepted) == 4000
