"""Encrypted envelopes at the Sensors door: every form opens, to the events that were sealed."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from typing import Any

import pytest

from collector.options import CollectorOptions
from footfall.envelopes.keys import Algorithm, generate, read_key
from tests.captured import FIXTURES, Captured, capture_time
from tests.collector_worker import NOW, Worker, converse
from tests.encrypted_worker import (
    AES,
    BROWSER,
    DEVICES,
    FIRST,
    PHONE,
    RSA,
    SECOND,
    SM2,
    ring_of,
    stored,
    worker_with,
)
from tests.envelopes import Device, form, percent, shared, text_of


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("gzip_code", [9, None, 0])
async def test_events_of_several_keys_come_out_in_their_order(device: str, gzip_code: int | None) -> None:
    sealing = DEVICES[device]
    other = Device(sealing.pair, sealing.pkv, session=b"another session.")
    envelopes = [sealing.events(FIRST, SECOND, flush_time=NOW), other.events(FIRST | {"_track_id": 3})]
    found = await stored(form(envelopes, gzip_code))
    assert found.reasons == []
    assert found.plain == [
        FIRST | {"_flush_time": NOW},
        SECOND | {"_flush_time": NOW},
        FIRST | {"_track_id": 3},
    ]


@pytest.mark.parametrize("device", DEVICES)
async def test_a_whole_batch_in_one_payload_comes_out(device: str) -> None:
    found = await stored(form(DEVICES[device].batch([FIRST, SECOND], NOW), 13))
    assert found.plain == [FIRST | {"_flush_time": NOW}, SECOND | {"_flush_time": NOW}]


@pytest.mark.parametrize("field", ["data", "data_list"])
async def test_one_envelope_comes_under_either_field_and_in_the_url(field: str) -> None:
    body = form(BROWSER.events(FIRST), field=field)
    assert (await stored(body)).plain == [FIRST]
    worker = worker_with()
    answer = await worker.get(f"/sa.gif?project=open&{body.decode()}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert worker.stored()[0].plain == [FIRST]


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("key_id", [7, "7", "app"])
async def test_a_key_of_both_sides_is_found_by_its_id(single: bool, key_id: Any) -> None:
    found = await stored(form(shared(AES.private, key_id, [FIRST], single=single), field="data"))
    assert found.plain == [FIRST]


async def test_an_envelope_in_base64_without_a_gzip_field_is_opened_too() -> None:
    body = b"data=" + percent(b64encode(text_of(BROWSER.events(FIRST))))
    assert (await stored(body)).plain == [FIRST]


async def test_records_and_envelopes_may_come_together() -> None:
    found = await stored(form([FIRST, PHONE.events(SECOND)], None))
    assert found.plain == [FIRST, SECOND]


async def test_a_session_key_may_travel_as_text_and_the_point_with_its_04() -> None:
    sealed = PHONE.events(FIRST)
    as_text = Device(RSA, 1, PHONE.session.hex().encode())
    assert (await stored(form(sealed | {"ekey": b64encode(as_text.ekey).decode()}))).plain == [FIRST]
    sealed = BROWSER.events(FIRST)
    with_point = b64encode(b"\x04" + b64decode(sealed["ekey"])).decode()
    assert (await stored(form(sealed | {"ekey": with_point}))).plain == [FIRST]


async def test_numbers_of_rsa_and_sm2_keys_may_be_the_same() -> None:
    worker = worker_with(ring_of(("1", RSA), ("1", SM2)))
    found = await stored(form([PHONE.events(FIRST), Device(SM2, 1).events(SECOND)]), worker)
    assert found.plain == [FIRST, SECOND]


async def test_an_event_has_the_id_that_it_has_when_it_comes_plain() -> None:
    nameless = {"type": "profile_set", "distinct_id": "u1", "time": NOW, "properties": {"a": 1}}
    records = [FIRST, nameless, nameless]
    plain = worker_with()
    await plain.sa([each | {"_flush_time": NOW - 5} for each in records])
    ids = plain.stored()[0].header.event_ids
    assert len(set(ids)) == 3
    for flush_time in (None, NOW, NOW + 30_000):
        assert (await stored(form(PHONE.events(*records, flush_time=flush_time)))).header.event_ids == ids
        assert (await stored(form(BROWSER.batch(records, flush_time), 13))).header.event_ids == ids


@pytest.mark.parametrize(
    ("inner", "flush_time", "expected"),
    [
        ({}, NOW, NOW),
        ({"_flush_time": 5}, NOW, 5),
        ({"_flush_time": None}, NOW, NOW),
        ({}, str(NOW), NOW),
        ({}, "soon", None),
        ({}, -1, None),
        ({}, True, None),
        ({}, 1e300, None),
        ({}, [1], None),
    ],
)
async def test_the_envelope_s_time_of_sending_is_the_events(
    inner: dict[str, Any], flush_time: Any, expected: int | None
) -> None:
    found = await stored(form(PHONE.events(FIRST | inner) | {"flush_time": flush_time}))
    (record,) = found.records()
    assert record is not None
    assert record.flush_time == expected
    assert record.properties == FIRST["properties"]


async def test_a_clock_that_is_wrong_is_corrected_by_the_envelope() -> None:
    day = 86_400_000
    late = FIRST | {"time": NOW - 400 * day}
    assert (await stored(form(PHONE.events(late)))).reasons == ["too_old"]
    assert (await stored(form(PHONE.events(late, flush_time=NOW - 400 * day)))).reasons == []


@pytest.mark.parametrize("algorithm", Algorithm)
async def test_another_key_under_a_name_that_was_used_opens_what_the_first_did_not(
    algorithm: Algorithm,
) -> None:
    wrong, right = generate(algorithm), generate(algorithm)
    rings = [ring_of(("1", wrong))]
    worker = Worker(CollectorOptions(project_seconds=0), ring_of=lambda _: rings[0])
    sealed = (
        shared(right.private, 1, [FIRST], single=False)
        if algorithm is Algorithm.AES
        else Device(right, pkv=1).events(FIRST)
    )
    await worker.post("/sa?project=open", form(sealed))
    rings[0] = ring_of(("1", right))
    await worker.post("/sa?project=open", form(sealed))
    assert [each.reasons for each in worker.stored()] == [["encrypted"], []]


def test_the_captured_envelopes_open_to_what_the_plain_captures_hold() -> None:
    key = json.loads((FIXTURES / "sm2-test-key.json").read_text())
    ring = ring_of((str(key["pkv"]), read_key(Algorithm.SM2, key["private_key"])))
    plain = {path.name[:3]: Captured(path) for path in (FIXTURES / "web_1.26.17_ajax").glob("*.http")}
    sealed = {path.name[:3]: Captured(path) for path in (FIXTURES / "web_1.26.17_sm").glob("*.http")}
    assert sealed.keys() == plain.keys()
    worker = Worker(now=capture_time("web_1.26.17_ajax"), ring_of=lambda _: ring)
    worker.workspace.known["default"] = type(worker.workspace.known["open"])("default", keyless=True)
    with worker.listening() as port:
        for request in sealed.values():
            assert converse(port, request.request).startswith(b"HTTP/1.1 200 ")
    assert [each.reasons for each in worker.stored()] == [[]] * len(sealed)
    for each, expected in zip(worker.stored(), [plain[number] for number in sealed], strict=True):
        assert list(map(told, each.plain)) == list(map(told, expected.records))


_OWN = {"distinct_id", "anonymous_id", "time", "_track_id", "_flush_time", "$first_visit_time", "identities"}
_PAGE = re.compile(r"(?<=:)1813[34]|(?<=mode=)(?:sm|ajax)")


def told(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what every visit has of its own: ids, moments, port and name of the test page."""
    fields = record | record["properties"]
    page = {name: _PAGE.sub("", value) for name, value in fields.items() if isinstance(value, str)}
    return fields | page | {name: type(fields[name]) for name in _OWN & fields.keys()} | {"properties": 0}
