"""The native door, as a back end or an SDK of ours sees it."""

from __future__ import annotations

import gzip
import json

import pytest
import zstandard

from collector.options import CollectorOptions
from footfall.events.limits import BodyLimits
from footfall.workspace.projects import Project
from footfall.workspace.workspace import Grant
from tests.collector_worker import NOW, Worker, event

BEARER = {"Authorization": "Bearer wk-default"}


async def test_stores_what_it_accepts_and_says_so():
    worker = Worker()
    answer = await worker.post("/v1/events", event(), headers=BEARER | {"User-Agent": "our-sdk/1"})
    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "rejected": []})
    (stored,) = worker.stored()
    assert stored.plain == [event()]
    header = stored.header
    assert (header.project, header.door, header.received_at, header.count) == ("default", "native", NOW, 1)
    assert (header.ip, header.user_agent, header.trusted) == ("127.0.0.1", "our-sdk/1", False)
    assert [len(event_id) for event_id in header.event_ids] == [32]


async def test_gives_every_record_a_verdict_and_keeps_them_in_order():
    worker = Worker()
    answer = await worker.track([event(event="a"), {"event": "b"}, event(event="c"), 7])
    assert answer.json()["accepted"] == 2
    assert [(each["index"], each["reason"], each["field"]) for each in answer.json()["rejected"]] == [
        (1, "missing_field", "distinct_id"),
        (3, "not_an_object", ""),
    ]
    (stored,) = worker.stored()
    assert [record and record.event for record in stored.records()] == ["a", None, "c", None]
    assert stored.dead_letters() == [b'{"event": "b"}', b"7"]
    assert [bool(event_id) for event_id in stored.header.event_ids] == [True, False, True, False]


@pytest.mark.parametrize("key", ["header", "query"])
async def test_takes_the_key_from_the_header_or_the_url(key):
    worker = Worker()
    if key == "header":
        answer = await worker.post("/v1/events", event(), headers={"Authorization": "bearer  wk-default"})
    else:
        answer = await worker.post("/v1/events?key=wk-default", event())
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"}]
)
async def test_refuses_a_request_without_a_good_key_and_stores_nothing(headers):
    worker = Worker()
    answer = await worker.post("/v1/events", event(), headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json().keys() == {"title", "status", "detail"}
    assert not worker.stored()


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(json.dumps([event()] * 3).encode())),
        ("gzip", gzip.compress(b"[") + gzip.compress(json.dumps(event()).encode() + b"]")),
        ("zstd", zstandard.compress(json.dumps([event()] * 3).encode())),
        ("identity", json.dumps(event()).encode()),
    ],
)
async def test_takes_compressed_bodies_by_header_and_by_url(encoding, packed):
    worker = Worker()
    by_header = await worker.track(packed, headers={"Content-Encoding": encoding.upper()})
    by_url = await worker.post(f"/v1/events?key=wk-default&compression={encoding}", packed)
    assert by_header.json() == by_url.json()
    assert by_header.json()["accepted"] >= 1


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"not gzip"),
        ("gzip", gzip.compress(b"{}", mtime=0)[:-3]),
        ("zstd", b"x"),
        ("", b"nonsense"),
        ("zstd", zstandard.compress(b'{"event":"a"}')[:-2]),
        ("gzip", gzip.compress(b"") * 1000),
    ],
)
async def test_what_cannot_be_read_gets_400_and_is_kept_as_a_dead_letter(encoding, body):
    worker = Worker()
    answer = await worker.track(body, headers={"Content-Encoding": encoding})
    assert answer.status_code == 400
    assert answer.json()["detail"]
    (stored,) = worker.stored()
    assert stored.reasons == ["unreadable"]
    assert stored.dead_letters() == [body]
    assert (stored.header.project, stored.header.count, stored.header.event_ids) == ("default", 1, [""])


async def test_an_unknown_encoding_gets_415():
    answer = await Worker().track(b"x", headers={"Content-Encoding": "br"})
    assert answer.status_code == 415
    assert "gzip" in answer.headers["accept-encoding"]


