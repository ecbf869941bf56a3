"""Health, readiness, metrics and the OpenAPI document of the collector."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from collector.app import build_app
from collector.counts import Counts
from collector.options import CollectorOptions
from footfall.events.keys import KeyedHash
from footfall.events.reasons import Reason
from footfall.treatment.policy import Policy
from tests.collector_worker import Worker, event, wrapped

DOCS = Path(__file__).parent.parent / "docs"


async def test_is_healthy_and_ready():
    worker = Worker()
    assert (await worker.get("/healthz")).json() == {"status": "ok"}
    assert (await worker.get("/readyz")).json() == {"status": "ready"}


async def test_is_not_ready_while_keys_cannot_be_checked():
    worker = Worker()
    worker.workspace.broken = True
    answer = await worker.get("/readyz")
    assert answer.status_code == 503
    assert "workspace" in answer.json()["reason"]


async def test_is_not_ready_while_its_owner_says_so():
    worker = Worker()
    worker.app = build_app(
        worker.options,
        worker.writer,
        worker.workspace,
        KeyedHash(b"k" * 32),
        Policy,
        ready=lambda: "draining",
    )
    assert (await worker.get("/readyz")).json()["reason"] == "draining"


async def test_counts_requests_records_and_reasons():
    worker = Worker()
    await worker.track([event(), event(), event(event="1")])
    await worker.track(b"nonsense")
    await worker.post("/v1/events", event())
    metrics = (await worker.get("/metrics")).text
    for line in (
        'requests_total{door="native",status="200",worker="0"} 1.0',
        'requests_total{door="native",status="400",worker="0"} 1.0',
        'requests_total{door="native",status="401",worker="0"} 1.0',
        'records_total{door="native",outcome="accepted",worker="0"} 2.0',
        'records_total{door="native",outcome="invalid_name",worker="0"} 1.0',
        'records_total{door="native",outcome="unreadable",worker="0"} 1.0',
        'request_seconds_count{worker="0"} 3.0',
        'in_work{worker="0"} 0.0',
    ):
        assert f"footfall_collector_{line}" in metrics


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/events?key=wk-default", json.dumps([event(), event(event="1")]).encode()),
        ("/v1/events?key=wk-default", b"nonsense"),
        ("/sa?project=open", b"data_list=" + wrapped([event(), event(event="1")])),
        ("/sa?project=open", b"data=nonsense!"),
    ],
)
async def test_a_batch_that_got_503_and_was_sent_again_counts_once(path, body):
    worker = Worker(log_bytes=1)
    assert (await worker.post(path, body)).status_code == 503
    assert await counted(worker) == 0
    worker.log_bytes = worker.writer._max_bytes = 1 << 20
    assert (await worker.post(path, body)).status_code in (200, 400)
    assert await counted(worker) == sum(stored.header.count for stored in worker.stored()) > 0


async def counted(worker: Worker) -> float:
    """Records and unknown fields."""
    metrics = (await worker.get("/metrics")).text
    names = "records_total|ignored_fields_total"
    return sum(
        map(float, re.findall(rf"^footfall_collector_(?:{names}){{.*}} (\S+)$", metrics, re.MULTILINE))
    )


async def test_unknown_fields_of_a_batch_that_got_503_count_once_too():
    worker = Worker(log_bytes=1)
    await worker.sa([event(extra=1)])
    worker.log_bytes = worker.writer._max_bytes = 1 << 20
    await worker.sa([event(extra=1)])
    assert 'footfall_collector_ignored_fields_total{worker="0"} 1.0' in (await worker.get("/metrics")).text


async def test_shows_the_counts_of_all_workers(tmp_path):
    first = Worker(CollectorOptions(worker=0, metrics_dir=tmp_path))
    other = Counts(worker=1, directory=tmp_path)
    other.answered("sensors", 200, 0.003)
    other.leave_for_others()
    (tmp_path / "collector-2.json").write_bytes(b"half a fi")
    await first.track(event())
    metrics = (await first.get("/metrics")).text
    assert 'requests_total{door="native",status="200",worker="0"} 1.0' in metrics
    assert 'requests_total{door="sensors",status="200",worker="1"} 1.0' in metrics
    assert 'request_seconds_bucket{le="0.0025",worker="1"} 0.0' in metrics
    assert 'request_seconds_bucket{le="0.005",worker="1"} 1.0' in metrics


def test_a_serving_worker_leaves_its_counts_for_the_others(tmp_path):
    worker = Worker(CollectorOptions(worker=3, metrics_dir=tmp_path / "metrics"))
    with worker.listening():
        pass
    assert (tmp_path / "metrics" / "collector-3.json").exists()


async def test_the_openapi_document_has_the_doors():
    document = (await Worker().get("/openapi.json")).json()
    assert {"/v1/events", "/v1/validate", "/sa", "/sa.gif", "/debug", "/healthz"} <= document["paths"].keys()
    verdicts = document["paths"]["/v1/events"]["post"]["responses"]["200"]["content"]["application/json"]
    reasons = verdicts["schema"]["properties"]["rejected"]["items"]["properties"]["reason"]["enum"]
    assert reasons == [reason.value for reason in Reason]
