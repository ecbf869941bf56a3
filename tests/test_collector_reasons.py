"""Reasons that only a request can have; those of a record alone are in test_events_verdicts.py."""

from __future__ import annotations

import json

import pytest

from collector.options import CollectorOptions
from footfall.events.limits import BodyLimits
from footfall.events.reasons import Reason
from tests.collector_worker import Worker, event, wrapped

ENVELOPE = json.dumps({"pkv": 1, "ekey": "eA==", "payloads": ["eQ=="]}).encode()


@pytest.mark.parametrize(
    ("reason", "path", "body"),
    [
        (Reason.UNREADABLE, "/sa?project=open", b"data=!!!"),
        (Reason.BODY_TOO_LARGE, "/sa?project=open", b"data=" + b"A" * 60_000),
        (Reason.TOO_MANY_RECORDS, "/sa?project=open", b"data=" + wrapped(b"[" + b"{}," * 10_000 + b"{}]")),
        (Reason.UNKNOWN_KEY, "/sa?project=bank", b"data=" + wrapped(event())),
        (Reason.ENCRYPTED, "/sa?project=open", b"gzip=9&data=" + ENVELOPE.replace(b"+", b"%2B")),
        (Reason.MALFORMED_ENVELOPE, "/sa?project=open", b'gzip=9&data={"payloads": ["eQ=="]}'),
        (Reason.WRONG_PROJECT, "/v1/events?key=wk-default", json.dumps(event(project="bank")).encode()),
    ],
)
async def test_a_request_is_refused_for_a_reason_and_kept(reason, path, body):
    worker = Worker(CollectorOptions(limits=BodyLimits(body_bytes=50_000)))
    answer = await worker.post(path, body)
    assert answer.status_code == 200
    (stored,) = worker.stored()
    assert stored.reasons == [reason.value]
    assert stored.dead_letters()[0]
