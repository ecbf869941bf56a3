"""One collector process: port 8106 in, its own partition of the log out."""

from __future__ import annotations

import signal
import socket
from contextlib import ExitStack

from collector.app import build_app
from collector.options import CollectorOptions
from collector.server import build_server
from footfall.cli.child import SupervisorLink
from footfall.cli.descriptors import allow_descriptors
from footfall.cli.disk import DiskGate
from footfall.cli.engines import opened_log, opened_workspace
from footfall.cli.log_lines import set_up_logging
from footfall.cli.log_writer import opened_writer
from footfall.cli.memory import keep_freed_memory
from footfall.cli.serving import GRACEFUL_SECONDS, serve
from footfall.cli.tls import certificate_of
from footfall.envelopes.vault import Vault
from footfall.events.keys import KeyedHash
from footfall.events.limits import BodyLimits
from footfall.settings import Settings, read_installation_key
from footfall.treatment.policy import Policies
from footfall.workspace.envelope_keys import KeyRings


def run_collector(settings: Settings, worker: int, listener: socket.socket, link: SupervisorLink) -> None:
    """Returns when it was asked to end and everything accepted is durable."""
    set_up_logging()
    allow_descriptors()
    keep_freed_memory()
    options = CollectorOptions(
        limits=BodyLimits(settings.max_body_bytes, settings.max_decompressed_bytes),
        worker=worker,
        metrics_dir=settings.home / "metrics",
        trusted_proxies=settings.trusted_proxies,
        hold_seconds=settings.hold_seconds,
        drain_seconds=GRACEFUL_SECONDS,
        key_records_per_second=settings.key_records_per_second / settings.collect_workers,
        key_bytes_per_second=settings.key_bytes_per_second / settings.collect_workers,
        address_records_per_second=settings.address_records_per_second / settings.collect_workers,
        address_bytes_per_second=settings.address_bytes_per_second / settings.collect_workers,
    )
    with ExitStack() as stack:
        workspace = stack.enter_context(opened_workspace(settings))
        log = stack.enter_context(opened_log(settings))
        opened = stack.enter_context(opened_writer(settings, log, worker))
        installation_key = read_installation_key(settings)
        app = build_app(
            options,
            opened.writer,
            workspace,
            KeyedHash(installation_key),
            Policies(workspace, installation_key, suite=settings.suite),
            ring_of=KeyRings(workspace.envelope_keys, Vault(installation_key)),
            full=DiskGate(settings),
            ready=opened.refusal,
            beside=opened.counted,
        )
        server = build_server(app, options)

        def stop(number: signal.Signals) -> None:
            server.should_exit = True
            server.force_exit = number is signal.SIGINT

        serve(server, listener, link, stop, certificate_of(settings))
