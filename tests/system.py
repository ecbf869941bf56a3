"""A whole Footfall in this process, from the collector to the query API, with a clock that tests set."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from collector.app import build_app as build_collector
from collector.options import CollectorOptions
from footfall import crash_points
from footfall.cli.parts import forms, inside
from footfall.envelopes.vault import Vault
from footfall.eventlog.log import Log
from footfall.eventlog.opening import open_log
from footfall.events.keys import KeyedHash
from footfall.proof.evidence import Evidence
from footfall.proof.verify import rules_in
from footfall.rights.desk import ErasureDesk
from footfall.rights.erasure import Eraser
from footfall.rights.opened import ErasureOptions, Opened
from footfall.rights.rights import Rights
from footfall.sealing import Sealer
from footfall.storage.migrate import migrate
from footfall.storage.opening import open_store
from footfall.storage.store import Parameter, Query, Store
from footfall.storage.topology import topology_of
from footfall.treatment.policy import Policies
from footfall.workspace import Project, Workspace, open_workspace
from footfall.workspace.envelope_keys import KeyRings
from processor.loop import Processor
from processor.removals import Removals
from processor.restamp import Restamper, RestampOptions
from query_api.app import build_app as build_query_api
from query_api.options import QueryOptions

WRITE_KEY = "ff_wk_of_the_test"
SECRET_KEY = "ff_sk_of_the_test"
INSTALLATION_KEY = b"installation key of the test's ."


VAULT = Vault(INSTALLATION_KEY)
EAGER = RestampOptions(from_overrides=1, after_seconds=0, rows_per_turn=10, longest_query_seconds=0)


class Clock:
    """The wall clock until it is frozen; epoch milliseconds."""

    def __init__(self) -> None:
        self._frozen: int | None = None

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 if self._frozen is None else self._frozen

    def freeze(self, now_ms: int) -> None:
        self._frozen = now_ms


class Died(BaseException):
    """As if the process had been killed here."""


@dataclass(frozen=True)
class System:
    """Empty at the start of each test; its project `default` has WRITE_KEY, SECRET_KEY opens everything.

    Nothing is processed until `settle`.
    """

    collector: httpx.AsyncClient
    query_api: httpx.AsyncClient  # with the secret key
    processor: Processor
    restamper: Restamper  # does something only when a test asks it to
    store: Store
    log: Log
    workspace: Workspace
    keyed_hash: KeyedHash
    sealer: Sealer
    clock: Clock
    eraser: Eraser  # does something only when a test asks it to
    desk: ErasureDesk

    async def send(self, *records: Mapping[str, Any], key: str = WRITE_KEY) -> httpx.Response:
        """Sends records through the native door, all in one request."""
        return await self.collector.post(
            "/v1/events", json=list(records), headers={"Authorization": f"Bearer {key}"}
        )

    async def settle(self) -> None:
        """Processes everything that was accepted."""
        while await asyncio.to_thread(self.processor.step):
            pass

    async def settle_dying(self) -> int:
        """Processes everything, by processors that die each one insert later than the one before.

        Returns how many died.
        """
        for died in range(60):
            left = died

            def die(point: str) -> None:
                nonlocal left
                if point == "P6" and not left:
                    raise Died
                left -= point == "P6"

            again = Processor(
                self.log,
                self.store,
                self.keyed_hash,
                self.sealer,
                self.workspace.project,
                types_of=self.workspace.plans.types,
                clock=self.clock,
            )
            crash_points.observe(die)
            try:
                while await asyncio.to_thread(again.step):
                    pass
            except Died:
                continue
            finally:
                crash_points.observe(None)
            return died
        raise AssertionError("each of 60 processors died")

    async def restamp(self) -> None:
        """Gives every row to the person behind its id now, until no override is left."""
        while await asyncio.to_thread(self.restamper.turn):
            pass

    async def ask(self, analysis: str, body: Mapping[str, Any]) -> Any:
        """The `result` of an analysis ("funnel", "trends"); the answer must be 200."""
        answer = await self.query_api.post(f"/api/v1/query/{analysis}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    async def ledger(self, project: str = "default") -> dict[str, Any]:
        """The ledger's total: received, stored, duplicate, rejected by reason, queued."""
        answer = await self.query_api.get(f"/api/v1/projects/{project}/ledger")
        assert answer.status_code == 200, answer.text
        total: dict[str, Any] = answer.json()["total"]
        return total

    def create_project(self, project: Project) -> str:
        """Creates a project; returns its write key."""
        return self.workspace.create_project(project).write_key

    def rows(self, sql: str, **parameters: Parameter) -> Sequence[tuple[Any, ...]]:
        """What the store holds, by SQL."""
        return self.store.rows(Query(sql, parameters)).rows


@asynccontextmanager
async def open_system(
    store_url: str, directory: Path, *, log_url: str = "memory://", options: CollectorOptions | None = None
) -> AsyncIterator[System]:
    """`store_url` names a database of its own, which is dropped afterwards."""
    clock, keyed_hash, sealer = Clock(), KeyedHash(INSTALLATION_KEY), Sealer(INSTALLATION_KEY)
    async with AsyncExitStack() as stack:
        url = f"sqlite:///{directory}/workspace.db"
        workspace = stack.enter_context(closing(open_workspace(url, lambda: INSTALLATION_KEY, clock=clock)))
        workspace.bootstrap(WRITE_KEY, SECRET_KEY)
        log = stack.enter_context(closing(open_log(log_url, max_bytes=1 << 30)))
        writer = stack.enter_context(closing(log.open_writer(0)))
        store = stack.enter_context(closing(open_store(store_url, scratch=directory / "scratch")))
        topology = topology_of(store_url)
        migrate(store, topology)
        stack.callback(store.command, f"DROP DATABASE {topology.database} SYNC")
        policies, rings = Policies(workspace, INSTALLATION_KEY), KeyRings(workspace.envelope_keys, VAULT)
        processor = Processor(
            log, store, keyed_hash, sealer, workspace.project, types_of=workspace.plans.types, clock=clock
        )
        collector = build_collector(
            options or CollectorOptions(), writer, workspace, keyed_hash, policies, ring_of=rings, clock=clock
        )
        restamper = Restamper(store, processor, clock=clock, options=EAGER)
        removals = Removals(store, clock, restamper.kept_away)
        rights = Opened(
            store,
            log,
            workspace,
            keyed_hash,
            sealer,
            clock,
            partial(forms, policies),
            partial(inside, rings),
        )
        desk = ErasureDesk(rights)
        patience = ErasureOptions(settle_seconds=0, letters_seconds=0)
        eraser = Eraser(rights, desk, processor, removals, options=patience)
        query_api = build_query_api(
            store,
            workspace,
            log,
            processor.data_until,
            keyed_hash,
            policy_of=policies,
            ring_of=rings,
            vault=VAULT,
            clock=clock,
            options=QueryOptions(retired_seconds=0.0, sweep_seconds=0.0),
            evidence=Evidence(store, log, rules_in(workspace)),
            sealer=sealer,
            rights=Rights(rights, desk),
        )
        yield System(
            await stack.enter_async_context(_client(collector, {})),
            await stack.enter_async_context(_client(query_api, {"Authorization": f"Bearer {SECRET_KEY}"})),
            processor,
            restamper,
            store,
            log,
            workspace,
            keyed_hash,
            sealer,
            clock,
            eraser,
            desk,
        )


@asynccontextmanager
async def _client(app: Any, headers: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to an app whose lifespan has begun."""
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=transport, base_url="http://footfall", headers=headers, timeout=60
        ) as client,
    ):
        yield client
