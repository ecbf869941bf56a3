"""What Sensors Analytics' SDKs do in their own way, each sent at /sa and looked at where it rests."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from footfall.workspace import Project
from tests.collector_worker import NOW, Worker, converse, wrapped
from tests.system import System

PYTHON = {"$lib": "python", "$lib_version": "1.11.0", "$lib_method": "code"}
JS = {"$lib": "js", "$lib_version": "1.26.17", "$lib_method": "code"}


def track(**fields: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "buy",
        "distinct_id": "u1",
        "time": NOW,
        "properties": {},
        "lib": JS,
    } | fields


async def stored(system: System, *records: dict[str, Any], subject: str = "events") -> list[dict[str, Any]]:
    """What an export has of records that an SDK sent, in the order of their events' names."""
    system.clock.freeze(NOW)
    write_key = system.create_project(Project("quirks"))
    url = f"/sa?project=quirks&token={write_key}"
    answer = await system.collector.post(url, content=b"data_list=" + wrapped(list(records)))
    assert answer.status_code == 200
    await system.settle()
    export = await system.query_api.get(f"/api/v1/projects/quirks/export?subject={subject}")
    assert export.status_code == 200, export.text
    rows = [json.loads(line) for line in export.text.splitlines()]
    return sorted(rows, key=lambda row: row.get("event", ""))


async def properties(system: System, record: dict[str, Any]) -> dict[str, Any]:
    (row,) = await stored(system, record)
    return dict(row["properties"])


async def test_python_s_milliseconds_have_no_leading_zeros(system: System) -> None:
    times = {"a": "2024-01-02 03:04:05.6", "b": "2024-01-02 03:04:05.60", "c": "2024-01-02 03:04:05.600"}
    kept = await properties(system, track(lib=PYTHON, properties=times))
    assert [kept[name] for name in "abc"] == [
        "2024-01-02 03:04:05.006",
        "2024-01-02 03:04:05.060",
        "2024-01-02 03:04:05.600",
    ]


async def test_everybody_else_s_fractions_are_fractions(system: System) -> None:
    kept = await properties(system, track(properties={"a": "2024-01-02 03:04:05.6"}))
    assert kept["a"] == "2024-01-02 03:04:05.600"


async def test_words_for_what_could_not_be_told_are_no_values(system: System) -> None:
    words = ["url的domain解析失败", "未取到值_直接打开", "直接打开", "未取到", "未取到值"]
    told = {f"$latest_{number}": word for number, word in enumerate(words)}
    told |= {"$latest_traffic_source_type": "直接流量", "own": "未取到"}
    kept = await properties(system, track(properties=told))
    assert not [name for name in kept if name.removeprefix("$latest_").isdigit()]
    assert kept["$latest_traffic_source_type"] == "直接流量", "direct is a kind of traffic"
    assert kept["own"] == "未取到", "in a property of the customer's it may mean something"


async def test_a_duration_has_one_name(system: System) -> None:
    sent = [{"event_duration": 12.345}, {"$event_duration": 12.345}]
    rows = await stored(system, *(track(event=f"e{n}", properties=each) for n, each in enumerate(sent)))
    assert [row["properties"]["event_duration"] for row in rows] == [12.345, 12.345]
    assert not [row for row in rows if "$event_duration" in row["properties"]]


async def test_track_ids_beyond_32_bits_tell_events_apart(system: System) -> None:
    ids = [9_828_643_549, 9_828_643_549 - (1 << 32), 9_828_643_549]
    rows = await stored(system, *(track(_track_id=each, event=f"e{n}") for n, each in enumerate(ids)))
    assert len(rows) == 3
    system_total = await system.ledger("quirks")
    assert (system_total["stored"], system_total["duplicate"]) == (3, 0)


async def test_the_same_track_id_sent_again_later_is_the_same_event(system: System) -> None:
    first = track(_track_id=9_828_643_549, _flush_time=NOW - 5)
    assert len(await stored(system, first, first | {"_flush_time": NOW})) == 1


async def test_numbers_beyond_32_and_64_bits_keep_every_digit(system: System) -> None:
    numbers = {"a": 2**31, "b": 2**53 + 1, "c": 2**63 - 1, "d": 2**70}
    kept = await properties(system, track(properties=numbers))
    assert [int(kept[name]) for name in "abcd"] == list(numbers.values())


async def test_is_login_id_tells_whose_it_is_and_is_no_property(system: System) -> None:
    (row,) = await stored(
        system, track(lib=PYTHON, distinct_id="cust-1", properties={"$is_login_id": True, "n": 1})
    )
    assert row["properties"].keys() & {"$is_login_id"} == set()
    assert row["distinct_id"] == "cust-1"


async def test_login_with_a_key_makes_an_id_with_a_plus_in_it(system: System) -> None:
    """The plus is escaped twice over on its way; it must arrive as one, in the id as in the data's base64."""
    identities = {"$identity_mobile": "138+1"}
    (row,) = await stored(system, track(distinct_id="$identity_mobile+138+1", identities=identities))
    assert row["distinct_id"] == "$identity_mobile+138+1"
    person = await system.query_api.get(f"/api/v1/users/{quote('$identity_mobile+138+1')}?project=quirks")
    assert person.status_code == 200


async def test_what_a_page_in_an_app_says_about_itself_is_let_pass(system: System) -> None:
    (row,) = await stored(system, track(_hybrid_h5=True, is_instant_event=True, _nocache="1", server_url="x"))
    assert row["event"] == "buy"


