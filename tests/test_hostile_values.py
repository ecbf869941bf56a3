"""Hostile values from the door to the answer: refused with a reason, or read back exactly as they came."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.collector_worker import Worker, event
from tests.system import System

ROOT = Path(__file__).parent.parent

TEXTS = {
    "nul": "a\x00b",
    "controls": "".join(map(chr, range(1, 32))),
    "delete": "\x7f\x80\x9f",
    "right_to_left": "\u202e\u200f\u2066",
    "emoji": "\U0001f469\u200d\U0001f680 \U0001f1e8\U0001f1f3",
    "rare_chinese": "\U00020000\U0002a6d6\u9fa5\u3400",
    "not_normalised": "e\u0301 \u00e9",
    "noncharacters": "\ufffe\uffff\ufeff",
    "replacement": "\ufffd",
    "quotes": "'\"`\\{}%$;--/*",
    "lines": "a\r\nb\tc\u2028\u2029",
    "empty": "",
    "blank": "  \u00a0\u3000",
    "formula": "=cmd|' /C calc'!A0",
    "markup": "<script>alert(1)</script>",
}

NUMBERS = (
    "0", "-1", "127", "128", "-128", "-129", "255", "256", "32767", "32768", "65535", "65536",
    "2147483647", "2147483648", "4294967295", "4294967296", "9007199254740991", "9007199254740993",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551615",
    "18446744073709551616", "12345678901234567890123", "0.1", "-0.5", "1e308", "5e-324", "123456.789",
)  # fmt: skip


async def exported(system: System) -> dict[str, dict[str, Any]]:
    """The stored events' properties by event id, numbers as they are written."""
    answer = await system.query_api.get("/api/v1/projects/default/export")
    lines = [json.loads(line, parse_int=str, parse_float=str) for line in answer.text.split("\n") if line]
    return {line["event"]: line["properties"] for line in lines}


async def test_text_reads_back_as_it_came(system: System) -> None:
    records = [event(event=f"E_{name}", properties={"text": text}) for name, text in TEXTS.items()]
    now = system.clock()
    answer = await system.send(*[{**record, "time": now} for record in records])
    assert answer.json()["rejected"] == []
    await system.settle()
    stored = await exported(system)
    assert {name: stored[f"E_{name}"].get("text") for name in TEXTS} == TEXTS
    people = await system.query_api.get("/api/v1/users/u/events")
    assert people.status_code in (200, 404)


async def test_numbers_are_exact_whatever_their_size(system: System) -> None:
    now = system.clock()
    texts = [
        json.dumps({**event(event=f"N_{place}"), "time": now, "properties": {"number": 0}}).replace(
            '"number": 0', f'"number": {number}, "amount": {number}'
        )
        for place, number in enumerate(NUMBERS)
    ]
    answer = await system.collector.post(
        "/v1/events",
        content="[" + ",".join(texts) + "]",
        headers={"Authorization": "Bearer ff_wk_of_the_test"},
    )
    assert answer.json()["rejected"] == [], answer.text
    await system.settle()
    stored = await exported(system)
    for place, number in enumerate(NUMBERS):
        for name in ("number", "amount"):
            found = stored[f"N_{place}"][name]
            if "e" in number or "." in number:
                assert float(found) == float(number), (number, name, found)
            else:
                assert found == number, (number, name, found)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e999", "1" * 5_000])
async def test_a_number_that_is_none_is_refused_and_its_neighbours_are_not(number: str) -> None:
    worker = Worker()
    bad = json.dumps(event(properties={"x": 0})).replace('"x": 0', f'"x": {number}')
    body = f"[{bad},{json.dumps(event(event_id='good'))}]"
    answer = await worker.track(body.encode())
    assert answer.json()["accepted"] == 1
    assert [refused["reason"] for refused in answer.json()["rejected"]] == ["invalid_number"]


GOOD = json.dumps(event()).encode()
ZEROS = bytes(40_000_000)


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", gzip.compress(GOOD), 200),
        ("gzip", gzip.compress(ZEROS), 413),
        ("gzip", gzip.compress(gzip.compress(ZEROS)), 400),
        ("gzip", gzip.compress(GOOD)[:-1], 400),
        ("gzip", gzip.compress(GOOD, mtime=0)[:5], 400),
        ("gzip", gzip.compress(GOOD) + b"garbage", 400),
        ("gzip", GOOD, 400),
        ("gzip", b"", 400),
        ("zstd", zstandard.compress(GOOD), 200),
        ("zstd", zstandard.compress(ZEROS), 413),
        ("zstd", zstandard.compress(GOOD)[:-1], 400),
        ("zstd", zstandard.compress(GOOD) + b"garbage", 400),
        ("zstd", gzip.compress(GOOD), 400),
        ("gzip, gzip", gzip.compress(gzip.compress(GOOD)), 415),
        ("br", GOOD, 415),
        ("x" * 10_000, GOOD, 415),
    ],
)
async def test_a_body_is_unpacked_once_and_up_to_the_limit(encoding: str, body: bytes, status: int) -> None:
    answer = await Worker().track(body, headers={"Content-Encoding": encoding})
    assert answer.status_code == status, answer.text


def test_every_row_of_the_page_names_tests_that_are_there() -> None:
    """docs/reliability.md says which tests hold F19 to F25."""
    page = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| (F\d\d) \|.*\| ([^|]*) \|$", page, re.MULTILINE))
    assert list(rows) == [f"F{number}" for number in range(19, 26)]
    for row, named in rows.items():
        files = re.findall(r"`(tests/[a-z_]+\.py)`", named)
        assert files, row
        for file in files:
            assert "def test_" in (ROOT / file).read_text("utf-8"), f"{row}: {file}"
