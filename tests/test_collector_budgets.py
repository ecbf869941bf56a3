"""Budgets of keys and addresses, and shares: one who floods a worker leaves room for the others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from collector import budgets
from collector.answers import Overloaded
from collector.budgets import BURST_SECONDS, LONGEST_WAIT, Budget, Shares, neighbourhood
from collector.options import CollectorOptions
from tests.collector_worker import Worker, event


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(budgets, "monotonic", clock)
    return clock


def is_let_in(budget: Budget, name: str = "a") -> bool:
    try:
        budget.check(name)
    except Overloaded:
        return False
    return True


def test_a_budget_is_a_rate_after_a_burst(clock: Clock) -> None:
    budget = Budget(5, "records of this key")
    budget.spend("a", 5 * BURST_SECONDS)
    assert is_let_in(budget)
    budget.spend("a", 10)  # a whole batch passes, and is owed
    with pytest.raises(Overloaded, match="budget of 5 records of this key a second") as refused:
        budget.check("a")
    assert (b"retry-after", b"2") in refused.value.answer().headers
    assert is_let_in(budget, "b")
    clock.now += 2
    assert is_let_in(budget)
    clock.now += 1_000
    budget.spend("a", 5 * BURST_SECONDS)
    assert is_let_in(budget)
    budget.spend("a", 1_000_000)
    with pytest.raises(Overloaded) as refused:
        budget.check("a")
    assert (b"retry-after", b"%d" % LONGEST_WAIT) in refused.value.answer().headers


def test_without_a_rate_nothing_is_counted(clock: Clock) -> None:
    budget = Budget(0, "records")
    budget.spend("a", 10**12)
    assert is_let_in(budget)
    assert not budget._left


def test_names_are_forgotten_so_that_memory_is_bounded(clock: Clock) -> None:
    budget = Budget(1, "records")
    for number in range(12_000):
        budget.spend(str(number), 1)
    assert len(budget._left) == 10_000


def take(shares: Shares, name: str, times: int) -> int:
    """How many of them were let in."""
    taken = 0
    for _ in range(times):
        try:
            shares.take(name)
        except Overloaded:
            continue
        taken += 1
    return taken


def test_who_is_alone_may_have_all_but_a_place_for_newcomers() -> None:
    shares = Shares(80, "requests")
    assert take(shares, "noisy", 100) == 70
    assert take(shares, "calm", 10) == 10
    assert take(shares, "other", 1) == 0  # full


def test_who_holds_more_than_their_share_waits_for_who_holds_less() -> None:
    shares = Shares(80, "requests")
    assert take(shares, "noisy", 70) == 70
    assert take(shares, "calm", 5) == 5
    shares.give_back("noisy", 10)
    assert take(shares, "noisy", 1) == 0
    assert take(shares, "calm", 15) == 15
    shares.give_back("noisy", 60)
    shares.give_back("calm", 20)
    assert take(shares, "noisy", 80) == 70
    shares.give_back("noisy", 70)
    assert not shares._held


def test_something_larger_than_a_share_comes_alone() -> None:
    shares = Shares(100, "bytes")
    shares.take("a", 95)
    with pytest.raises(Overloaded):
        shares.take("a", 1)
    with pytest.raises(Overloaded):
        shares.take("b", 6)
    shares.take("b", 5)


@pytest.mark.parametrize(
    ("address", "counts_as"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("testclient:", "testclient:"),
        ("", ""),
    ],
)
def test_an_ipv6_client_has_a_whole_network(address: str, counts_as: str) -> None:
    assert neighbourhood(address) == counts_as


@pytest.mark.parametrize("door", ["native", "sensors"])
@pytest.mark.parametrize(
    "options",
    [
        {"key_records_per_second": 1.0},
        {"address_records_per_second": 1.0},
        {"key_bytes_per_second": 100.0},
        {"address_bytes_per_second": 100.0},
    ],
)
async def test_over_budget_is_503_with_retry_after_on_every_door(
    door: str, options: dict[str, float]
) -> None:
    worker = Worker(CollectorOptions(**options))  # type: ignore[arg-type]
    batch = [event(event_id=str(number)) for number in range(30)]
    send = worker.track if door == "native" else worker.sa
    assert (await send(batch)).status_code == 200
    over = await send(batch)
    assert over.status_code == 503
    assert int(over.headers["retry-after"]) >= 1
    assert "over the budget" in over.json()["detail"]
    if "key" in next(iter(options)) and door == "native":
        other = await worker.post("/v1/events?key=wk-bank", batch)
        assert other.status_code == 200


async def test_a_flooding_project_leaves_room_for_a_calm_one() -> None:
    """At the door itself: requests of the one hang in their bodies, and those of the other are answered."""
    worker = Worker(CollectorOptions(requests_at_once=16))
    release = asyncio.Event()
    statuses: list[int] = []

    async def flood(address: str) -> None:
        async def receive() -> dict[str, Any]:
            await release.wait()
            return {"type": "http.request", "body": b"[]", "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/events",
            "query_string": b"key=wk-bank",
            "headers": [],
            "client": (address, 1),
        }
        await worker.app(scope, receive, send)

    floods = [asyncio.create_task(flood(f"198.51.100.{number}")) for number in range(15)]
    await asyncio.sleep(0.1)
    assert statuses.count(503) == 1  # an eighth is left
    calm = await worker.track([event()])
    assert calm.status_code == 200
    release.set()
    await asyncio.gather(*floods)
    assert statuses.count(503) == 1
    assert all(status != 503 for status in statuses[1:])
    assert (await worker.track([event(event_id="again")])).status_code == 200


async def test_a_flooding_address_leaves_room_for_others() -> None:
    options = CollectorOptions(requests_at_once=16)
    turnstile = budgets.Turnstile(options)
    noisy = [budgets.Visitor("k", str(number), "198.51.100.1") for number in range(20)]
    let_in = []
    for visitor in noisy:
        try:
            turnstile.enter(visitor)
        except Overloaded:
            continue
        let_in.append(visitor)
    assert len(let_in) == 14
    calm = budgets.Visitor("k", "calm", "198.51.100.2")
    turnstile.enter(calm)
    for visitor in (*let_in, calm):
        turnstile.leave(visitor)
    assert not turnstile._of_projects._held
    assert not turnstile._of_addresses._held


async def test_what_waits_for_the_log_is_shared_between_projects() -> None:
    worker = Worker(CollectorOptions(log_bytes_at_once=20_000))
    waiting: list[asyncio.Future[int]] = []

    def never_durable(*_: object) -> asyncio.Future[int]:
        waiting.append(asyncio.get_running_loop().create_future())
        return waiting[-1]

    worker.writer.append_async = never_durable  # type: ignore[method-assign]
    big = [event(event_id=str(number), properties={"text": "x" * 3_000}) for number in range(2)]
    noisy = [asyncio.create_task(worker.post("/v1/events?key=wk-bank", big)) for _ in range(6)]
    await asyncio.sleep(0.1)
    refused = [each.result().status_code for each in noisy if each.done()]
    assert refused
    assert set(refused) == {503}
    calm = asyncio.create_task(worker.track([event()]))
    await asyncio.sleep(0.1)
    assert not calm.done()  # let in, and waits for the disk
    for future in waiting:
        future.set_result(1)
    assert (await calm).status_code == 200
    assert {(await each).status_code for each in noisy} == {200, 503}
