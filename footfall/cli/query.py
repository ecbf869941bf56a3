"""`footfall query`: the query API and the console alone, before a store that other services fill."""

from __future__ import annotations

import time

import structlog

from footfall.cli.answering import build_answers
from footfall.cli.apart import check_apart
from footfall.cli.child import SupervisorLink
from footfall.cli.descriptors import allow_descriptors
from footfall.cli.first_keys import make_first_keys
from footfall.cli.home import share_home
from footfall.cli.local_engine import offered_key
from footfall.cli.log_lines import set_up_logging
from footfall.cli.parts import Parts, opened_parts
from footfall.cli.serving import QuietServer, serve
from footfall.cli.sockets import listen
from footfall.cli.tls import certificate_of
from footfall.rights.desk import ErasureDesk
from footfall.settings import Settings, read_installation_key
from footfall.storage.migrate import pending
from footfall.storage.topology import topology_of
from query_api.scan.native import load_library

_LOOK_SECONDS = 1.0
_logger = structlog.get_logger("query")


def run_query(settings: Settings, owner: SupervisorLink) -> None:
    """Returns when it was asked to end. StoreError, LogError, ScannerMissing, InvalidSettings at first."""
    load_library()  # now: without it, somebody's first funnel would fail instead of the start
    set_up_logging()
    allow_descriptors()
    check_apart(settings, with_store=True)
    home = share_home(settings.home)
    read_installation_key(settings)
    make_first_keys(settings, "query")
    listener = listen(settings.host, settings.query_port, "FOOTFALL_QUERY_PORT")
    with opened_parts(settings) as parts, offered_key(settings) as local_key:
        _wait_until_migrated(parts)
        app = build_answers(parts, ErasureDesk(parts.for_rights), local_key=local_key)
        server = QuietServer(app, drain_seconds=settings.drain_seconds, turn_away=app.state.turn_away)
        serve(server, listener, owner, server.told, certificate_of(settings))
    home.release()


def _wait_until_migrated(parts: Parts) -> None:
    """A processor migrates the store at its start, or `footfall migrate`: not each of many query services."""
    told = False
    while waits := pending(parts.store, topology_of(parts.settings.store_url)):
        if not told:
            told = True
            _logger.warning(
                "waits for the store's migrations: start `footfall process`, or run `footfall migrate`",
                migrations=[each.name for each in waits],
            )
        time.sleep(_LOOK_SECONDS)
