"""Where a search begins: captured requests, one of everything that records can be; and words to try."""

from __future__ import annotations

import gzip
import json
from typing import Any

from footfall.events.faults import FIELD_TYPES, TYPES
from footfall.events.log_record import Header, Refusal, write_log_record
from footfall.events.names import HOISTED, RESERVED
from tests.captured import captured_requests
from tests.collector_worker import NOW, event

_IDS = {"$identity_login_id": "c1", "$identity_cookie_id": ["a", "b"]}
RECORDS: list[Any] = [
    event(),
    event(properties={"amount": 10.25, "n": 2**70, "ok": True, "l": ["a"], "none": None}),
    event(properties={"t": "2026-01-02 03:04:05.6", "t2": "2026-01-02 03:04:05"}),
    event(lib={"$lib": "python"}, properties={"at": "2024-01-02 03:04:05.6", "$is_login_id": True}),
    event(distinct_id="13800138000", properties={"t": "call 13800138000 or a@b.cn, 11010519491231002X"}),
    event(properties={"password": "x", "card": "6222021234567890128", "n": 13800138000}),
    event(type="track_signup", event="$SignUp", original_id="d1"),
    event(type="track_id_bind", identities=_IDS),
    event(type="track_id_unbind", identities={"$identity_cookie_id": "a"}),
    *({"type": f"profile_{kind}", "distinct_id": "u", "properties": value} for kind, value in {
        "set": {"a": 1}, "set_once": {"a": "x"}, "increment": {"n": 1.5}, "append": {"l": ["x"]},
        "unset": {"a": True}, "delete": {},
    }.items()),
    {"type": "item_set", "item_type": "fund", "item_id": "1", "properties": {"risk": "R3"}},
    {"type": "item_delete", "item_type": "fund", "item_id": "1", "properties": {}},
    event(_track_id=9828643549, _flush_time=NOW - 90_000, anonymous_id="a", login_id="l", project="open"),
    event(time="2026-11-21T22:53:10.252+08:00", sent_at="2026-11-21T22:53:10Z", event_id="e"),
    event(properties={"$project": "open", "$token": "t", "$time": NOW, "$url": "https://h/p?utm_source=s&x=%41"}),
    event(properties={"$latest_referrer": "url的domain解析失败", "event_duration": 1.5}),
    event(properties={"event_duration": 1.5, "$event_duration": 2}),
    event(event="AppCrashed", properties={"app_crashed_reason": "java.lang.X\n\tat a.b.C(D.java:1)\n"}),
    event(time_free=True, time=1, _hybrid_h5=True, is_instant_event=True),
    {"version": "2.0", "schema": "events", "event": "e", "properties": {"user_id": 1}},
    {"version": "2.0", "schema": "users", "type": "profile_set", "identities": _IDS, "properties": {"a": 1}},
    {"version": "2.0", "schema": "fund", "type": "item_set", "id": "1", "properties": {"a": 0.1}},
    {"version": "2.0", "schema": "line", "type": "detail_set", "id": "1", "properties": {}},
    {"ekey": "QUJD", "pkv": 1, "flush_time": NOW, "payloads": ["QUJD"]},
    {"key_id": 7, "key_hash": "h", "nc": 1, "payload": "QUJD"},
]  # fmt: skip
ODD: list[bytes] = [
    b"", b"[]", b"{}", b"null", b'"x"', b"[1,2]", b"[{}", b'{"a":NaN}',
    b"\xef\xbb\xbf[]", b"[" * 40 + b"]" * 40,
    b'{"events":[]}', b'{"event":"a","distinct_id":"\\ud800"}', b'{"event":"\xff"}', b"[{},]",
    b'{"event":"a","distinct_id":"u","properties":{"x":1e-99999999999999999999}}',
    b'{"event":"a","distinct_id":"u","properties":{"x":' + b"9" * 400 + b"}}",
]  # fmt: skip


def texts() -> list[bytes]:
    """Bodies as JSON."""
    singles = [json.dumps(record, ensure_ascii=False).encode() for record in RECORDS]
    together = [
        b"[" + b",".join(singles) + b"]",
        b"\n".join(singles),
        b'{"events":[' + b",".join(singles[:3]) + b"]}",
    ]
    return [*singles, *together, *ODD]


