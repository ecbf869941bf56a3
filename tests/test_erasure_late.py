"""Encrypted envelopes that are opened only after somebody in them was erased."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from footfall import crash_points
from footfall.envelopes.keys import Algorithm, generate
from footfall.workspace.audit import AuditFilter
from tests.envelopes import Device, form
from tests.system import WRITE_KEY, Died, System, open_system
from tests.test_envelope_replays import bring, sweep
from tests.test_erasure import MINUTE, NOW, PROJECT, erase, findings, left_in, visit

DAY = 86_400_000
RSA = generate(Algorithm.RSA)
PHONE = Device(RSA, pkv=1)
LETTERS = f"{PROJECT}/dead-letters"


@pytest.fixture
async def installation(store_url: str, tmp_path: Path) -> AsyncIterator[System]:
    """With its log in files. Of ann-7 and bob one event each is known, and an envelope waits for its key:
    what is in it of ann-7 is from before her erasure, though some of it says a later time.
    """
    async with open_system(
        f"{store_url}?database=late_{tmp_path.name}", tmp_path, log_url=f"sqlite:///{tmp_path}/log"
    ) as system:
        system.clock.freeze(NOW)
        await system.send(visit("ann-7"), visit("bob"))
        inside = [
            told("ann-7"),
            told("ann-7", time=NOW + 2 * DAY),
            told("ann-7", event="1 bad"),
            told("ann-7", event="1 bad", time=NOW + 2 * DAY),
            told("bob"),
            told("bob", event="2 bad"),
            told("carl", anonymous_id="ann-7", login_id="carl", time=NOW + 2 * DAY),
        ]
        envelopes = form([PHONE.events(*inside, flush_time=NOW)])
        answer = await system.collector.post(f"/sa?token={WRITE_KEY}", content=envelopes)
        assert answer.status_code == 200
        await system.settle()
        assert system.rows("SELECT reason, count() FROM dead_letters GROUP BY 1") == [("encrypted", 1)]
        system.clock.freeze(NOW + 1)
        yield system


def told(who: str, **fields: Any) -> dict[str, Any]:
    record = {"type": "track", "event": "late", "distinct_id": who, "time": NOW - MINUTE}
    return record | {"properties": {"note": f"of {who}"}} | fields


async def shown(system: System) -> list[dict[str, Any]]:
    """All letters, as somebody with a secret key reads them."""
    page = (await system.query_api.get(LETTERS)).json()["letters"]
    return [(await system.query_api.get(f"{LETTERS}/{each['id']}")).json() for each in page]


async def test_what_is_opened_after_an_erasure_brings_nothing_back(
    installation: System, tmp_path: Path
) -> None:
    system = installation
    assert (await erase(system, "ann-7")).state == "finished"
    await bring(system, RSA, "1")
    await sweep(system)
    kept = system.rows("SELECT distinct_id, anonymous_id FROM events WHERE event = 'late' ORDER BY 1")
    assert kept == [("bob", ""), ("carl", "")]
    letters = await shown(system)
    assert sorted(each["reason"] for each in letters) == [
        "encrypted", "erased", "erased", "invalid_name", "invalid_name", "invalid_name",
    ]  # fmt: skip
    raws = [each["raw"] for each in letters if each["reason"] == "invalid_name"]
    assert [json.loads(raw)["distinct_id"] for raw in raws if raw] == ["bob"]
    await asyncio.to_thread(system.eraser.run_open)
    assert "encrypted" not in [each["reason"] for each in await shown(system)]
    assert left_in(system, tmp_path, "ann-7") == []
    assert findings(system) == []
    (row,) = system.workspace.audit.rows(AuditFilter(action="erasure.letters"))
    assert (row.project, row.detail) == ("default", '{"dead_letters":1}')
    await asyncio.to_thread(system.eraser.run_open)
    assert len([*system.workspace.audit.rows(AuditFilter(action="erasure.letters"))]) == 1


async def test_a_legal_hold_keeps_letters_that_were_opened_late(installation: System) -> None:
    system = installation
    await erase(system, "ann-7")
    await bring(system, RSA, "1")
    await sweep(system)
    held = await system.query_api.post(f"{PROJECT}/holds", json={"id": "bob", "reason": "case 1"})
    assert held.status_code == 201
    await asyncio.to_thread(system.eraser.run_open)
    assert "encrypted" in [each["reason"] for each in await shown(system)]
    await system.query_api.post(f"{PROJECT}/holds/release", json={"id": "bob", "reason": "over"})
    await asyncio.to_thread(system.eraser.run_open)
    assert "encrypted" not in [each["reason"] for each in await shown(system)]


async def test_kills_leave_no_letter_behind(installation: System) -> None:
    system = installation
    await erase(system, "ann-7")
    await bring(system, RSA, "1")
    await sweep(system)
    for point in ("E3", "E4", "E5"):  # before the plan, before it is carried out, before that is noted
        with dying_at(point), pytest.raises(Died):
            await asyncio.to_thread(system.eraser.run_open)
    await asyncio.to_thread(system.eraser.run_open)
    assert "encrypted" not in [each["reason"] for each in await shown(system)]
    assert system.rows("SELECT count() FROM removal_places WHERE startsWith(removal, 'late')") == [(0,)]
    assert findings(system) == []


@contextmanager
def dying_at(point: str) -> Iterator[None]:
    def die(reached: str) -> None:
        if reached == point:
            raise Died

    crash_points.observe(die)
    try:
        yield
    finally:
        crash_points.observe(None)


async def test_who_has_the_id_later_is_not_given_what_is_opened(installation: System) -> None:
    system = installation
    await erase(system, "ann-7")
    await bring(system, RSA, "1")
    await system.send(visit("ann-7", -1))
    await system.settle()
    asked = {"id": "ann-7", "reason": "request 8"}
    answer = await system.query_api.post(f"{PROJECT}/persons/export", json=asked)
    kinds = [json.loads(line)["kind"] for line in answer.text.splitlines()]
    assert kinds == ["about", "event", "end"]
    asked["id"] = "bob"
    answer = await system.query_api.post(f"{PROJECT}/persons/export", json=asked)
    letters = [each for each in map(json.loads, answer.text.splitlines()) if each["kind"] == "dead_letter"]
    assert [each["raw"] for each in letters] == [None]