@pytest.mark.parametrize("encoding", ["gzip", "zstd", ""])
async def test_a_body_over_the_limit_gets_413_that_names_it(encoding):
    worker = Worker(CollectorOptions(limits=BodyLimits(body_bytes=20_000, decompressed_bytes=100_000)))
    bomb = b"[" + b" " * 10_000_000 + b"]"
    body = {"gzip": gzip.compress(bomb), "zstd": zstandard.compress(bomb), "": bomb[:50_000]}[encoding]
    answer = await worker.track(body[:60_000], headers={"Content-Encoding": encoding})
    assert answer.status_code == 413
    assert ("100000" in answer.json()["detail"]) == bool(encoding)
    (stored,) = worker.stored()
    assert stored.reasons == ["body_too_large"]
    assert all(len(letter) <= 64 * 1024 and body.startswith(letter) for letter in stored.dead_letters())


async def test_too_many_records_get_413_that_names_the_limit():
    worker = Worker()
    answer = await worker.track(b"[" + b",".join([b"{}"] * 10_001) + b"]")
    assert answer.status_code == 413
    assert "10000" in answer.json()["detail"]
    (stored,) = worker.stored()
    assert stored.reasons == ["too_many_records"]


async def test_validation_keeps_nothing_of_a_body_over_the_limit():
    worker = Worker(CollectorOptions(limits=BodyLimits(body_bytes=20_000, decompressed_bytes=100_000)))
    answer = await worker.post("/v1/validate", b" " * 30_000, headers=BEARER)
    assert answer.status_code == 413
    assert not worker.stored()


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("POST", "/healthz", 405)])
async def test_what_the_port_does_not_have_is_a_problem(method, path, status):
    answer = await (Worker().get(path) if method == "GET" else Worker().post(path, {}))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    if status == 404:
        assert all(told in answer.json()["detail"] for told in (path, "POST /v1/events", "/sa"))


async def test_nothing_is_stored_of_an_empty_batch():
    worker = Worker()
    assert (await worker.track([])).json() == {"accepted": 0, "rejected": []}
    assert not worker.stored()


async def test_a_full_log_answers_503_and_says_when_to_come_back():
    worker = Worker(log_bytes=600)
    assert (await worker.track(event())).status_code == 200
    answer = await worker.track(event())
    assert answer.status_code == 503
    assert answer.headers["retry-after"].isdigit()
    assert len(worker.stored()) == 1


async def test_a_stopping_worker_answers_503():
    worker = Worker()
    worker.writer.close()
    assert (await worker.track(event())).status_code == 503


async def test_a_write_key_writes_to_its_own_project_only():
    worker = Worker()
    answer = await worker.track([event(project="default"), event(project="bank"), event(project="open")])
    assert [(each["index"], each["reason"], each["field"]) for each in answer.json()["rejected"]] == [
        (1, "wrong_project", "project"),
        (2, "wrong_project", "project"),
    ]
    assert [stored.header.project for stored in worker.stored()] == ["default"]
    assert (await worker.post("/v1/events?key=wk-default&project=bank", event())).status_code == 403


async def test_the_secret_key_of_all_projects_writes_to_each_record_s_own():
    worker = Worker()
    records = [event(project="bank"), event(), event(project="nowhere"), event(project="bank", event="b")]
    answer = await worker.post("/v1/events?key=sk-all", records)
    assert [each["reason"] for each in answer.json()["rejected"]] == ["wrong_project"]
    bank, default = worker.stored()
    assert (bank.header.project, bank.header.indexes, bank.reasons) == ("bank", [0, 3], [])
    assert [each["event"] for each in bank.plain] == ["view_fund", "b"]
    assert (default.header.project, default.header.indexes) == ("default", [1, 2])
    assert [(refusal.index, refusal.reason) for refusal in default.header.refusals] == [(1, "wrong_project")]
    assert bank.header.trusted
    assert (await worker.post("/v1/events?key=sk-all&project=nowhere", event())).status_code == 403


