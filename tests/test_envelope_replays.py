"""Envelopes that came before their key: once it is there, all that is inside is stored, exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from unittest.mock import ANY

import pytest
from prometheus_client import CollectorRegistry, Counter

from footfall import crash_points
from footfall.envelopes.keys import Algorithm, KeyPair, generate
from footfall.proof.findings import Finding
from footfall.proof.verify import rules_in, verify
from footfall.treatment.policy import Policies
from footfall.workspace.audit import AuditFilter
from footfall.workspace.envelope_keys import KeyRings
from query_api.dead_letters import Letters
from query_api.envelope_sweep import EnvelopeSweep
from query_api.replays import Replays
from tests.envelopes import Device, form, noise, shared
from tests.system import INSTALLATION_KEY, SECRET_KEY, VAULT, WRITE_KEY, Died, System

NOON = 1_795_000_000_000
DAY = 86_400_000
RSA, SM2, AES = generate(Algorithm.RSA), generate(Algorithm.SM2), generate(Algorithm.AES)
PHONE, BROWSER = Device(RSA, pkv=1), Device(SM2, pkv=3)
LETTERS = "/api/v1/projects/default/dead-letters"


def event(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": name,
        "distinct_id": "a",
        "time": NOON - 5_000,
        "properties": {},
    } | fields


NAMELESS = {"type": "profile_increment", "distinct_id": "a", "time": NOON, "properties": {"visits": 1}}
"""What some SDKs send without a `_track_id`: equal ones are told apart by their order."""


async def send(system: System, *envelopes: Any) -> None:
    answer = await system.collector.post(f"/sa?token={WRITE_KEY}", content=form(list(envelopes)))
    assert answer.status_code == 200
    await system.settle()


async def bring(system: System, pair: KeyPair, version: str) -> None:
    """The key comes, a minute later."""
    system.clock.freeze(system.clock() + 60_000)
    system.workspace.envelope_keys.add("default", pair, version, VAULT, system.clock())


@contextmanager
def sweeper(system: System) -> Iterator[EnvelopeSweep]:
    """As an engine that has just started."""
    letters = Letters(system.store, system.sealer)
    uses = Counter("uses", "", ("project", "key", "outcome"), registry=CollectorRegistry())
    replays = Replays(
        letters, system.store, system.log, system.keyed_hash,
        policy_of=Policies(system.workspace, INSTALLATION_KEY),
        ring_of=KeyRings(system.workspace.envelope_keys, VAULT), key_uses=uses, clock=system.clock,
    )  # fmt: skip
    with closing(replays):
        yield EnvelopeSweep(system.workspace, letters, replays, lambda: False)


async def sweep(system: System) -> int:
    with sweeper(system) as sweeping:
        replayed = await asyncio.to_thread(sweeping.sweep)
    await system.settle()
    return replayed


async def closed(system: System) -> dict[str, Any]:
    """The ledger, which must close; and nothing is amiss in the store."""
    total = await system.ledger()
    accounted = total["stored"] + total["duplicate"] + sum(total["rejected"].values()) + total["queued"]
    assert total["received"] == accounted
    told = verify(system.store, system.log, rules_in(system.workspace))
    assert [each for each in told if isinstance(each, Finding)] == []
    return total


def events(system: System) -> list[tuple[Any, ...]]:
    sql = "SELECT event, toUnixTimestamp64Milli(time), event_key FROM events ORDER BY event, time"
    return list(system.rows(sql))


def everything(system: System) -> list[Any]:
    """What the store knows, but for where it came from."""
    profiles = system.rows(
        "SELECT user_id, properties FROM profiles FINAL WHERE NOT deleted ORDER BY user_id"
    )
    return [events(system), profiles]


BATCH = [
    event("view", _track_id=1),
    event("buy", _track_id=2, properties={"amount": 1.5}),
    NAMELESS,
    NAMELESS,
]


async def test_what_waited_is_stored_as_if_the_key_had_been_there(system: System) -> None:
    system.clock.freeze(NOON)
    await send(system, PHONE.events(*BATCH[:3], flush_time=NOON), PHONE.events(BATCH[3]))
    await send(system, BROWSER.events(event("click"), flush_time=NOON - 2 * DAY))
    assert events(system) == []
    await bring(system, RSA, "1")
    assert await sweep(system) == 4
    await bring(system, SM2, "3")
    assert await sweep(system) == 1
    found = everything(system)
    assert [name for name, *_ in found[0]] == ["buy", "click", "view"]
    assert found[0][1][1] == NOON - 5_000 + 2 * DAY  # by the envelope's clock
    assert await sweep(system) == 0
    total = await closed(system)
    assert (total["received"], total["stored"], total["rejected"]) == (8, 5, {"encrypted": 3})
    # The devices send everything again, now that the key is there: nothing changes.
    system.clock.freeze(NOON)
    await send(system, PHONE.events(*BATCH[:3], flush_time=NOON), PHONE.events(BATCH[3]))
    await send(system, BROWSER.events(event("click"), flush_time=NOON - 2 * DAY))
    assert everything(system) == found
    assert (await closed(system))["duplicate"] == 5


async def test_what_is_refused_inside_becomes_a_dead_letter_of_its_own(system: System) -> None:
    system.clock.freeze(NOON)
    sealed = PHONE.events(
        event("view"), event("1 bad"), event("old", time=NOON - 400 * DAY), event("fine"), flush_time=NOON
    )
    sealed["payloads"][3] = noise(64)
    sealed["payloads"].append(PHONE.payload(b'["no record", {"event": "last", "distinct_id": "a"}]'))
    await send(system, sealed)
    await bring(system, RSA, "1")
    system.clock.freeze(NOON + 30 * DAY)
    assert (await system.query_api.post(f"{LETTERS}/replay", json={"reason": "encrypted"})).json() == {
        "dry_run": False, "replayed": 2, "stored_before": 0, "replayed_before": 0,
        "refused": {"invalid_name": 1, "not_an_object": 1, "too_old": 1, "undecryptable": 1},
    } | {"letters": ANY}  # fmt: skip
    await system.settle()
    assert [name for name, *_ in events(system)] == ["last", "view"]
    counts = {each["reason"]: each["count"] for each in await counted(system)}
    assert counts == {"encrypted": 1, "invalid_name": 1, "not_an_object": 1, "too_old": 1, "undecryptable": 1}
    # They are mended as any other, at the time when they came.
    fix = {"reason": "too_old", "time_free": True}
    assert (await system.query_api.post(f"{LETTERS}/replay", json=fix)).json()["replayed"] == 1
    fix = {"reason": "invalid_name", "fix": 'set /event = "good"'}
    assert (await system.query_api.post(f"{LETTERS}/replay", json=fix)).json()["replayed"] == 1
    again = (await system.query_api.post(f"{LETTERS}/replay", json={"reason": "encrypted"})).json()
    assert (again["replayed"], again["replayed_before"]) == (0, 6)
    await system.settle()
    assert [(name, time) for name, time, _ in events(system)][:2] == [
        ("good", NOON - 5_000),
        ("last", NOON),
    ]
    assert events(system)[2][:2] == ("old", NOON - 400 * DAY)
    await closed(system)


async def counted(system: System) -> list[dict[str, Any]]:
    return (await system.query_api.get(f"{LETTERS}/counts")).json()["reasons"]


async def test_events_are_enriched_by_who_sent_the_envelope(system: System) -> None:
    system.clock.freeze(NOON)
    for agent in ("Chrome/120.0.0.0", "Firefox/121.0"):
        body = form([BROWSER.events(event("view", _track_id=len(agent)))])
        headers = {
            "User-Agent": f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:121.0) Gecko/20100101 {agent}"
        }
        await system.collector.post(f"/sa?token={WRITE_KEY}", content=body, headers=headers)
    await system.settle()
    await bring(system, SM2, "3")
    assert await sweep(system) == 2
    found = system.rows("SELECT `p_$browser` FROM events ORDER BY 1")
    assert found == [("Chrome",), ("Firefox",)]


async def test_privacy_rules_treat_what_was_inside_as_at_the_door(system: System) -> None:
    system.clock.freeze(NOON)
    told = {"note": "call 13812345678", "password": "hunter2"}
    await send(system, PHONE.events(event("late", properties=told)))
    await bring(system, RSA, "1")
    assert await sweep(system) == 1
    await send(system, Device(RSA, 1, b"another session.").events(event("plain", properties=told)))
    answer = await system.collector.post(
        f"/sa?token={WRITE_KEY}", content=form(event("plain", properties=told))
    )
    assert answer.status_code == 200
    await system.settle()
    found = system.rows("SELECT DISTINCT properties FROM events WHERE event IN ('late', 'plain')")
    assert len(found) == 1
    assert "13812345678" not in str(found)
    assert "hunter2" not in str(found)


async def test_each_key_that_comes_has_all_that_waits_tried_again(system: System) -> None:
    system.clock.freeze(NOON)
    await send(system, PHONE.events(event("view")), BROWSER.events(event("1 bad")))
    letters = Letters(system.store, system.sealer)
    with sweeper(system) as sweeping:
        await bring(system, RSA, "1")
        assert await asyncio.to_thread(sweeping.sweep) == 1
        await bring(system, SM2, "3")
        await asyncio.to_thread(sweeping.sweep)
    await system.settle()
    # What was replayed waits no more, and what was refused inside is refused once.
    assert letters.waiting("default", "encrypted", {}, until=NOON + DAY, limit=9) == []
    again = await system.query_api.post(f"{LETTERS}/replay", json={"reason": "encrypted"})
    assert again.json()["replayed_before"] == 2
    await system.settle()
    counts = {each["reason"]: each["count"] for each in await counted(system)}
    assert counts == {"encrypted": 2, "invalid_name": 1}
    assert len(events(system)) == 1


async def test_a_key_that_does_not_open_leaves_the_letter_as_it_is(system: System) -> None:
    system.clock.freeze(NOON)
    await send(system, PHONE.events(event("view")), shared(AES.private, 7, [event("tap")], single=True))
    await bring(system, generate(Algorithm.RSA), "1")
    await bring(system, generate(Algorithm.AES), "7")
    assert await sweep(system) == 0
    assert system.rows("SELECT count() FROM replays") == [(0,)]
    await closed(system)


async def test_a_collector_that_did_not_know_the_key_yet_is_caught_up_with(system: System) -> None:
    system.clock.freeze(NOON)
    rings = system.collector._transport.app._sensors.keys._rings  # type: ignore[attr-defined]
    rings._seconds = (3_600.0, 3_600.0)
    with sweeper(system) as sweeping:
        await send(system, PHONE.events(event("view", _track_id=1)))
        await bring(system, RSA, "1")
        assert await asyncio.to_thread(sweeping.sweep) == 1
        await send(system, PHONE.events(event("view", _track_id=2)))
        assert len(events(system)) == 1
        assert await asyncio.to_thread(sweeping.sweep) == 1
        assert await asyncio.to_thread(sweeping.sweep) == 0  # not processed yet, and not sent again
        await system.settle()
        assert len(events(system)) == 2
        # What comes much later was judged with the key: if that does not open it, nobody tries again.
        system.clock.freeze(system.clock() + DAY)
        await send(system, PHONE.events(event("view", _track_id=3)))
        assert await asyncio.to_thread(sweeping.sweep) == 0
    assert (await closed(system))["duplicate"] == 0


async def test_a_sweep_that_dies_behind_the_log_is_done_again_and_stores_once(system: System) -> None:
    system.clock.freeze(NOON)
    await send(system, PHONE.events(*BATCH, flush_time=NOON))
    await bring(system, RSA, "1")

    def die(point: str) -> None:
        if point == "K1":
            raise Died

    crash_points.observe(die)
    try:
        for _ in range(2):
            with sweeper(system) as sweeping, pytest.raises(Died):
                await asyncio.to_thread(sweeping.sweep)
    finally:
        crash_points.observe(None)
    assert await sweep(system) == 4
    assert len(events(system)) == 2
    assert system.rows("SELECT outcome, count() FROM replays GROUP BY outcome ORDER BY outcome") == [
        ("duplicate", 8),
        ("stored", 4),
    ]
    assert [properties for _, properties in everything(system)[1]] == [{"visits": "2"}]
    assert await sweep(system) == 0
    await closed(system)


async def test_the_engine_may_die_at_any_insert_of_a_replay(system: System) -> None:
    system.clock.freeze(NOON)
    await send(system, PHONE.events(*BATCH, event("1 bad"), flush_time=NOON))
    await bring(system, RSA, "1")
    with sweeper(system) as sweeping:
        assert await asyncio.to_thread(sweeping.sweep) == 4
    assert await system.settle_dying() >= 5
    assert len(events(system)) == 2
    found = system.rows("SELECT outcome, count() FROM replays GROUP BY outcome ORDER BY outcome")
    assert found == [("rejected", 1), ("stored", 4)]
    total = await closed(system)
    assert (total["received"], total["stored"]) == (6, 4)
    assert total["rejected"] == {"encrypted": 1, "invalid_name": 1}


async def test_letters_are_replayed_in_portions(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("query_api.replays._BYTES_AT_ONCE", 3_000)
    monkeypatch.setattr("query_api.envelope_sweep._REQUESTS_AT_ONCE", 3)
    system.clock.freeze(NOON)
    for number in range(8):
        await send(system, *[PHONE.events(event("view", _track_id=number * 10 + n)) for n in range(4)])
    await bring(system, RSA, "1")
    assert await sweep(system) == 32
    assert len(events(system)) == 32
    await closed(system)


KEYS = "/api/v1/projects/default/envelope-keys"


async def test_keys_are_made_published_and_retired_over_the_api(system: System) -> None:
    made = await system.query_api.post(KEYS, json={"algorithm": "SM2", "publish": True})
    assert made.status_code == 201
    assert (made.json()["name"], made.json()["current"]) == ("sm2-1", True)
    own = await system.query_api.post(
        KEYS, json={"algorithm": "SM2", "version": 7, "private_key": SM2.private.hex()}
    )
    assert (own.json()["name"], own.json()["public_key"]) == ("sm2-7", SM2.public)
    retired = await system.query_api.post(f"{KEYS}/sm2-1/retire")
    assert (retired.status_code, "publish another" in retired.json()["detail"]) == (409, True)
    assert (await system.query_api.post(f"{KEYS}/sm2-7/publish")).json()["current"]
    assert (await system.query_api.post(f"{KEYS}/sm2-1/retire")).json()["retired_at"]
    secret = (await system.query_api.post(KEYS, json={"algorithm": "AES", "version": "app"})).json()["secret"]
    assert len(bytes.fromhex(secret)) == 16
    shown = await system.query_api.get(KEYS)
    assert [key["name"] for key in shown.json()["keys"]] == ["sm2-1", "sm2-7", "aes-app"]
    assert SM2.private.hex() not in shown.text
    assert secret not in shown.text
    rows = system.workspace.audit.rows(AuditFilter(action="envelope_keys."))
    assert [(row.action.partition(".")[2], row.subject) for row in rows] == [
        ("add", "sm2-1"),
        ("publish", "sm2-1"),
        ("add", "sm2-7"),
        ("publish", "sm2-7"),
        ("retire", "sm2-1"),
        ("add", "aes-app"),
    ]


async def test_what_is_wrong_about_a_key_is_said_without_repeating_it(system: System) -> None:
    for body, status, field, words in (
        ({"algorithm": "SM3"}, 422, "algorithm", "SM2"),
        ({"algorithm": "SM2", "private_key": "abcdef"}, 422, "private_key", "64 hexadecimal"),
        ({"algorithm": "SM2", "private_key": 77777}, 422, "private_key", "text"),
        ({"algorithm": "RSA", "private_key": "abcdef"}, 422, "private_key", "PEM"),
        ({"algorithm": "RSA", "version": "x"}, 422, "version", "whole number"),
        ({"algorithm": "AES", "publish": True}, 422, "publish", "never"),
        ({"algorithm": "AES", "privat_key": "abcdef"}, 422, "privat_key", "private_key"),
    ):
        answer = await system.query_api.post(KEYS, json=body)
        assert (answer.status_code, answer.json()["field"]) == (status, field), answer.text
        assert words in answer.text
        assert "abcdef" not in answer.text
        assert "77777" not in answer.text
    await system.query_api.post(KEYS, json={"algorithm": "SM2", "version": 7})
    answer = await system.query_api.post(f"{KEYS}/sm2-8/publish")
    assert (answer.status_code, "did you mean 'sm2-7'" in answer.json()["detail"]) == (404, True)
    again = await system.query_api.post(KEYS, json={"algorithm": "SM2", "version": 7})
    assert (again.status_code, "already" in again.json()["detail"]) == (422, True)
    for key in (WRITE_KEY, "nonsense"):
        refused = await system.query_api.get(KEYS, headers={"Authorization": f"Bearer {key}"})
        assert refused.status_code in (401, 403)
    assert SECRET_KEY
