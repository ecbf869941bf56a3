"""Thousands of random and malformed bodies: never a 500, bounded memory, and everything accounted for."""

from __future__ import annotations

import base64
import gzip
import json
import random
import resource
import sys
import zlib

import pytest
import zstandard

from collector.answers import BodyTooLarge, UnreadableBody
from collector.bodies import decompress, gunzip
from collector.options import CollectorOptions
from footfall.events.limits import BodyLimits
from tests.collector_worker import NOW, Worker, event

BODIES = 10_000
SEED = 20_261_121


def random_value(rng: random.Random, depth: int = 0) -> object:
    kind = rng.randrange(12)
    if kind < 2 and depth < 5:
        return [random_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind < 4 and depth < 5:
        return {random_text(rng): random_value(rng, depth + 1) for _ in range(rng.randrange(4))}
    plain = [None, True, rng.randrange(-(10**30), 10**30), rng.random() * 10 ** rng.randrange(300), NOW]
    return rng.choice([*plain, random_text(rng), "x" * rng.randrange(20_000), float("nan"), float("inf")])


def random_text(rng: random.Random) -> str:
    return "".join(
        chr(rng.choice([0, 34, 92, 97, 0x4E2D, 0xD800, 0x1F600, 127])) for _ in range(rng.randrange(5))
    )


def random_record(rng: random.Random) -> object:
    if rng.random() < 0.2:
        return random_value(rng)
    record: dict[str, object] = event(properties={"a": 1})
    for _ in range(rng.randrange(3)):
        record[rng.choice([*record, "type", "login_id", "_track_id", "project", "sent_at", "x"])] = (
            random_value(rng)
        )
    return record


def random_json(rng: random.Random) -> bytes:
    records = [random_record(rng) for _ in range(rng.randrange(5))]
    form = rng.randrange(5)
    if form == 0:
        return json.dumps(random_record(rng)).encode()
    if form == 1:
        return json.dumps({"events": records}).encode()
    if form == 2:
        return b"\n".join(json.dumps(record).encode() for record in records)
    if form == 3:
        depth = rng.choice([10, 40, 2_000, 50_000])
        return b'[{"event":"a","distinct_id":"u","x":' + b"[" * depth + b"]" * depth + b"}]"
    return json.dumps(records).encode()


def damage(rng: random.Random, body: bytes) -> bytes:
    kind = rng.randrange(6)
    if not body or kind < 3:
        return body
    at = rng.randrange(len(body))
    if kind == 3:
        return body[:at]
    if kind == 4:
        return body[:at] + rng.randbytes(rng.randrange(1, 5)) + body[at:]
    return body[:at] + body[at + rng.randrange(1, 9) :]


def random_request(rng: random.Random) -> tuple[str, bytes, dict[str, str]]:
    body = damage(
        rng, rng.choice([random_json, random_json, random_json, lambda r: r.randbytes(r.randrange(300))])(rng)
    )
    if rng.random() < 0.01:
        body = b" " * 3_000_000
    if rng.random() < 0.5:
        packed = {
            "": lambda: body,
            "gzip": lambda: gzip.compress(body, 1),
            "zstd": lambda: zstandard.compress(body),
            "deflate": lambda: zlib.compress(body),
        }
        encoding = rng.choice(list(packed))
        headers = {"Content-Encoding": encoding} if encoding else {}
        return (
            "/v1/events?key=" + rng.choice(["wk-default", "sk-all"]),
            damage(rng, packed[encoding]()),
            headers,
        )
    wrapped = base64.b64encode(gzip.compress(body, 1) if rng.random() < 0.5 else body)
    field = rng.choice([b"data=", b"data_list=", b"gzip=9&data=", b"crc=5&data=", b""])
    return "/sa?project=" + rng.choice(["open", "default", "%00"]), damage(rng, field + wrapped), {}


async def test_random_bodies_never_break_it_and_are_all_accounted_for():
    rng = random.Random(SEED)
    worker = Worker(CollectorOptions(limits=BodyLimits(body_bytes=200_000, decompressed_bytes=2_000_000)))
    statuses: dict[int, int] = {}
    before = peak_bytes()
    async with worker.client() as client:
        for number in range(BODIES):
            path, body, headers = random_request(rng)
            answer = await client.post(path, content=body, headers=headers)
            assert answer.status_code in (200, 400, 413, 415), (number, path, answer.status_code, body[:200])
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        assert (await worker.track(event())).status_code == 200
    log_bytes = sum(len(record.payload) for record in worker.log.read(0, 0, 1 << 40))
    assert peak_bytes() - before < 3 * log_bytes + 200 * 1024 * 1024
    assert set(statuses) == {200, 400, 413, 415}
    for stored in worker.stored():
        elements, refused = stored.elements, {refusal.index for refusal in stored.header.refusals}
        assert len(elements) == stored.header.count == len(stored.header.event_ids)
        assert [not event_id for event_id in stored.header.event_ids] == [
            n in refused for n in range(len(elements))
        ]
        stored.records()
        stored.dead_letters()
    assert sum(tally.count for tally in worker.log.tallies(0)) == sum(s.header.count for s in worker.stored())


def peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


async def test_a_body_that_is_all_brackets_or_braces_is_turned_away_at_once():
    worker = Worker()
    for body in (
        b"[" * 8_000_000,
        b"[" + b"{}," * 2_600_000 + b"{}]",
        b'{"events":[' + b"1," * 3_900_000 + b"1]}",
        b"\n" * 8_000_000 + b"{",
        b"{" + b"\n" * 8_000_000,
        b'["' + b"\\" * 8_000_000,
        b'{"event":"a","distinct_id":"' + b"\\u0041" * 1_300_000 + b'"}',
    ):
        answer = await worker.track(body)
        assert answer.status_code in (200, 400, 413)
    assert (await worker.track(event())).json()["accepted"] == 1


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_072, 1_000_000])
def test_what_is_packed_comes_out_whole_in_whatever_pieces(size: int) -> None:
    noise = random.Random(SEED).randbytes(size)
    for plain in (noise, bytes(size), noise[: size // 2] + bytes(size - size // 2)):
        half = size // 2
        for packed in (
            gzip.compress(plain),
            gzip.compress(plain) + bytes(1_000),
            gzip.compress(plain[:half]) + bytes(3) + gzip.compress(plain[half:]),
        ):
            assert gunzip(packed, size) == plain
            if size:
                with pytest.raises(BodyTooLarge):
                    gunzip(packed, size - 1)
            with pytest.raises(UnreadableBody):
                gunzip(packed.rstrip(b"\0")[: -9 if size else -1], size)
            with pytest.raises(UnreadableBody):
                gunzip(packed + b"garbage", size)


@pytest.mark.parametrize("says", [True, False])
def test_a_zstd_frame_is_held_to_what_is_in_it_whether_it_says_or_not(says: bool) -> None:
    packed = zstandard.ZstdCompressor(write_content_size=says).compress(b"abc" * 1_000)
    assert decompress(packed * 2, b"zstd", 6_000) == b"abc" * 2_000
    with pytest.raises(BodyTooLarge):
        decompress(packed * 2, b"zstd", 5_999)
    for end in range(1, len(packed)):
        with pytest.raises(UnreadableBody, match="cut off"):
            decompress(packed[:end], b"zstd", 3_000)


async def test_bombs_are_defused():
    worker = Worker()
    zeros = bytes(100_000_000)
    for encoding, bomb in (
        ("gzip", gzip.compress(zeros)),
        ("gzip", gzip.compress(gzip.compress(zeros))),
        ("zstd", zstandard.compress(zeros)),
        ("zstd", zstandard.ZstdCompressor(write_content_size=False).compress(zeros)),
    ):
        answer = await worker.track(bomb, headers={"Content-Encoding": encoding})
        assert answer.status_code in (400, 413)
    data = b"data=" + base64.b64encode(gzip.compress(zeros)).replace(b"+", b"%2B")
    assert (await worker.post("/sa?project=open", data)).status_code == 200
