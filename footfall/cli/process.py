"""`footfall process`: a processor alone, log in, store out, with a port for health and metrics."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from urllib.parse import urlsplit

import structlog

from footfall.cli.apart import check_apart
from footfall.cli.child import SupervisorLink
from footfall.cli.descriptors import allow_descriptors
from footfall.cli.home import hold_role, share_home
from footfall.cli.log_lines import set_up_logging
from footfall.cli.migrate_store import migrate_in_turn
from footfall.cli.parts import opened_parts
from footfall.cli.processing import duty_of, in_threads, recover
from footfall.cli.serving import QuietServer, serve
from footfall.cli.sockets import listen
from footfall.cli.tls import certificate_of
from footfall.cli.watched import build_watched
from footfall.rights.desk import ErasureDesk
from footfall.settings import Settings, read_installation_key
from footfall.storage.topology import topology_of

_logger = structlog.get_logger("process")


def run_process(settings: Settings, owner: SupervisorLink) -> None:
    """Returns between two blocks, once it was asked to end. ProcessorFailed, and at the start StoreError,
    LogError, InvalidSettings, HomeUnusable, PortUnavailable.
    """
    set_up_logging()
    allow_descriptors()
    check_apart(settings, with_store=True)
    with ExitStack() as stack:
        stack.callback(share_home(settings.home).release)
        if urlsplit(settings.log_url).scheme == "sqlite":  # it has one reader
            stack.callback(hold_role(settings.home, "process").release)
        listener = listen(settings.host, settings.process_port, "FOOTFALL_PROCESS_PORT")
        read_installation_key(settings)
        parts = stack.enter_context(opened_parts(settings))
        migrate_in_turn(parts.store, topology_of(settings.store_url), parts.workspace)
        duty = stack.enter_context(duty_of(parts))
        processing = recover(parts, ErasureDesk(parts.for_rights), duty)
        server = QuietServer(build_watched(parts))
        with in_threads(processing, drain_seconds=0.0, when_ended=server.stop) as begin_drain:
            serve(server, listener, owner, partial(_told, begin_drain), certificate_of(settings))


def _told(begin_drain: Callable[[signal.Signals], None], number: signal.Signals) -> None:
    """Ends after the block that is in work; at SIGINT, or a second signal, without waiting for that."""
    if number is signal.SIGINT:
        _logger.warning("ended at once: the block that was in work is done again at the next start")
        os._exit(1)
    begin_drain(number)