async def test_project_token_and_time_among_the_properties_speak_about_the_record(system: System) -> None:
    write_key = system.create_project(Project("other"))
    hoisted = {"$project": "other", "$token": write_key, "$time": NOW - 1_000, "n": 1}
    await stored(system, track(properties=hoisted))
    export = await system.query_api.get("/api/v1/projects/other/export")
    (row,) = [json.loads(line) for line in export.text.splitlines()]
    assert row["properties"].keys() >= {"n"}
    assert not row["properties"].keys() & {"$project", "$token", "$time"}
    ((time,),) = system.rows("SELECT toUnixTimestamp64Milli(time) FROM events WHERE project = 'other'")
    assert time == NOW - 1_000


async def test_an_item_is_deleted_with_empty_properties_or_none(system: System) -> None:
    items = [{"item_type": "fund", "item_id": item_id, "lib": JS} for item_id in "123"]
    fresh = [{**item, "type": "item_set", "time": NOW, "properties": {"risk": "R3"}} for item in items]
    gone = {"type": "item_delete", "time": NOW + 1}
    rows = await stored(
        system, *fresh, {**items[0], **gone, "properties": {}}, {**items[1], **gone}, subject="items"
    )
    assert [row["item_id"] for row in rows if row["type"] == "item_set"] == ["3"]
    assert (await system.ledger("quirks"))["rejected"] == {}


async def test_an_unbinding_carries_nothing_but_the_key_that_goes(system: System) -> None:
    unbind = {
        "type": "track_id_unbind",
        "event": "$UnbindID",
        "distinct_id": "$identity_mobile+13800000000",
        "identities": {"$identity_mobile": "13800000000"},
        "time": NOW,
        "properties": {"$lib": "python"},
        "lib": PYTHON,
    }
    (row,) = await stored(system, unbind)
    assert (row["type"], row["event"]) == ("track_id_unbind", "$UnbindID")


async def test_times_have_10_to_13_digits(system: System) -> None:
    expected = {
        NOW // 1000: NOW // 1000 * 1000,  # 10 digits: seconds
        99_999_999_999: 99_999_999_999,  # 11 to 13: milliseconds
        100_000_000_000: 100_000_000_000,
        NOW: NOW,
    }
    await stored(system, *(track(time=each, time_free=True) for each in expected))
    rows = system.rows("SELECT toUnixTimestamp64Milli(time) FROM events WHERE project = 'quirks'")
    assert sorted(time for (time,) in rows) == sorted(expected.values())


@pytest.mark.parametrize("size", [3_400, 16 * 1024, 48 * 1024])
def test_a_query_string_may_be_as_long_as_an_event(size: int) -> None:
    worker = Worker()
    data = wrapped(track(properties={"text": "基" * (size // 8)}))
    request = b"GET /sa.gif?project=open&data=" + data + b" HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n"
    assert len(request) > size
    with worker.listening() as port:
        answer = converse(port, request)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert len(worker.stored()) == 1


@pytest.mark.parametrize("path", ["/sa", "/sa?", "/x/sa?", "/sa.gif?", "/a/b/sa.gif", "/debug?", "/x/debug"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_every_path_takes_every_method_at_any_prefix(path: str, method: str) -> None:
    worker = Worker()
    data = b"data=" + wrapped(track(project="open"))
    async with worker.client() as client:
        if method == "POST":
            answer = await client.request(method, path, content=data)
        else:
            url = f"{path}{'' if path.endswith('?') else '?'}{data.decode()}"
            answer = await client.request(method, url)
    assert answer.status_code == 200
    assert [each.plain[0]["event"] for each in worker.stored()] == ["buy"]


async def test_a_phone_chosen_by_qr_code_says_so_and_its_events_come_all_the_same() -> None:
    worker = Worker()
    url = "/debug?project=open&info_id=abc"
    chosen = await worker.post(url, b'{"distinct_id":"u1"}', headers={"Content-Type": "text/plain"})
    assert (chosen.status_code, chosen.content) == (200, b"")
    assert not worker.stored()
    sent = await worker.post(url, b"data=" + wrapped(track()))
    assert (sent.status_code, sent.json()) == (200, {})
    assert len(worker.stored()) == 1


@pytest.mark.parametrize("header", [None, "false", "1", ""])
async def test_web_debug_stores_unless_it_says_exactly_true(header: str | None) -> None:
    worker = Worker()
    headers = {} if header is None else {"Dry-Run": header}
    query = f"project=open&data={wrapped(track()).decode()}&ext=crc%3D5"
    answer = await worker.get(f"/debug?{query}", headers=headers)
    assert (answer.status_code, answer.json()) == (200, {})
    assert len(worker.stored()) == 1
    dry = await worker.get(f"/debug?{query}", headers={"Dry-Run": "true"})
    assert (dry.status_code, dry.json()) == (200, {})
    assert len(worker.stored()) == 1


async def test_validation_says_of_every_record_what_would_become_of_it() -> None:
    worker = Worker()
    answer = await worker.post(
        "/v1/validate?key=wk-default", [{"event": "a", "distinct_id": "u"}, {"event": "1"}]
    )
    assert answer.json()["accepted"] == 1
    assert [each["index"] for each in answer.json()["rejected"]] == [1]
    assert not worker.stored()


@pytest.mark.parametrize(
    "path", ["/slink/config/query", "/api/sdk/channel_tool/url", "/api/v2/abtest/online/results"]
)
async def test_what_belongs_to_other_products_is_not_here(path: str) -> None:
    worker = Worker()
    assert (await worker.get(path)).status_code == 404
    assert (await worker.post(path, {})).status_code == 404