async def test_the_project_hoisted_from_the_properties_counts():
    worker = Worker()
    await worker.post("/v1/events?key=sk-all", event(properties={"$project": "bank"}))
    assert [stored.header.project for stored in worker.stored()] == ["bank"]


async def test_a_secret_key_makes_records_trusted():
    worker = Worker()
    await worker.post("/v1/events?key=sk-bank", event())
    assert [(stored.header.project, stored.header.trusted) for stored in worker.stored()] == [("bank", True)]


async def test_validation_gives_the_same_verdicts_and_stores_nothing():
    worker = Worker()
    batch = [event(), event(event="1")]
    verdicts = await worker.post("/v1/validate?key=wk-default", batch)
    assert not worker.stored()
    assert verdicts.json() == (await worker.track(batch)).json()
    assert (await worker.post("/v1/validate?key=wk-default", b"nonsense")).status_code == 400
    assert len(worker.stored()) == 1


async def test_takes_post_only():
    worker = Worker()
    async with worker.client() as client:
        for method in ("GET", "PUT", "DELETE"):
            answer = await client.request(method, "/v1/events?key=wk-default")
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")


async def test_browsers_of_other_origins_may_send():
    worker = Worker()
    async with worker.client(headers={"Origin": "https://bank.example"}) as client:
        preflight = await client.options("/v1/events")
        answers = [
            await client.post("/v1/events?key=wk-default", json=event()),
            await client.post("/v1/events", json=event()),
        ]
    assert preflight.status_code == 204
    assert preflight.headers["access-control-max-age"] == "86400"
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    for answer in [preflight, *answers]:
        assert answer.headers["access-control-allow-origin"] == "https://bank.example"


async def test_believes_the_address_that_a_proxy_on_this_machine_forwards():
    worker = Worker()
    await worker.track(event(), headers={"X-Forwarded-For": "9.9.9.9, 1.2.3.4, 127.0.0.1"})
    assert [stored.header.ip for stored in worker.stored()] == ["1.2.3.4"]


async def test_received_at_never_goes_backwards():
    worker = Worker()
    for now in (NOW, NOW - 5_000, NOW + 1):
        worker.now = now
        await worker.track(event(time=NOW))
    assert [stored.header.received_at for stored in worker.stored()] == [NOW, NOW, NOW + 1]


async def test_the_ledger_counts_what_was_received():
    worker = Worker()
    await worker.track([event(), event(event="1")])
    await worker.track(b"nonsense")
    ((tally),) = worker.log.tallies(0)
    assert (tally.project, tally.door, tally.minute, tally.count) == ("default", "native", NOW // 60_000, 3)


async def test_a_key_made_a_moment_ago_works_and_a_project_too():
    worker = Worker(CollectorOptions(unknown_seconds=0.0))
    assert (await worker.post("/v1/events?key=wk-new", event())).status_code == 401
    worker.workspace.grants["wk-new"] = Grant("write", "new")
    worker.workspace.known["new"] = Project("new")
    assert (await worker.post("/v1/events?key=wk-new", event())).status_code == 200


async def test_an_error_of_ours_costs_one_request_and_no_data(monkeypatch, caplog):
    worker = Worker()
    monkeypatch.setattr(type(worker.writer), "append_async", lambda *_: 1 / 0)
    answer = await worker.track(event())
    assert answer.status_code == 503
    assert "ZeroDivisionError" not in answer.text
    assert "ZeroDivisionError" in caplog.text


async def test_more_requests_at_once_than_the_limit_get_503():
    worker = Worker(CollectorOptions(requests_at_once=0))
    assert (await worker.track(event())).status_code == 503
    roomless = Worker(CollectorOptions(bytes_at_once=10))
    for _ in range(3):
        assert (await roomless.track(event())).status_code == 503
    assert (await roomless.track([])).status_code == 200, "what was refused holds no room"
