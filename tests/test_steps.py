"""Each step of the pipeline by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.events.log_record import Header
from footfall.events.record import Record, event_time
from processor.event_block import EventBlock, Request, Rows, build_block, transpose
from processor.pipeline import EVENT_STEPS
from processor.steps.correct_clock import correct_clock
from processor.steps.drop_hoisted import drop_hoisted
from processor.steps.drop_sentinels import drop_sentinels
from processor.steps.put_channel import put_channel
from processor.steps.put_country import put_country
from processor.steps.put_identities import put_identities
from processor.steps.put_lib import put_lib
from processor.steps.put_python_datetimes import put_python_datetimes
from processor.steps.put_referrer import put_referrer
from processor.steps.put_url import put_url
from processor.steps.put_user_agent import put_user_agent
from processor.steps.stamp_person import stamp_person
from processor.steps.type_properties import type_properties
from processor.values import type_of
from tests.processor_world import CHROME, NOON

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/16.5 Mobile/15E148 Safari/604.1"
)
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def block(
    *properties: Mapping[str, Any],
    records: Sequence[Record] | None = None,
    headers: Sequence[Header] = (),
    source: str = "event",
    **header: Any,
) -> EventBlock:
    """Events with these properties, in one request unless headers are given: then one event each."""
    records = records or [Record(event="view", time=NOON, properties=dict(each)) for each in properties]
    whole = Header(
        **({"project": "p", "door": "native", "received_at": NOON} | header), count=0, event_ids=[]
    )
    count = len(records)
    rows = Rows(
        records=list(records),
        request_of=list(range(count)) if headers else [0] * count,
        seq=list(range(count)),
        event_ids=[bytes([n]) * 16 for n in range(count)],
        id_keys=list(range(1, count + 1)),
    )
    return build_block([Request(each, 0, n) for n, each in enumerate(headers or [whole])], rows, source)


def properties_of(block: EventBlock) -> list[dict[str, Any]]:
    """Back to a dict an event."""
    found: list[dict[str, Any]] = [{} for _ in block.records]
    for name, sparse in block.properties.items():
        for row, value in zip(sparse.rows.tolist(), sparse.values, strict=True):
            assert name not in found[row]
            found[row][name] = value
    return found


dicts = st.lists(
    st.dictionaries(st.sampled_from("abc"), st.one_of(st.none(), st.integers(), st.text(max_size=2))),
    max_size=8,
)


@given(dicts)
def test_transposing_loses_nothing_but_nulls(told: list[dict[str, Any]]) -> None:
    found: list[dict[str, Any]] = [{} for _ in told]
    for name, sparse in transpose(told).items():
        for row, value in zip(sparse.rows.tolist(), sparse.values, strict=True):
            found[row][name] = value
    assert found == [{k: v for k, v in each.items() if v is not None} for each in told]


def test_no_step_replaces_what_the_client_sent() -> None:
    sent = {
        "$os": "own", "$browser": "own", "$model": "own", "$device_type": "own", "$is_bot": True,
        "$url_host": "own",
        "$url_path": "own", "$utm_source": "own", "$referrer_host": "own", "$traffic_source_type": "own",
        "$channel": "own", "$country": "own", "$lib": "own", "$url": "https://bank.example/?utm_source=x",
        "$referrer": "https://www.baidu.com/",
    }  # fmt: skip
    told = block(sent, user_agent=IPHONE, ip="8.8.8.8")
    for step in EVENT_STEPS[:-1]:
        told = step(told)
    assert properties_of(told) == [sent]


def test_every_step_takes_a_block_in_which_nothing_is_known() -> None:
    told = block({}, {})
    for step in EVENT_STEPS:
        told = step(told)
    assert told.typed.tail == []


# correct_clock


def test_a_wrong_device_clock_is_corrected_and_its_time_kept() -> None:
    slow = Record(time=NOON - 500_000, flush_time=NOON - 120_000)
    fine = Record(time=NOON - 500_000, flush_time=NOON - 50_000)
    told = correct_clock(block(records=[slow, fine, Record(time=NOON - 7)]))
    assert told.times.tolist() == [NOON - 380_000, NOON - 500_000, NOON - 7]
    assert properties_of(told) == [{"$original_time": NOON - 500_000}, {}, {}]


def test_clocks_of_imports_are_left_alone() -> None:
    told = correct_clock(
        block(records=[Record(time=NOON - 500_000, flush_time=NOON - 120_000)], door="import")
    )
    assert told.times.tolist() == [NOON - 500_000]


times = st.one_of(
    st.none(),
    st.integers(NOON - 200_000, NOON + 200_000),
    st.integers(NOON // 1000, NOON // 1000 + 5),
    st.just("2026-11-22T05:33:10.252+08:00"),
)
records = st.builds(
    Record,
    time=times,
    flush_time=times,
    sent_at=times,
    properties=st.one_of(st.just({}), st.fixed_dictionaries({"$time": st.just(NOON - 9)})),
)


@given(st.lists(records, min_size=1, max_size=4), st.sampled_from(["native", "sensors", "import"]))
def test_the_quick_way_to_correct_clocks_is_the_doors_way(told: list[Record], door: str) -> None:
    expected = [event_time(record, NOON, network=door != "import").time for record in told]
    assert correct_clock(block(records=told, door=door)).times.tolist() == expected


# drop_hoisted, put_lib, put_identities


def test_properties_about_the_record_are_not_stored() -> None:
    told = block({"$project": "x", "$token": "t", "$time": NOON, "$is_login_id": True, "kept": 1})
    assert properties_of(drop_hoisted(told)) == [{"kept": 1}]


def test_a_duration_has_one_name() -> None:
    told = block({"$event_duration": Decimal("1.5")}, {"event_duration": 2, "$event_duration": 3})
    assert properties_of(drop_hoisted(told)) == [{"event_duration": Decimal("1.5")}, {"event_duration": 2}]


def test_what_the_sdk_says_of_itself_becomes_properties() -> None:
    lib = {"$lib": "js", "$lib_version": "1.2", "$lib_detail": "", "other": "x", "$lib_method": 3}
    told = block(records=[Record(lib=lib, properties={"$lib": "own"}), Record(lib=None)])
    assert properties_of(put_lib(told)) == [{"$lib": "own", "$lib_version": "1.2"}, {}]


def test_identities_become_properties_unless_a_column_has_them() -> None:
    identities = {"$identity_cookie_id": "c1", "$identity_login_id": "lin", "$identity_mobile": "138"}
    told = block(records=[Record(distinct_id="c1", login_id="lin", identities=identities)])
    assert properties_of(put_identities(told)) == [{"$identity_mobile": "138"}]


def test_identities_that_are_lists_become_properties_too() -> None:
    identities = {
        "$identity_cookie_id": ["c1", "c2"],
        "$identity_mobile": ["138", "139"],
        "$identity_x": ["c1"],
    }
    told = block(records=[Record(distinct_id="c1", identities=identities)])
    expected = [{"$identity_cookie_id": "c2", "$identity_mobile": ["138", "139"]}]
    assert properties_of(put_identities(told)) == expected


# put_python_datetimes, drop_sentinels


def test_unpadded_milliseconds_of_the_python_sdk_are_padded() -> None:
    told = block(
        {"$lib": "python", "at": "2024-01-02 03:04:05.6", "n": 1},
        {"$lib": "js", "at": "2024-01-02 03:04:05.6"},
        {"$lib": "python", "at": "2024-01-02 03:04:05.123"},
        {"$lib": "python", "at": "2024-01-02 03:04:05.45"},
        {"$lib": "python", "at": "no time at all: 21 c.6"},
    )
    assert [each["at"][-7:] for each in properties_of(put_python_datetimes(told))] == [
        ":05.006", "04:05.6", ":05.123", ":05.045", "21 c.6"[-7:].rjust(7),
    ]  # fmt: skip


def test_profile_records_tell_the_python_sdk_by_their_lib() -> None:
    record = Record(lib={"$lib": "python"}, properties={"at": "2024-01-02 03:04:05.6"})
    told = put_python_datetimes(block(records=[record], source="user"))
    assert properties_of(told) == [{"at": "2024-01-02 03:04:05.006"}]


def test_sentinels_mean_that_a_preset_property_is_missing() -> None:
    told = block({
        "$latest_referrer_host": "url的domain解析失败",
        "$latest_search_keyword": "未取到值_直接打开",
        "$latest_traffic_source_type": "直接流量",
        "$first_referrer": "取值异常",
        "note": "取值异常",
    })  # fmt: skip
    assert properties_of(drop_sentinels(told)) == [
        {"$latest_traffic_source_type": "直接流量", "note": "取值异常"}
    ]


# put_user_agent


def test_a_browser_is_told_from_its_user_agent() -> None:
    told = put_user_agent(block({}, user_agent=CHROME))
    assert properties_of(told) == [{
        "$browser": "Chrome", "$browser_version": "120.0", "$os": "Windows", "$os_version": "10",
        "$device_type": "desktop", "$is_bot": False,
    }]  # fmt: skip


def test_a_phone_has_a_model() -> None:
    [found] = properties_of(put_user_agent(block({}, user_agent=IPHONE)))
    assert (found["$os"], found["$os_version"], found["$model"], found["$device_type"]) == (
        "iOS", "16.5", "iPhone", "mobile",
    )  # fmt: skip


def test_a_sent_system_gets_no_derived_version() -> None:
    [found] = properties_of(put_user_agent(block({"$os": "HarmonyOS"}, user_agent=IPHONE)))
    assert found["$os"] == "HarmonyOS"
    assert "$os_version" not in found


def test_a_robot_is_marked() -> None:
    [found] = properties_of(put_user_agent(block({}, user_agent=GOOGLEBOT)))
    assert found["$is_bot"] is True
    assert "$model" not in found


@pytest.mark.parametrize("agent", ["", "SensorsAnalytics iOS SDK", "Python-urllib/3.11", "okhttp/4.9"])
def test_an_sdks_user_agent_says_nothing_of_the_device(agent: str) -> None:
    assert properties_of(put_user_agent(block({}, user_agent=agent))) == [{}]


def test_each_request_has_its_own_user_agent() -> None:
    headers = [Header("p", "native", NOON, 1, [], user_agent=agent) for agent in (IPHONE, "", CHROME)]
    told = put_user_agent(block({}, {}, {}, headers=headers))
    assert [each.get("$os") for each in properties_of(told)] == ["iOS", None, "Windows"]


# put_url, put_referrer, put_channel


def test_an_address_gives_host_path_and_campaign() -> None:
    url = "https://Bank.example:8443/fund/7?utm_source=wechat&utm_medium=&utm_campaign=%E6%98%A5&x=1"
    assert properties_of(put_url(block({"$url": url}))) == [{
        "$url": url, "$url_host": "bank.example", "$url_path": "/fund/7", "$utm_source": "wechat",
        "$utm_campaign": "春",
    }]  # fmt: skip


def test_a_campaign_behind_the_hash_counts() -> None:
    [found] = properties_of(put_url(block({"$url": "https://b.cn/#/home?utm_source=sms"})))
    assert (found["$url_path"], found["$utm_source"]) == ("/", "sms")


@pytest.mark.parametrize("url", ["com.bank.MainActivity", "", "http://[", "mailto:a@b.cn", 7, ["x"]])
def test_what_is_no_web_address_gives_nothing(url: Any) -> None:
    assert properties_of(put_url(block({"$url": url}))) == [{"$url": url}]


def test_a_referrer_gives_its_host() -> None:
    told = put_referrer(block({"$referrer": "https://www.baidu.com/s?wd=x"}, {"$referrer": ""}))
    assert [each.get("$referrer_host") for each in properties_of(told)] == ["www.baidu.com", None]


@pytest.mark.parametrize(
    ("url", "referrer", "source", "channel"),
    [
        ("https://b.cn/", "", "直接流量", "direct"),
        ("https://b.cn/?utm_source=app", "", "付费广告流量", "app"),
        ("https://b.cn/?utm_medium=cpc", "https://www.baidu.com/", "付费广告流量", "cpc"),
        ("https://b.cn/", "https://m.baidu.com/x", "自然搜索流量", "baidu"),
        ("https://b.cn/", "https://tieba.baidu.com/x", "社交网站流量", "tieba"),
        ("https://b.cn/", "https://mp.weixin.qq.com/x", "社交网站流量", "wechat"),
        ("https://b.cn/", "https://other.cn/x", "引荐流量", "other.cn"),
        ("https://b.cn/", "https://b.cn/home", None, None),
        ("com.bank.Main", "", None, None),
        ("https://b.cn/", None, None, None),
    ],
)
def test_where_a_visitor_came_from(
    url: str, referrer: str | None, source: str | None, channel: str | None
) -> None:
    told = put_channel(put_referrer(put_url(block({"$url": url, "$referrer": referrer}))))
    [found] = properties_of(told)
    assert (found.get("$traffic_source_type"), found.get("$channel")) == (source, channel)


# put_country


def test_an_address_gives_the_country_and_is_not_kept() -> None:
    told = put_country(block({}, {"$ip": "114.114.114.114"}, {"$lib": "Java"}, ip="8.8.8.8"))
    assert properties_of(told) == [{"$country": "US"}, {"$country": "CN"}, {"$lib": "Java"}]


def test_a_private_address_gives_no_country() -> None:
    assert properties_of(put_country(block({"$ip": "not an address"}, ip="10.0.0.1"))) == [{}]


# stamp_person


def test_events_are_stamped_with_the_person_known() -> None:
    told = stamp_person(replace(block({}, {}), persons={2: 99}))
    assert told.user_keys is not None
    assert told.user_keys.tolist() == [1, 99]


# type_properties


def tail_of(told: EventBlock) -> list[tuple[str, list[tuple[int, str]]]]:
    return sorted(
        (name, sorted(zip(sparse.rows.tolist(), sparse.values, strict=True)))
        for name, sparse in told.typed.tail
    )


def types_of(told: EventBlock) -> dict[str, str]:
    return {row.property: row.type for row in told.typed.first_seen}


def test_the_first_value_decides_a_propertys_type() -> None:
    told = type_properties(
        block({"s": "x", "n": 1, "b": True, "l": ["a"], "d": "2026-01-31 08:00:00", "f": Decimal("1.50")})
    )
    assert types_of(told) == {
        "s": "string", "n": "number", "b": "boolean", "l": "list", "d": "datetime", "f": "number",
    }  # fmt: skip
    assert tail_of(told) == [
        ("b", [(0, "true")]),
        ("d", [(0, "2026-01-31 08:00:00.000")]),
        ("f", [(0, "1.50")]),
        ("l", [(0, '["a"]')]),
        ("n", [(0, "1")]),
        ("s", [(0, "x")]),
    ]


def test_a_value_of_another_type_is_kept_as_text_and_counted() -> None:
    told = type_properties(block({"n": 1}, {"n": "one"}, {"n": True}, {"n": Decimal("2.0")}))
    assert tail_of(told) == [("n", [(0, "1"), (3, "2.0")]), ("n", [(1, "one"), (2, "true")])]
    assert told.typed.conflicts == {("p", "n", "string"): 1, ("p", "n", "boolean"): 1}


def test_a_known_type_holds_for_first_values_too() -> None:
    told = replace(block({"n": "one"}), known_types={("p", "event"): {"n": "number"}})
    told = type_properties(told)
    assert told.typed.first_seen == []
    assert told.typed.conflicts == {("p", "n", "string"): 1}


def test_types_are_a_projects_own() -> None:
    headers = [Header(project, "native", NOON, 1, []) for project in ("p", "q", "p")]
    told = type_properties(block({"x": 1}, {"x": "one"}, {"x": "two"}, headers=headers))
    assert {(row.project, row.type) for row in told.typed.first_seen} == {("p", "number"), ("q", "string")}
    assert told.typed.conflicts == {("p", "x", "string"): 1}


def test_money_is_exact_and_what_cannot_be_is_text() -> None:
    exact = Decimal("12345678901234567890.123456")
    told = type_properties(
        block({"amount": exact}, {"amount": 5}, {"amount": Decimal("0.1234567")}, {"amount": "5"})
    )
    assert types_of(told) == {"amount": "decimal"}
    sparse = told.typed.columns["amount"]
    assert dict(zip(sparse.rows.tolist(), sparse.values, strict=True)) == {0: exact, 1: Decimal(5)}
    assert tail_of(told) == [("amount", [(2, "0.1234567"), (3, "5")])]
    assert told.typed.conflicts == {("p", "amount", "number"): 1, ("p", "amount", "string"): 1}


def test_integers_beyond_64_bits_are_never_rounded() -> None:
    told = type_properties(block({"n": 1, "big": 2**70}, {"n": 2**64}, {"n": 2**64 - 1, "big": 2**80}))
    assert types_of(told) == {"n": "number", "big": "string"}
    assert told.typed.conflicts == {("p", "n", "string"): 1}
    assert ("n", [(1, str(2**64))]) in tail_of(told)
    assert ("big", [(0, str(2**70)), (2, str(2**80))]) in tail_of(told)


def test_an_integer_that_a_float_column_would_round_is_text() -> None:
    told = type_properties(block({"event_duration": 2**53 + 1}, {"event_duration": Decimal("1.5")}))
    assert list(told.typed.columns["event_duration"].values) == [1.5]
    assert tail_of(told) == [("event_duration", [(0, str(2**53 + 1))])]


def test_a_text_that_looks_like_a_time_fits_a_text_property() -> None:
    told = type_properties(block({"s": "x"}, {"s": "2026-01-31 08:00:00"}))
    assert told.typed.conflicts == {}
    assert tail_of(told) == [("s", [(0, "x"), (1, "2026-01-31 08:00:00")])]


def test_a_users_property_is_another_than_an_events() -> None:
    told = type_properties(block({"amount": "much"}, source="user"))
    assert [(row.source, row.type) for row in told.typed.first_seen] == [("user", "string")]


def test_a_day_that_no_calendar_has_is_a_text() -> None:
    assert [type_of(text) for text in ("2026-02-28 08:00:00", "2026-02-30 08:00:00")] == [
        "datetime",
        "string",
    ]
