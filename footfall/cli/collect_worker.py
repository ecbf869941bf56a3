"""One collector process: port 8106 in, its own partition of the log out."""

from __future__ import annotations

import asyncio
import socket

from footfall.cli.child import SupervisorLink
from footfall.cli.log_lines import set_up_logging
from footfall.settings import Settings, read_installation_key


def run_collect_worker(
    settings: Settings, worker: int, listener: socket.socket, link: SupervisorLink
) -> None:
    """Returns when it was asked to end and everything accepted is durable."""
    set_up_logging()
    from collector.app import CollectorOptions, build_app

    from footfall.cli.serving import make_server, serve
    from footfall.eventlog.opening import open_log
    from footfall.events.keys import KeyedHash
    from footfall.workspace import open_workspace

    workspace = open_workspace(settings.workspace_url)
    log = open_log(settings.log_url, max_bytes=settings.log_max_bytes // settings.collect_workers)
    writer = log.open_writer(worker)
    keyed_hash = KeyedHash(read_installation_key(settings))
    options = CollectorOptions(
        max_body_bytes=settings.max_body_bytes, max_decompressed_bytes=settings.max_decompressed_bytes
    )
    server = make_server(build_app(options, writer, workspace, keyed_hash))
    try:
        asyncio.run(serve(server, listener, link, drain=_nothing_to_drain, hurry=lambda: None))
    finally:
        writer.close()
        log.close()
        workspace.close()


async def _nothing_to_drain() -> None:
    """uvicorn itself finishes the requests that run."""
