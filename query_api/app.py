"""The query API as an ASGI app: composition only."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from footfall import __version__
from footfall.envelopes.keys import RingOf, no_keys
from footfall.envelopes.vault import Vault
from footfall.eventlog.log import Log
from footfall.events.keys import KeyedHash
from footfall.sealing import Sealer
from footfall.storage.store import Store
from footfall.treatment.policy import PolicyOf
from footfall.workspace.workspace import Workspace
from query_api.access import Access
from query_api.dead_letters import Letters
from query_api.envelope_sweep import sweeping
from query_api.gate import Gate
from query_api.identity_words import AdministratorsDoor
from query_api.ids_at_rest import ids_at_rest
from query_api.key_use import KeyUse
from query_api.meters import Meters
from query_api.openapi import describe
from query_api.options import QueryOptions
from query_api.problems import MethodNotAllowed, NotFound
from query_api.replays import Replays
from query_api.routes.audit import build_audit_routes
from query_api.routes.bindings import build_binding_routes
from query_api.routes.console import build_console_routes
from query_api.routes.dead_letters import build_dead_letter_routes
from query_api.routes.envelope_keys import build_envelope_key_routes
from query_api.routes.export import build_export_routes
from query_api.routes.front import Front, problem_response
from query_api.routes.keep_rules import build_keep_rule_routes
from query_api.routes.people import build_people_routes
from query_api.routes.plans import build_plan_routes
from query_api.routes.privacy import build_privacy_routes
from query_api.routes.project_keys import build_key_routes
from query_api.routes.projects import build_project_routes
from query_api.routes.proof import Evidence, build_proof_routes
from query_api.routes.queries import build_query_routes
from query_api.routes.remote_config import build_remote_config_routes
from query_api.routes.rights import Rights, build_rights_routes
from query_api.routes.upkeep import build_upkeep_routes
from query_api.routes.virtual_events import build_virtual_event_routes
from query_api.run import Queries


def _now() -> int:
    return time.time_ns() // 1_000_000


def build_app(
    store: Store,
    workspace: Workspace,
    log: Log,
    data_until: Callable[[], int],
    keyed_hash: KeyedHash,
    *,
    policy_of: PolicyOf,
    ring_of: RingOf = no_keys,
    vault: Vault | None = None,
    clock: Callable[[], int] = _now,
    options: QueryOptions | None = None,
    registry: CollectorRegistry | None = None,
    evidence: Evidence | None = None,
    local_key: str | None = None,
    sealer: Sealer | None = None,
    rights: Rights | None = None,
) -> FastAPI:
    """Everything comes opened and stays the caller's to close. Both clocks give epoch milliseconds.

    `evidence` can verify (None: no such route); `local_key` opens everything to commands on this machine;
    `sealer` opens dead letters (None: they have no routes); `ring_of` the envelopes among them; `vault` seals
    the keys for that (None: no such routes); `rights` erases and exports persons (None: no such routes).
    `registry` is shown at /metrics whole, so that it can hold what others of the process count.
    `app.state.turn_away` ends all queries, each answered 503: for a server that must end.
    """
    options = options or QueryOptions()
    gate = Gate(options, store.cancel)
    meters = Meters(
        registry or CollectorRegistry(),
        lambda: gate.running,
        lambda: max(0, clock() - data_until()) / 1000,
        lambda: gate.waiting,
    )
    front = Front(gate, meters)
    access = Access(workspace, local_key)
    administrators = AdministratorsDoor(log, keyed_hash, policy_of, clock)
    letters = None if sealer is None else Letters(store, sealer)
    replays = (
        None
        if letters is None
        else Replays(
            letters,
            store,
            log,
            keyed_hash,
            policy_of=policy_of,
            ring_of=ring_of,
            key_uses=meters.private_key_uses,
            clock=clock,
        )
    )
    at_rest = ids_at_rest(policy_of)
    queries = Queries(
        store, access, log, at_rest=at_rest, data_until=data_until, clock=clock, options=options
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with sweeping(workspace, letters, replays, options.sweep_seconds):
            yield
        await gate.close()
        administrators.close()
        if replays is not None:
            replays.close()

    # No /docs: its page loads scripts from elsewhere, which a bank's network does not.
    app = FastAPI(title="Footfall", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.turn_away = gate.turn_away
    app.include_router(build_query_routes(front, queries))
    app.include_router(
        build_people_routes(front, access, store, keyed_hash=keyed_hash, options=options, at_rest=at_rest)
    )
    app.include_router(build_project_routes(front, access, store, log, data_until))
    app.include_router(
        build_binding_routes(
            front, access, store, keyed_hash=keyed_hash, options=options, door=administrators, at_rest=at_rest
        )
    )
    app.include_router(build_virtual_event_routes(front, access, store, clock=clock, options=options))
    app.include_router(build_privacy_routes(front, access, store, policy_of, clock=clock))
    app.include_router(build_remote_config_routes(front, access, clock=clock))
    app.include_router(build_plan_routes(front, access, store, clock=clock, options=options))
    app.include_router(build_export_routes(access, store, keyed_hash, clock))
    app.include_router(build_upkeep_routes(meters, store, workspace, data_until))
    if vault is not None:
        app.include_router(build_envelope_key_routes(front, access, vault, clock=clock))
    if letters is not None and replays is not None:
        app.include_router(build_dead_letter_routes(front, access, letters, replays))
    if evidence is not None:
        app.include_router(build_proof_routes(access, evidence))
    app.include_router(build_audit_routes(front, access))
    app.include_router(build_keep_rule_routes(front, access))
    if rights is not None:
        app.include_router(build_rights_routes(front, access, rights))
    app.include_router(build_key_routes(front, access, clock))
    app.include_router(build_console_routes())
    app.add_middleware(
        KeyUse,
        audit=lambda: workspace.audit,
        in_thread=gate.at_counter,
        local_key=local_key,
        clock=lambda: clock() / 1000,
    )
    app.add_exception_handler(HTTPException, _no_route)
    app.openapi = describe  # type: ignore[method-assign]  # FastAPI's documented way
    return app


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return problem_response(MethodNotAllowed(f"{request.method} is not for {request.url.path[:200]}"))
    return problem_response(NotFound(f"there is nothing at {request.url.path[:200]}"))
