"""Encrypted envelopes that do not open: each has its reason, rests as it came, and harms nobody else."""

from __future__ import annotations

import gzip
import json
import struct
from base64 import b64decode, b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.options import CollectorOptions
from footfall.envelopes import forms
from footfall.envelopes.keys import KeyRing, generate
from footfall.events.limits import BodyLimits
from tests.collector_worker import NOW, Stored, Worker, event
from tests.encrypted_worker import (
    AES,
    BROWSER,
    DEVICES,
    FIRST,
    GOOD,
    PHONE,
    SECOND,
    ring_of,
    stored,
    worker_with,
)
from tests.envelopes import form, noise, percent, shared, text_of


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
