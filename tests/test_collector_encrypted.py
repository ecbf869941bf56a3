"""Encrypted envelopes at the Sensors door: every form opens, what does not open harms nobody else."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import struct
from base64 import b64decode, b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.answers import Overloaded
from collector.counts import Counts
from collector.key_use import KeyUses
from collector.options import CollectorOptions
from collector.session_keys import SessionKeys
from footfall.envelopes import forms
from footfall.envelopes.keys import Algorithm, HeldKey, KeyPair, KeyRing, generate, hold, read_key
from footfall.envelopes.opening import Asked
from footfall.events.limits import BodyLimits
from footfall.workspace.audit import Audit
from tests.captured import FIXTURES, Captured, capture_time
from tests.collector_worker import NOW, Stored, Worker, converse, event
from tests.envelopes import Device, form, noise, percent, shared, text_of

RSA, SM2, AES = generate(Algorithm.RSA), generate(Algorithm.SM2), generate(Algorithm.AES)
PHONE, BROWSER = Device(RSA, pkv=1), Device(SM2, pkv=3)
DEVICES = {"RSA": PHONE, "SM2": BROWSER}
FIRST = event(event="first", _track_id=1, properties={"name": "基金"})
SECOND = event(event="second", _track_id=2)


def no_audit() -> Audit:
    raise AssertionError("nothing is written here")


NO_AUDIT = KeyUses(no_audit)


def ring_of(*keys: tuple[str, KeyPair]) -> KeyRing:
    return KeyRing([(version, hold(pair.algorithm, version, pair.private)) for version, pair in keys])


RING = ring_of(("1", RSA), ("3", SM2), ("7", AES), ("app", AES))


def worker_with(ring: KeyRing = RING, options: CollectorOptions | None = None) -> Worker:
    return Worker(options or CollectorOptions(), ring_of=lambda _: ring)


async def stored(body: bytes, worker: Worker | None = None, path: str = "/sa?project=open") -> Stored:
    """What one request left, which must be answered 200."""
    worker = worker or worker_with()
    answer = await worker.post(path, body)
    assert (answer.status_code, answer.content) == (200, b"")
    (only,) = worker.stored()
    return only


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


def one_bad(bad: str) -> dict[str, Any]:
    """An envelope whose second payload of three is bad."""
    sealed = PHONE.events(FIRST, SECOND, SECOND | {"_track_id": 3})
    sealed["payloads"][1] = bad
    return sealed


ODDLY_PADDED = gzip.compress(text_of(FIRST))
ODDLY_PADDED += bytes(-len(ODDLY_PADDED) % 16 + 8)  # what comes behind a gzip is left alone
BAD_PAYLOADS = {
    "no base64": ("!!!", "undecryptable"),
    "empty": ("", "undecryptable"),
    "an IV alone": (noise(16), "undecryptable"),
    "half a block": (noise(40), "undecryptable"),
    "noise": (b64encode(b"\x07" * 160).decode(), "undecryptable"),
    "padding of another kind": (PHONE.payload(ODDLY_PADDED, bytes(15) + b"\x02"), "undecryptable"),
    "padding too long": (PHONE.payload(text_of(FIRST), b"\x20" * 16), "undecryptable"),
    "no gzip": (PHONE.payload(b"\x1f\x8bno"), "undecryptable"),
    "gzip cut off": (PHONE.payload(gzip.compress(text_of(FIRST))[:-9]), "undecryptable"),
    "no JSON": (PHONE.payload(gzip.compress(b"{")), "undecryptable"),
    "no UTF-8": (PHONE.payload(b'{"event":"\xff"}'), "undecryptable"),
    "no object": (PHONE.payload(b"7"), "undecryptable"),
    "an empty list": (PHONE.payload(b"[]"), "undecryptable"),
    "too deep": (PHONE.payload(b"[" * 5_000), "undecryptable"),
    "no record": (PHONE.payload(b'{"event": "x"}'), "missing_field"),
    "a list with a number": (PHONE.payload(b"[7]"), "not_an_object"),
}


@pytest.mark.parametrize("bad", BAD_PAYLOADS)
async def test_one_bad_payload_fails_none_of_the_others(bad: str) -> None:
    payload, reason = BAD_PAYLOADS[bad]
    found = await stored(form(one_bad(payload)))
    assert found.reasons == [reason]
    assert [refusal.index for refusal in found.header.refusals] == [1]
    assert [bool(record) for record in found.records()] == [True, False, True]
    if reason == "undecryptable":
        assert found.header.refusals[0].field == "payloads[1]"
        letter = json.loads(found.dead_letters()[0])
        assert (letter["pkv"], letter["payloads"]) == (1, [payload])


@pytest.mark.parametrize("device", DEVICES)
async def test_an_envelope_without_its_key_waits_as_it_came(device: str) -> None:
    sealing = DEVICES[device]
    envelopes = [sealing.events(FIRST, SECOND, flush_time=NOW), sealing.events(FIRST)]
    found = await stored(form(envelopes), worker_with(KeyRing(())))
    assert found.reasons == ["encrypted"] * 2
    assert as_they_wait(found) == envelopes
    refusal = found.header.refusals[0]
    assert (refusal.field, f"pkv {sealing.pkv}" in refusal.message) == ("pkv", True)
    other = worker_with(ring_of((str(sealing.pkv), generate(sealing.pair.algorithm))))
    found = await stored(form(envelopes), other)
    assert found.reasons == ["encrypted"] * 2
    assert as_they_wait(found) == envelopes


def as_they_wait(found: Stored) -> list[Any]:
    """Its dead letters."""
    return [json.loads(letter) for letter in found.dead_letters()]


async def test_an_envelope_of_a_key_of_both_sides_that_is_another_waits() -> None:
    sealed = shared(bytes(16), 7, [FIRST], single=True)
    found = await stored(form(sealed, field="data"))
    assert (found.reasons, found.header.refusals[0].field) == (["encrypted"], "payload")
    found = await stored(form(sealed | {"key_id": 8}, field="data"))
    assert (found.reasons, found.header.refusals[0].field) == (["encrypted"], "key_id")
    assert as_they_wait(found) == [sealed | {"key_id": 8}]


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP256K1()])
async def test_an_envelope_of_ecies_has_a_reason_of_its_own(curve: ec.EllipticCurve) -> None:
    public = ec.generate_private_key(curve).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    sealed = {"pkv": 9, "ekey": b64encode(point + bytes(36)).decode(), "payloads": [noise(64)]}
    found = await stored(form(sealed))
    assert found.reasons == ["unsupported_encryption"]
    assert json.loads(found.dead_letters()[0]) == sealed


GOOD = PHONE.events(FIRST)
MALFORMED = {
    "no payloads": {"pkv": 1, "ekey": GOOD["ekey"]},
    "payloads of another type": GOOD | {"payloads": [1]},
    "payloads null": GOOD | {"payloads": None},
    "no payload": GOOD | {"payloads": []},
    "no pkv": {"ekey": GOOD["ekey"], "payloads": GOOD["payloads"]},
    "pkv null": GOOD | {"pkv": None},
    "pkv with spaces": GOOD | {"pkv": "a b"},
    "pkv too long": GOOD | {"pkv": "1" * 65},
    "ekey no base64": GOOD | {"ekey": "?"},
    "ekey empty": GOOD | {"ekey": ""},
    "ekey too long": GOOD | {"ekey": "A" * 5_000},
    "ekey a number": GOOD | {"ekey": 5},
    "no key_id": {"payload": "AAAA"},
}


@pytest.mark.parametrize("what", MALFORMED)
async def test_an_envelope_that_cannot_be_right_says_where(what: str) -> None:
    found = await stored(form([MALFORMED[what], GOOD]))
    assert found.reasons == ["malformed_envelope"]
    assert found.header.refusals[0].field == what.split()[-1 if what.startswith("no ") else 0].replace(
        "payload", "payloads" if "payloads" not in what else "payload"
    )
    assert json.loads(found.dead_letters()[0]) == MALFORMED[what]
    assert found.plain[1] == FIRST


async def test_bombs_and_crowds_are_refused_by_the_limit_they_break() -> None:
    limits = CollectorOptions(limits=BodyLimits(1_000_000, 1_000_000))
    bomb = PHONE.payload(gzip.compress(text_of(FIRST | {"properties": {"a": "a" * 600_000}})))
    sealed = GOOD | {"payloads": [*GOOD["payloads"], bomb, bomb, *GOOD["payloads"]]}
    found = await stored(form(sealed), worker_with(options=limits))
    assert found.reasons == ["string_too_long", "body_too_large", "body_too_large"]
    assert found.plain[0] == FIRST
    assert "1000000 bytes" in found.header.refusals[-1].message
    crowd = PHONE.payload(gzip.compress(b"[" + b"{}," * 10_000 + b"{}]"))
    assert (await stored(form(GOOD | {"payloads": [crowd]}))).reasons == ["too_many_records"]
    many = [GOOD | {"ekey": b64encode(struct.pack(">I", n) * 64).decode()} for n in range(101)]
    found = await stored(form(many))
    assert found.reasons == ["too_many_records"]
    assert "101 session keys" in found.header.refusals[0].message
    assert found.dead_letters()[0].startswith(b"gzip=9&")


async def test_an_envelope_of_many_bad_payloads_is_taken_apart_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    read = forms._read_object
    monkeypatch.setattr(forms, "_read_object", lambda text: taken.append(len(text)) or read(text))
    sealed = GOOD | {"payloads": [*GOOD["payloads"], *["A" * 2_000] * 500]}
    found = await stored(form(sealed))
    assert found.reasons == ["undecryptable"] * 500
    assert len([size for size in taken if size > 10_000]) == 2


async def test_letters_of_tiny_payloads_do_not_grow_beyond_what_came() -> None:
    sealed = GOOD | {
        "payloads": ["", *GOOD["payloads"], *[""] * 9_000],
        "note": "x" * 4_000,
        "nc": "y" * 4_000,
    }
    found = await stored(form(sealed))
    assert set(found.reasons) == {"undecryptable"}
    assert 10 < len(found.reasons) < 9_001
    assert len(found.events) < 6 * len(text_of(sealed))
    letters = [json.loads(letter) for letter in found.dead_letters()]
    assert sum(len(letter["payloads"]) for letter in letters) == 9_001
    assert all(letter["ekey"] == GOOD["ekey"] and letter["pkv"] == 1 for letter in letters)
    assert found.header.refusals[-1].message.endswith("more payloads")


async def test_who_may_not_write_has_no_private_key_used_for_him() -> None:
    worker = worker_with()
    found = await stored(form(GOOD), worker, "/sa?project=bank&token=nonsense")
    assert (found.header.project, found.reasons) == ("", ["unknown_key"])
    assert not worker.app._sensors.counts.private_key_uses


async def test_answers_do_not_tell_why_an_envelope_does_not_open() -> None:
    damaged = dict(GOOD, payloads=[PHONE.payload(b"7")])
    flipped = bytearray(b64decode(GOOD["ekey"]))
    flipped[-1] ^= 1
    other = dict(GOOD, ekey=b64encode(flipped).decode())
    answers = []
    for sealed in (damaged, other, one_bad(PHONE.payload(b"{")), one_bad(noise(64))):
        answer = await worker_with().post("/debug?project=open", form(sealed))
        answers.append(
            (answer.status_code, {k: v for k, v in answer.json()["errors"][0].items() if k != "index"})
        )
    assert answers[0][0] == 400
    assert all(answer == answers[0] for answer in answers)
    inside = await worker_with().post("/debug?project=open", form(PHONE.events(event(event="secret name!"))))
    assert inside.json()["errors"][0]["reason"] == "invalid_name"
    assert "secret" not in inside.text
    worker = worker_with()
    fine = await worker.post("/debug?project=open", form(GOOD), headers={"Dry-Run": "true"})
    assert (fine.status_code, fine.json(), worker.stored()) == (200, {}, [])


async def test_a_session_key_is_opened_once_however_many_requests_carry_it() -> None:
    worker = worker_with()
    await asyncio.gather(*[worker.post("/sa?project=open", form(GOOD)) for _ in range(5)])
    await worker.post("/sa?project=open", form(GOOD))
    assert len(worker.stored()) == 6
    assert worker.app._sensors.counts.private_key_uses == {("open", "rsa-1", "opened"): 1}
    metrics = (await worker.get("/metrics")).text
    labels = 'key="rsa-1",outcome="opened",project="open",worker="0"'
    assert f"footfall_collector_private_key_uses_total{{{labels}}} 1.0" in metrics


class CountedKey:
    """Opens everything at once."""

    name, mark = "sm2-3", b"only"
    algorithm = Algorithm.SM2

    def __init__(self) -> None:
        self.opened = 0

    def fits(self, ekey: bytes) -> bool:
        return True

    def open_session(self, ekey: bytes) -> bytes | None:
        self.opened += 1
        return ekey[:16].ljust(16)


def asked(key: HeldKey, *numbers: int) -> list[Asked]:
    return [Asked(key, b"%016d" % number) for number in numbers]


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


async def test_new_session_keys_are_bounded_by_rate_and_no_project_takes_all() -> None:
    now = 0.0
    options = CollectorOptions(session_keys_per_second=10, session_keys_waiting=1_000)
    counts, key = Counts(), CountedKey()
    sessions = SessionKeys(options, counts, NO_AUDIT, clock=lambda: now)
    await sessions.open("a", asked(key, *range(5)))
    with pytest.raises(Overloaded):
        await sessions.open("a", asked(key, 5))
    await sessions.open("a", asked(key, *range(5)))  # known ones cost nothing
    await sessions.open("b", asked(key, *range(5)))
    with pytest.raises(Overloaded):
        await sessions.open("c", asked(key, 1))
    assert (key.opened, counts.session_key_refusals) == (10, 2)
    now = 0.1
    assert await sessions.open("c", asked(key, 1)) == {("sm2-3", b"%016d" % 1): b"%016d" % 1}
    with pytest.raises(Overloaded):
        await sessions.open("c", asked(key, 2, 3))
    now = 60.0
    await sessions.open("a", asked(key, *range(10, 15)))
    assert key.opened == 16


async def test_few_session_keys_may_wait_and_no_project_takes_all_places() -> None:
    options = CollectorOptions(session_keys_per_second=1_000, session_keys_waiting=10)
    sessions = SessionKeys(options, Counts(), NO_AUDIT)
    key = CountedKey()
    waiting = [asyncio.ensure_future(sessions.open("a", asked(key, n))) for n in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await sessions.open("a", asked(key, 5))
    waiting += [asyncio.ensure_future(sessions.open("b", asked(key, *range(5))))]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await sessions.open("c", asked(key, 1))
    await asyncio.gather(*waiting)
    await sessions.open("c", asked(key, 1))


async def test_few_session_keys_are_remembered() -> None:
    options = CollectorOptions(session_keys_per_second=1_000, session_keys_kept=2)
    sessions, key = SessionKeys(options, Counts(), NO_AUDIT), CountedKey()
    for number in (1, 2, 1, 3, 1):
        await sessions.open("a", asked(key, number))
    assert key.opened == 3
    await sessions.open("a", asked(key, 2))
    assert key.opened == 4
    everything = await sessions.open("a", asked(key, *range(20, 30)))
    assert len(everything) == 10


async def test_over_the_budget_a_request_is_answered_503_and_nothing_is_stored() -> None:
    worker = worker_with(options=CollectorOptions(session_keys_per_second=2))
    await stored(form(GOOD), worker)
    answer = await worker.post("/sa?project=open", form([PHONE.events(SECOND), BROWSER.events(SECOND)]))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert len(worker.stored()) == 1
    assert (await worker.post("/sa?project=open", form(GOOD))).status_code == 200


async def test_while_keys_cannot_be_read_an_envelope_is_answered_503() -> None:
    def broken(project: str) -> KeyRing:
        raise OSError("the workspace is gone")

    worker = Worker(ring_of=broken)
    assert (await worker.post("/sa?project=open", form(GOOD))).status_code == 503
    assert not worker.stored()
    assert (await worker.sa(FIRST)).status_code == 200


_TEXT = text_of([GOOD, BROWSER.events(FIRST, SECOND), shared(AES.private, 7, [FIRST], single=False)])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    cuts=st.lists(
        st.tuples(st.integers(0, len(_TEXT)), st.integers(0, 40), st.binary(max_size=6)), max_size=4
    ),
    code=st.sampled_from([b"9", b"13", b"1", b""]),
)
async def test_no_mangled_envelope_fails_the_door(cuts: list[tuple[int, int, bytes]], code: bytes) -> None:
    text = _TEXT
    for at, length, instead in cuts:
        text = text[:at] + instead + text[at + length :]
    worker = worker_with()
    answer = await worker.post("/sa?project=open", b"gzip=%b&data_list=%b" % (code, percent(text)))
    assert answer.status_code == 200
    for each in worker.stored():
        assert len(each.elements) == each.header.count
        refused = {refusal.index: refusal.reason for refusal in each.header.refusals}
        assert all(refused.values())
        for index, event_id in enumerate(each.header.event_ids):
            assert (event_id == "") == (index in refused)


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=48).map(lambda raw: b64encode(raw).decode()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["pkv", "ekey", "flush_time", "payloads", "payload", "key_id", "event", "nc"]),
        _values,
    ),
    st.sampled_from(["data", "data_list"]),
)
async def test_no_odd_object_fails_the_door(sealed: dict[str, Any], field: str) -> None:
    worker = worker_with()
    whole = {**GOOD, **sealed}
    for odd in (sealed, whole):
        assert (await worker.post("/sa?project=open", form(odd, field=field))).status_code == 200
    assert all(all(each.reasons) for each in worker.stored())


def captured(number: str) -> Captured:
    (path,) = (FIXTURES / "web_1.26.17_sm").glob(f"{number}_*.http")
    return Captured(path)


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