def seeds_of(target: str) -> list[bytes]:
    """What a target is shown first."""
    forms = [
        request.body or request.request.split(b" ")[1].partition(b"?")[2] for request in captured_requests()
    ]
    if target == "native":
        return [bytes([kind]) + text for kind in (0, 0x81, 0x82) for text in texts()]
    if target == "sensors":
        return [bytes([kind]) + text for kind in (0, 1, 16, 0x0C, 0x1C) for text in texts()]
    if target == "encrypted":
        return [bytes([kind]) + text for kind in (0x41, 0x05, 0x15, 0x48, 0x0C, 0x42) for text in texts()]
    if target == "forms":
        return [b"\x00\x20\n" + form for form in forms] + [b"\x01\x21" + form for form in forms[:6]]
    if target == "polls":
        callback = b"callbackName=saJSSDKVtrackCollectConfig"
        return [
            bytes([n]) + text for n in range(6) for text in (b"", b"v=3&nv=3&project=bank&app_id=a", callback)
        ]
    if target in ("batches", "judging"):
        return texts()
    if target == "envelopes":
        return forms
    if target == "bombs":
        return [gzip.compress(b"x" * size) for size in (0, 10, 99_999, 1_000_000)] + [b"\x1f\x8b", b""]
    if target == "log_records":
        return _log_records()
    if target == "query_bodies":
        return [
            *texts(),
            b'{"steps":[{"event":"a"}],"window":{"value":1.5,"unit":"day"}}',
            b"1e999",
            b"9" * 500,
        ]
    return _plans() if target == "plans" else _fixes()


def _plans() -> list[bytes]:
    whole = b"""mode: report
unknown_events: refuse
common_properties:
  $app_version: {type: string}
events:
  buy:
    owner: funds
    grade: C2
    description: {zh: "\xe4\xb9\xb0", en: buy}
    properties:
      amount: {type: decimal, required: true, grade: C2}
      level: {type: string, allowed: [gold, "1"]}
      n: {type: number, allowed: [1, 2.5]}
user_properties:
  level: {type: string}
"""
    return [
        whole,
        b"mode: off\n",
        b"",
        b"mode: on",
        b"a: &a [*a]",
        b"events: {buy: {}}\n",
        b"- 1",
        b"\xff",
        b"{" * 30,
    ]


def _log_records() -> list[bytes]:
    header = Header(
        "p", "native", NOW, 2, ["0" * 32, ""], [Refusal(1, "unreadable", "", "m")], "1.2.3.4", "ua"
    )
    text = json.dumps(RECORDS[0]).encode()
    good = write_log_record(header, b"[" + text + b',"eA=="]')
    return [good, good[:-1], good.replace(b'"count":2', b'"count":3'), b"", b"\n", b"{}\n[]"]


def _fixes() -> list[bytes]:
    record = json.dumps(RECORDS[0]).encode()
    programs = [
        b"set /event = \"buy\"", b"delete /x", b"set /properties/n = number(/properties/n); delete /a~1b",
        b"set /a = concat(lower(/event), \"x\")", b"", b"set", b"\"", b"set /event = upper(",
    ]  # fmt: skip
    return [program + b"\n" + record for program in programs]


def dictionary() -> list[bytes]:
    """Words that records are made of, for a fuzzer to put where it likes."""
    words = [*FIELD_TYPES, *TYPES, *RESERVED, *HOISTED, "schema", "version", "events", "users", "detail_set"]
    words += [
        "ekey",
        "pkv",
        "payload",
        "payloads",
        "flush_time",
        "key_id",
        "$lib",
        "python",
        "2.0",
        "id",
        "user_id",
    ]
    words += ["$identity_login_id", "$url", "$latest_referrer", "event_duration", "$event_duration"]
    quoted = [json.dumps(word).encode() for word in words]
    values = [
        str(NOW).encode(),
        b"1e400",
        b"-0",
        b"NaN",
        b"1e-99999999999999999999",
        b"\\ud800",
        b"\\u0000",
        b"[[[[",
    ]
    fields = [
        b"data=",
        b"data_list=",
        b"gzip=1",
        b"gzip=9",
        b"gzip=13",
        b"&crc=",
        b"ext=crc%3D",
        b"info_id=",
        b"%",
    ]
    return [*quoted, *values, *fields, b'":{', b'":[', b"},{", b'"properties":{']
