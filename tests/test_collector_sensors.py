"""The Sensors door: wrappings, the answer matrix, projects and tokens, debug mode."""

from __future__ import annotations

import base64
import gzip
import json
from urllib.parse import quote

import pytest

from collector.envelopes import java_hash
from collector.options import CollectorOptions
from footfall.events.limits import BodyLimits
from tests.collector_worker import NOW, Worker, event, wrapped

RECORD = event(properties={"name": "基金>>>???"})  # its base64 has + and /
TEXT = json.dumps(RECORD, ensure_ascii=False).encode()
BASE64 = base64.b64encode(TEXT)
assert b"+" in BASE64 or b"/" in BASE64


async def stores(body: bytes, **headers: str) -> Worker:
    """A worker that got this body."""
    worker = Worker()
    answer = await worker.post("/sa?project=open", body, headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")
    return worker


def percent(text: bytes) -> bytes:
    return quote(text, safe="").encode()


@pytest.mark.parametrize(
    "body",
    [
        b"data=" + percent(BASE64),
        b"data=" + BASE64,
        b"data_list=" + percent(base64.b64encode(b"[" + TEXT + b"]")),
        b"data=" + percent(BASE64).replace(b"%2B", b"+"),
        b"data=" + BASE64.replace(b"+", b" "),
        b"data=" + BASE64.replace(b"+", b"%20"),
        b"data=" + BASE64.rstrip(b"="),
        b"data=" + BASE64.replace(b"+", b"-").replace(b"/", b"_").rstrip(b"="),
        b"gzip=1&data=" + percent(base64.b64encode(gzip.compress(TEXT))) + b"&crc=5",
        b"data=" + percent(base64.b64encode(gzip.compress(TEXT))),
        b"gzip=1&data=" + percent(BASE64),
        b"gzip=0&data=" + percent(BASE64) + b"&instant_event=true&sink_name=mirror",
        b"data=" + percent(TEXT),
        b"data=" + percent(BASE64) + b"\r\n",
        b"data=" + percent(BASE64[:20]) + b"%0A" + percent(BASE64[20:]),
    ],
)
async def test_unwraps_whatever_sdks_and_proxies_make_of_a_record(body):
    worker = await stores(body)
    (stored,) = worker.stored()
    assert stored.plain == [RECORD]
    assert (stored.header.project, stored.header.door, stored.reasons) == ("open", "sensors", [])


@pytest.mark.parametrize(
    "content_type", ["", "text/plain;charset=UTF-8", "application/json", "multipart/form-data; boundary=x"]
)
async def test_parses_the_form_whatever_the_content_type_says(content_type):
    worker = await stores(b"data=" + percent(BASE64), **{"Content-Type": content_type})
    assert len(worker.stored()) == 1


async def test_takes_a_record_from_the_url_at_any_prefix_and_answers_a_pixel():
    worker = Worker()
    for path in ("/sa.gif", "/x/y/sa.gif"):
        answer = await worker.get(f"{path}?project=open&data={percent(BASE64).decode()}&ext=crc%3D5")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
        assert answer.headers["cache-control"] == "no-store"
        assert len(answer.content) == 43
        assert answer.content.startswith(b"GIF89a")
    answer = await worker.get(f"/sa?project=open&data={percent(BASE64).decode()}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert [stored.plain for stored in worker.stored()] == [[RECORD]] * 3


async def test_answers_exactly_200_to_a_post_of_sa_gif():
    worker = Worker()
    answer = await worker.post("/sa.gif?project=open", b"data=" + percent(BASE64))
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    "body",
    [
        b"data=!!!",
        b"data=" + percent(base64.b64encode(b"{")),
        b"nonsense",
        b"dat=x",
        b"data=",
        b"\xff\x00",
        b"data=AAAAA",
        b"data=" + percent(base64.b64encode(gzip.compress(TEXT)[:-9])),
    ],
)
async def test_what_cannot_be_read_is_kept_and_answered_200(body):
    worker = await stores(body)
    (stored,) = worker.stored()
    assert stored.reasons == ["unreadable"]
    assert stored.dead_letters() == [body]
    assert stored.header.project == "open"


async def test_strict_mode_answers_400_to_what_cannot_be_read():
    worker = Worker(CollectorOptions(strict_sensors=True))
    assert (await worker.post("/sa?project=open", b"data=!!!")).status_code == 400
    assert (await worker.sa(RECORD)).status_code == 200


async def test_a_request_without_data_is_a_probe():
    worker = Worker()
    assert (await worker.get("/sa?project=open")).status_code == 200
    assert (await worker.post("/sa?project=open", b"")).status_code == 200
    assert not worker.stored()


async def test_bad_records_never_fail_the_batch():
    worker = Worker()
    assert (await worker.sa([RECORD, {"event": "x"}, 7])).status_code == 200
    (stored,) = worker.stored()
    assert stored.reasons == ["missing_field", "not_an_object"]


@pytest.mark.parametrize("what", ["body", "bomb", "records"])
async def test_a_body_over_a_limit_is_a_dead_letter_and_200(what):
    worker = Worker(CollectorOptions(limits=BodyLimits(body_bytes=50_000, decompressed_bytes=100_000)))
    bodies = {
        "body": b"data=" + b"A" * 70_000,
        "bomb": b"data=" + percent(base64.b64encode(gzip.compress(b" " * 10_000_000))),
        "records": b"data=" + percent(base64.b64encode(gzip.compress(b"[" + b"{}," * 10_000 + b"{}]"))),
    }
    answer = await worker.post("/sa?project=open", bodies[what])
    assert (answer.status_code, answer.content) == (200, b"")
    (stored,) = worker.stored()
    assert stored.reasons == ["too_many_records" if what == "records" else "body_too_large"]
    assert bodies[what].startswith(stored.dead_letters()[0])


@pytest.mark.parametrize("query", ["project=bank", "project=nowhere", "", "project=bank&token=nonsense"])
async def test_an_unknown_project_or_token_is_answered_200_and_kept(query):
    worker = Worker()
    assert (await worker.sa([RECORD, 7], query=query)).status_code == 200
    assert (await worker.post(f"/sa?{query}", b"data=!!!")).status_code == 200
    batch, unreadable = worker.stored()
    assert (batch.header.project, batch.reasons) == ("", ["unknown_key", "not_an_object"])
    assert (unreadable.header.project, unreadable.reasons) == ("", ["unreadable"])


async def test_the_token_of_the_url_is_the_write_key():
    worker = Worker()
    await worker.sa(RECORD, query="project=bank&token=wk-bank")
    await worker.sa(RECORD, query="token=wk-bank")
    await worker.sa(RECORD, query="token=sk-bank")
    headers = [stored.header for stored in worker.stored()]
    assert [(header.project, header.trusted) for header in headers] == [
        ("bank", False),
        ("bank", False),
        ("bank", True),
    ]


async def test_a_keyless_project_takes_records_with_an_old_token_too():
    worker = Worker()
    await worker.sa(RECORD, query="project=open&token=abc123")
    await worker.sa(RECORD, query="project=open&token=wk-bank")
    assert [(stored.header.project, stored.reasons) for stored in worker.stored()] == [("open", [])] * 2


async def test_a_record_s_own_project_and_token_come_before_the_url_s():
    worker = Worker()
    records = [
        RECORD,
        RECORD | {"project": "open_too"},
        RECORD | {"project": "bank", "token": "wk-bank"},
        RECORD | {"properties": {"$project": "bank", "$token": "wk-bank"}},
        RECORD | {"project": "bank"},
        RECORD | {"project": "nowhere"},
    ]
    await worker.sa(records)
    stored = {each.header.project: each for each in worker.stored()}
    assert {name: each.header.indexes for name, each in stored.items()} == {
        "open": [0, 4, 5],
        "open_too": [1],
        "bank": [2, 3],
    }
    assert [(r.index, r.reason) for r in stored["open"].header.refusals] == [
        (1, "wrong_project"),
        (2, "wrong_project"),
    ]


async def test_encrypted_envelopes_wait_as_dead_letters():
    envelopes = [{"ekey": "eA==", "pkv": 1, "flush_time": NOW, "payloads": ["eQ=="]}] * 2
    worker = Worker()
    for body in (
        b"gzip=9&data_list=" + percent(json.dumps(envelopes).encode()),
        b"gzip=13&data=" + percent(json.dumps(envelopes[0] | {"payloads": "eQ=="}).encode()),
        b"gzip=9&data=" + percent(json.dumps({"key_id": 7, "nc": 1, "payload": "eQ=="}).encode()),
        b"data=" + percent(json.dumps(envelopes[0]).encode()),
    ):
        assert (await worker.post("/sa?project=open", body)).status_code == 200
    stored = worker.stored()
    assert [each.reasons for each in stored] == [["encrypted"] * 2, *[["encrypted"]] * 3]
    letters = [json.loads(letter) for letter in stored[0].dead_letters()]
    assert [letter | envelope for letter, envelope in zip(letters, envelopes, strict=True)] == letters


async def test_debug_says_what_is_wrong_and_stores():
    worker = Worker()
    good = await worker.post("/debug?project=open", b"data=" + wrapped(RECORD))
    assert (good.status_code, good.json()) == (200, {})
    bad = await worker.post("/x/debug?project=open", b"data_list=" + wrapped([RECORD, event(event="1")]))
    assert bad.status_code == 400
    ((error),) = bad.json()["errors"]
    assert (error["index"], error["field"], error["reason"]) == (1, "event", "invalid_name")
    unreadable = await worker.post("/debug?project=open", b"data=!!!")
    assert (unreadable.status_code, unreadable.json()["errors"][0]["reason"]) == (400, "unreadable")
    stranger = await worker.post("/debug?project=bank", b"data=" + wrapped(RECORD))
    assert (stranger.status_code, stranger.json()["errors"][0]["reason"]) == (400, "unknown_key")
    assert [stored.reasons for stored in worker.stored()] == [
        [],
        ["invalid_name"],
        ["unreadable"],
        ["unknown_key"],
    ]


async def test_a_dry_run_stores_nothing():
    worker = Worker()
    for body in (b"data=" + wrapped(RECORD), b"data=" + wrapped(event(event="1")), b"data=!!!"):
        await worker.post("/debug?project=open", body, headers={"Dry-Run": "true"})
    assert not worker.stored()
    for value in ("false", "True", "1", ""):
        await worker.post("/debug?project=open", b"data=" + wrapped(RECORD), headers={"Dry-Run": value})
    assert len(worker.stored()) == 4
    await worker.post("/sa?project=open", b"data=" + wrapped(RECORD), headers={"Dry-Run": "true"})
    assert len(worker.stored()) == 5, "only /debug knows dry runs"


async def test_characters_whose_halves_were_encoded_one_by_one_are_joined():
    """As the mini-program's SDK does with an emoji; half a character stays none."""
    halves = b"\xed\xa0\xbc\xed\xbf\xa6"
    named = event(properties={"name": "小王🏦 한"})
    text = json.dumps([named, event(properties={"name": "🏦"})], ensure_ascii=False).encode()
    first, second, third = text.split("🏦".encode())
    body = b"data_list=" + percent(base64.b64encode(first + halves + second + halves[:3] + third))
    (stored,) = (await stores(body)).stored()
    assert stored.reasons == ["invalid_utf8"]
    assert stored.plain[0] == named


async def test_a_phone_that_reports_for_debugging_is_answered():
    worker = Worker()
    answer = await worker.post("/debug?project=open&info_id=1", b'{"distinct_id":"u"}')
    assert answer.status_code == 200
    assert not worker.stored()


async def test_browsers_of_other_origins_may_send():
    worker = Worker()
    async with worker.client(headers={"Origin": "https://bank.example"}) as client:
        preflight = await client.options("/debug", headers={"Access-Control-Request-Headers": "dry-run"})
        answer = await client.post("/sa.gif?project=open", content=b"data=" + wrapped(RECORD))
    assert preflight.status_code == 204
    assert preflight.headers["access-control-max-age"] == "86400"
    assert "Dry-Run" in preflight.headers["access-control-allow-headers"]
    assert "GET, POST" in preflight.headers["access-control-allow-methods"]
    for each in (preflight, answer):
        assert each.headers["access-control-allow-origin"] == "https://bank.example"
        assert each.headers["access-control-allow-credentials"] == "true", "the Web SDK's debug mode asks so"


async def test_a_full_log_answers_503_never_429():
    worker = Worker(log_bytes=600)
    assert (await worker.sa(RECORD)).status_code == 200
    answer = await worker.sa(RECORD)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_strangers_cannot_fill_the_log():
    worker = Worker(CollectorOptions(quarantine_bytes_per_second=100))
    statuses = [(await worker.sa(RECORD, query="project=bank")).status_code for _ in range(60)]
    assert statuses[0] == 200
    assert statuses[-1] == 503
    assert (await worker.sa(RECORD)).status_code == 200, "others are not held up"


@pytest.mark.parametrize("path", ["/config/Windows.conf", "/sa/", "/nothing", "/sax"])
async def test_other_paths_are_not_found(path):
    assert (await Worker().get(path)).status_code == 404


def slow_java_hash(text: str) -> int:
    value, units = 0, text.encode("utf-16-be")
    for at in range(0, len(units), 2):
        value = (31 * value + int.from_bytes(units[at : at + 2], "big")) & 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value


@pytest.mark.parametrize("text", ["", "a", "hello", "x" * 5000, "中文😀", BASE64.decode()])
def test_the_checksum_is_java_s_hash_code(text):
    assert java_hash(text.encode()) == slow_java_hash(text)


async def test_checksums_and_gzip_codes_are_counted_and_never_refused():
    worker = Worker()
    text = wrapped(RECORD)
    right = slow_java_hash(base64.b64encode(json.dumps(RECORD).encode()).decode())
    for fields in (f"crc={right}", f"ext=crc%3D{right}", "crc=1", "crc=x&gzip=1", "gzip=9", "gzip=77"):
        await worker.post("/sa?project=open", b"data=" + text + b"&" + fields.encode())
    assert [stored.reasons for stored in worker.stored()] == [[]] * 6
    metrics = (await worker.get("/metrics")).text
    for line in (
        'crc_total{result="match",worker="0"} 2.0',
        'crc_total{result="mismatch",worker="0"} 2.0',
        'crc_total{result="absent",worker="0"} 2.0',
        'gzip_code_total{code="0",worker="0"} 3.0',
        'gzip_code_total{code="1",worker="0"} 1.0',
        'gzip_code_total{code="other",worker="0"} 1.0',
    ):
        assert f"footfall_collector_{line}" in metrics


@pytest.mark.parametrize("path", ["/sa", "/pre/sa.gif", "/debug"])
async def test_another_method_is_told_what_there_is(path: str) -> None:
    worker = Worker()
    async with worker.client() as client:
        answer = await client.put(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST, OPTIONS")
    assert not worker.stored()
