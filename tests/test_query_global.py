"""Answers that count persons, under the strategy `global`: random words on ids through both ports, against
the slow models of persons and of funnels.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from tests.reference.events import Event
from tests.reference.funnel import funnel
from tests.reference.identity_graph import Model, Told
from tests.system import SECRET_KEY, System
from tests.test_identity_global import IDS, KEYS, LOGINS, MODEL_KEYS, THEMES, record_of

START = 1_795_301_590_252
SEEDS = int(os.environ.get("IDENTITY_EXAMPLES", "2"))
STEPS = ("view", "sign", "buy")
BODY: dict[str, Any] = {
    "project": "bank",
    "range": {"from": "2026-01-01", "to": "2027-12-31"},
    "steps": [{"event": step} for step in STEPS],
    "window": {"value": 1, "unit": "hour"},
}


def words(random: Random) -> list[Told]:
    """What is said of few ids, a second apart."""
    among = random.choice([*THEMES, IDS])
    found = []
    for number in range(random.randint(4, 14)):
        kind = random.choice(["link", "link", "bind", "unbind"])
        ids = random.sample(among, random.randint(1, 2 if kind == "unbind" else 3))
        logins = [id_ for id_ in ids if id_ in LOGINS][:1]
        ids = [id_ for id_ in ids if id_ not in LOGINS or id_ in logins]
        trusted = random.random() < 0.3
        found.append(Told(kind, tuple(ids), frozenset(logins), trusted, START + 1_000 * number, 0, number))
    return found


def visits(random: Random) -> list[Event]:
    """Steps of every id, of those told of and of others, in any order; no two at one time."""
    times = random.sample(range(START - 7_200_000, START), 4 * len(IDS))
    return [
        Event(random.choice(STEPS), "track", time, IDS[number % len(IDS)], {}, event_id=str(number))
        for number, time in enumerate(times)
    ]


async def send(system: System, *records: dict[str, Any], key: str = SECRET_KEY) -> None:
    answer = (await system.send(*records, key=key)).json()
    assert answer == {"accepted": len(records), "rejected": []}


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_funnels_count_the_models_persons(system: System, seed: int) -> None:
    random = Random(seed)
    keys = [{**key._asdict()} for key in KEYS]
    system.clock.freeze(START)
    made = await system.query_api.post(
        "/api/v1/projects", json={"name": "bank", "identity": {"strategy": "global", "keys": keys}}
    )
    assert made.status_code == 201, made.text
    write_key, secret_key = made.json()["write_key"], made.json()["secret_key"]
    said, came = words(random), visits(random)
    half = len(came) // 2
    await send(system, *map(record_of_visit, came[:half]), key=write_key)
    for told in said:
        system.clock.freeze(told.received_at)
        record = record_of(told) | {"distinct_id": "null", "time": told.received_at}
        await send(system, record, key=secret_key if told.trusted else write_key)
        if random.random() < 0.3:
            await system.settle()
        if random.random() < 0.2:
            await system.restamp()
    await send(system, *map(record_of_visit, came[half:]), key=write_key)
    await system.settle()
    persons = Model(MODEL_KEYS, said).persons(IDS)
    seen = [Event(**{**asdict(each), "person": persons[str(each.person)]}) for each in came]
    expected = [step["users"] for step in funnel(seen, BODY, timezone="Asia/Shanghai")["steps"]]
    for _ in range(2):
        answer = await system.ask("funnel", BODY)
        assert [step["users"] for step in answer["steps"]] == expected
        await system.restamp()


def record_of_visit(event: Event) -> dict[str, Any]:
    time = datetime.fromtimestamp(event.time / 1000, UTC).isoformat()
    return {"event": event.name, "distinct_id": event.person, "time": time, "event_id": event.event_id}
