"""Session keys are opened once, within a budget of which no project takes all."""

from __future__ import annotations

import asyncio

import pytest

from collector.answers import Overloaded
from collector.counts import Counts
from collector.key_use import KeyUses
from collector.options import CollectorOptions
from collector.session_keys import SessionKeys
from footfall.envelopes.keys import Algorithm, HeldKey
from footfall.envelopes.opening import Asked
from footfall.workspace.audit import Audit
from tests.encrypted_worker import (
    BROWSER,
    GOOD,
    PHONE,
    SECOND,
    stored,
    worker_with,
)
from tests.envelopes import form


def no_audit() -> Audit:
    raise AssertionError("nothing is written here")


NO_AUDIT = KeyUses(no_audit)


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
