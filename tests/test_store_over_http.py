"""A store behind HTTP that is killed, or whose answers get lost: stored once, the ledger closed (F9, F10)."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from footfall.cli.child import footfall_command
from footfall.events.log_record import Refusal
from footfall.storage.opening import open_store
from footfall.storage.store import Query, Store, StoreUnavailable
from tests.clickhouse_servers import GIVEN, ClickHouseHttp
from tests.lossy_relay import LossyRelay, lossy_relay
from tests.processor_world import World
from tests.restartable import Restartable

WRITE_KEY = "ff_wk_of_the_outages"
ours = pytest.mark.skipif(bool(GIVEN), reason="CLICKHOUSE_URL: a server that is not ours to kill")

TABLES = (
    "events", "event_ids", "bindings", "profile_operations", "profiles", "item_operations", "items",
    "dead_letters", "ingest_blocks", "ledger", "event_catalogue", "property_catalogue",
)  # fmt: skip
PLACED = frozenset(TABLES) - {"profiles", "items", "event_catalogue"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ClickHouseHttp]:
    started = ClickHouseHttp(tmp_path / "clickhouse")
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def relay(http_store_url: str) -> Iterator[LossyRelay]:
    with lossy_relay(urlsplit(http_store_url).port or 8123) as opened:
        yield opened


@pytest.fixture(scope="module")
def far_store(
    relay: LossyRelay, http_store: Store, http_store_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """`http_store` behind the relay."""
    database = http_store.rows(Query("SELECT currentDatabase()")).rows[0][0]
    account, at, _ = urlsplit(http_store_url).netloc.rpartition("@")
    url = f"clickhouse://{account}{at}127.0.0.1:{relay.port}/{database}"
    opened = open_store(url, scratch=tmp_path_factory.mktemp("scratch"))
    yield opened
    opened.close()


def fill(world: World) -> None:
    """A block with rows for all tables."""
    world.append({"event": "register", "distinct_id": "anonymous", "properties": {"channel": "app"}})
    world.process()
    world.append(
        {"event": "register", "distinct_id": "other", "properties": {"amount": 3}},
        {"type": "track_signup", "event": "$SignUp", "distinct_id": "login", "original_id": "anonymous"},
        {"type": "profile_set", "distinct_id": "login", "properties": {"age": 3}},
        {"type": "item_set", "item_type": "fund", "item_id": "1", "properties": {"risk": "high"}},
        {"event": ""},
        refusals=[Refusal(4, "invalid_name", "event", "no name")],
    )


def finish(world: World) -> int:
    """Until nothing waits; how often the store was away."""
    away = 0
    while True:
        try:
            world.process()
            return away
        except StoreUnavailable:
            away += 1
            assert away < 20


@pytest.mark.parametrize(("times", "tables"), [(1, TABLES), (2, ("events", "event_ids", "ingest_blocks"))])
def test_answers_that_get_lost_store_nothing_twice(
    far_store: Store, relay: LossyRelay, new_name: Callable[[str], str], times: int, tables: Sequence[str]
) -> None:
    """Once: the driver asks again. Twice: the processor does its block again. Each with the same token."""
    calm, world = (World(far_store, new_name("project")) for _ in range(2))
    fill(calm)
    calm.process()
    fill(world)
    for table in tables:
        relay.lose(f"INSERT INTO {table} (".encode(), times)
    away = finish(world)
    assert relay.still_to_lose() == set()
    assert (away > 0) is (times == 2)
    assert rows_of(world) == rows_of(calm)
    assert world.ledger() == calm.ledger()


def rows_of(world: World) -> dict[str, int]:
    """How many by table, and how many events the catalogue counts."""
    pieces = [
        f"SELECT '{table}', count() FROM {table} WHERE log_partition = {{partition:UInt16}}"
        for table in TABLES
        if table in PLACED
    ]
    counted = "SELECT 'counted', sum(count) FROM event_catalogue WHERE project = {project:String}"
    query = Query(
        " UNION ALL ".join([*pieces, counted]), {"partition": world.partition, "project": world.project}
    )
    return dict(world.store.rows(query).rows)


@ours
def test_a_server_that_is_killed_amid_inserts_costs_nothing(server: ClickHouseHttp, tmp_path: Path) -> None:
    """Twice under load; everything that was accepted is there once, and `footfall verify` agrees."""
    home = tmp_path / "home"
    home.mkdir()
    footfall = Restartable(home, FOOTFALL_STORE_URL=server.url(), FOOTFALL_WRITE_KEY=WRITE_KEY)
    accepted: list[str] = []
    stop = threading.Event()
    sender = threading.Thread(target=send, args=(footfall.collect_port, accepted, stop))
    try:
        footfall.start()
        sender.start()
        for kills in (1, 2):
            wait_until(lambda enough=kills * 200: len(accepted) >= enough)  # type: ignore[misc]
            time.sleep(0.05 * kills)
            server.kill()
            time.sleep(0.3)
            server.start()
        stop.set()
        sender.join()
        wait_until(lambda: settled(footfall, len(accepted)))
        verify = subprocess.run(
            footfall_command("verify", "--json"),
            env=os.environ | {"FOOTFALL_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert verify.returncode == 0, verify.stdout + verify.stderr
        assert json.loads(verify.stdout.splitlines()[-1])["kind"] == "verdict"
        store = open_store(server.url(), scratch=tmp_path / "scratch")
        stored = store.rows(Query("SELECT count(), uniqExact(distinct_id) FROM events")).rows
        store.close()
        assert stored == [(len(accepted), len(accepted))]
    finally:
        stop.set()
        footfall.close()


def send(port: int, accepted: list[str], stop: threading.Event) -> None:
    """Small requests, one after the other, each with a person of its own; all are accepted."""
    with httpx.Client(headers={"Authorization": f"Bearer {WRITE_KEY}"}, timeout=60) as client:
        while not stop.is_set():
            person = f"p{len(accepted)}"
            event = {"event": "register", "distinct_id": person, "properties": {"channel": "app"}}
            answer = client.post(f"http://127.0.0.1:{port}/v1/events", json=[event])
            assert answer.json() == {"accepted": 1, "rejected": []}
            accepted.append(person)
            time.sleep(0.002)


def settled(footfall: Restartable, count: int) -> bool:
    answer = footfall.query.get("/api/v1/projects/default/ledger")
    total = answer.json().get("total", {})
    return bool(answer.status_code == 200 and (total["queued"], total["stored"]) == (0, count))


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
