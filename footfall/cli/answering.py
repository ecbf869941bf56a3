"""The query API, put together: without a processor, which may be in this process or in others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from footfall.cli.memory import memory_share
from footfall.eventlog.data_until import DataUntil
from footfall.proof.evidence import Evidence
from footfall.proof.verify import rules_in
from footfall.rights.rights import Rights
from footfall.settings import Settings
from processor.loop import wall_clock
from query_api.app import build_app
from query_api.options import QueryOptions

if TYPE_CHECKING:
    from fastapi import FastAPI

    from footfall.cli.parts import Parts
    from footfall.proof.snapshot import Snapshots
    from footfall.rights.desk import ErasureDesk


def query_options_of(settings: Settings) -> QueryOptions:
    """What queries may use on this machine."""
    return QueryOptions(
        seconds=settings.query_seconds,
        memory_bytes=settings.query_memory_bytes or memory_share(settings.query_concurrency),
        rows=settings.query_rows,
        disk_bytes=settings.query_disk_bytes,
        concurrency=settings.query_concurrency,
        project_concurrency=settings.query_project_concurrency,
        queue=settings.query_queue,
        project_queue=settings.query_project_queue,
    )


def build_answers(
    parts: Parts, desk: ErasureDesk, *, local_key: str, snapshots: Snapshots | None = None
) -> FastAPI:
    """The application. `desk` takes down erasures; `snapshots` None: no copy can be taken here."""
    return build_app(
        parts.store,
        parts.workspace,
        parts.log,
        DataUntil(parts.log, wall_clock),
        parts.keyed_hash,
        ring_of=parts.rings,
        vault=parts.vault,
        policy_of=parts.policies,
        options=query_options_of(parts.settings),
        registry=parts.registry,
        evidence=Evidence(parts.store, parts.log, rules_in(parts.workspace), snapshots),
        local_key=local_key,
        sealer=parts.sealer,
        rights=Rights(parts.for_rights, desk),
    )
