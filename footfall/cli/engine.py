"""The engine process of one machine: processing and answering together, since chDB belongs to one process."""

from __future__ import annotations

import socket

from footfall.cli.answering import build_answers
from footfall.cli.backup import snapshots_of
from footfall.cli.child import SupervisorLink
from footfall.cli.descriptors import allow_descriptors
from footfall.cli.local_engine import offered_key
from footfall.cli.log_lines import set_up_logging
from footfall.cli.parts import opened_parts
from footfall.cli.processing import duty_of, in_threads, recover
from footfall.cli.serving import QuietServer, serve
from footfall.cli.tls import certificate_of
from footfall.rights.desk import ErasureDesk
from footfall.settings import Settings
from footfall.storage.migrate import migrate
from footfall.storage.topology import topology_of
from query_api.scan.native import load_library


def run_engine(settings: Settings, listener: socket.socket, link: SupervisorLink) -> None:
    """Returns when it was asked to end. StoreError, ScannerMissing at the start, ProcessorFailed later."""
    load_library()  # now: without it, somebody's first funnel would fail instead of the start
    set_up_logging()
    allow_descriptors()
    with (
        opened_parts(settings) as parts,
        offered_key(settings) as local_key,
        duty_of(parts) as duty,
    ):
        migrate(parts.store, topology_of(settings.store_url))
        desk = ErasureDesk(parts.for_rights)
        processing = recover(parts, desk, duty)
        snapshots = snapshots_of(settings, parts.store, parts.log, processing.processor)
        app = build_answers(parts, desk, local_key=local_key, snapshots=snapshots)
        server = QuietServer(app, turn_away=app.state.turn_away)
        with in_threads(processing, settings.drain_seconds, when_ended=server.stop) as begin_drain:
            serve(server, listener, link, begin_drain, certificate_of(settings))
