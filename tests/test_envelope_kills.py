"""Envelopes whose key comes while a real Footfall is killed around it: stored once all the same."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from footfall.envelopes.keys import Algorithm, generate
from tests.envelopes import Device, form
from tests.restartable import Restartable

RSA = generate(Algorithm.RSA)
PROJECT = "/api/v1/projects/default"
_PATIENCE_SECONDS = 90


def event(number: int) -> dict[str, Any]:
    now = time.time_ns() // 1_000_000
    return {
        "type": "track",
        "event": "Paid",
        "distinct_id": "a",
        "time": now,
        "_track_id": number,
        "properties": {},
    }


def until(holds: Callable[[], bool], footfall: Restartable) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, footfall.log_tail()
        time.sleep(0.1)


def ledger(footfall: Restartable) -> dict[str, Any]:
    """What is in the ledger; {} while nobody answers."""
    try:
        answer = footfall.query.get(f"{PROJECT}/ledger")
    except httpx.TransportError:
        return {}
    return dict(answer.json()["total"]) if answer.status_code == 200 else {}


def test_killed_between_key_and_replay_and_again_within_it_all_is_stored_once(tmp_path: Path) -> None:
    died = tmp_path / "died"
    variables = {"FOOTFALL_WRITE_KEY": "ff_wk_kills", "FOOTFALL_FAULT": f"K1@{died}"}
    with closing(Restartable(tmp_path, **variables)) as footfall:
        footfall.start()
        sealed = [Device(RSA, pkv=1).events(*map(event, range(each, each + 3))) for each in (0, 3)]
        url = f"http://127.0.0.1:{footfall.collect_port}/sa?token=ff_wk_kills"
        assert httpx.post(url, content=form(sealed)).status_code == 200
        until(lambda: ledger(footfall).get("rejected") == {"encrypted": 2}, footfall)
        key = {"algorithm": "RSA", "version": "1", "private_key": b64encode(RSA.private).decode()}
        answer = footfall.query.post(f"{PROJECT}/envelope-keys", json=key)
        assert answer.status_code in (200, 201), answer.text
        footfall.kill()
        died.unlink(missing_ok=True)  # a slow machine may have got so far already

        footfall.start()  # the engine dies behind the log, and the supervisor starts the next
        until(died.exists, footfall)
        until(lambda: ledger(footfall).get("duplicate") in (6, 12), footfall)
        total = ledger(footfall)
        assert (total["stored"], total["rejected"]) == (6, {"encrypted": 2})
        lines = footfall.query.get(f"{PROJECT}/export").text.splitlines()
        assert sorted(json.loads(line)["event"] for line in lines) == ["Paid"] * 6
