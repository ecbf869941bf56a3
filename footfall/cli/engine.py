"""The engine process: the processor in a thread, the query API on port 8107, one store between them."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from prometheus_client import CollectorRegistry

from footfall.cli.backup import snapshots_of
from footfall.cli.child import SupervisorLink
from footfall.cli.descriptors import allow_descriptors
from footfall.cli.disk import measure
from footfall.cli.engines import opened_log, opened_store, opened_workspace
from footfall.cli.local_engine import offered_key
from footfall.cli.log_lines import set_up_logging
from footfall.cli.memory import memory_share
from footfall.cli.processor_thread import ProcessorThread
from footfall.cli.serving import QuietServer, serve
from footfall.cli.upkeep_thread import UpkeepThread
from footfall.envelopes.opening import Room, read_element, unwrap, wanted
from footfall.envelopes.vault import Vault
from footfall.events.keys import KeyedHash
from footfall.proof.evidence import Evidence
from footfall.proof.verify import rules_in
from footfall.rights.backups import BackupRegister
from footfall.rights.erasure import Eraser
from footfall.rights.files import clean_files
from footfall.rights.keeping import held_by, thinned_by_rules
from footfall.rights.opened import Elsewhere, Opened
from footfall.rights.rights import Rights
from footfall.sealing import Sealer
from footfall.settings import Settings, read_installation_key
from footfall.storage.migrate import migrate
from footfall.storage.topology import topology_of
from footfall.treatment.policy import Policies
from footfall.workspace.envelope_keys import KeyRings
from processor.expiry import Expiry
from processor.loop import Processor, ProcessorOptions, wall_clock
from processor.metrics import RestampMetrics
from processor.removals import Removals
from processor.restamp import Restamper, RestampOptions
from processor.thinning import Thinning
from query_api.app import build_app
from query_api.options import QueryOptions
from query_api.scan.native import load_library

_MOST_INSIDE = 64 << 20
"""What may come out of one envelope, in bytes."""

_MARGIN_SECONDS = 10.0
"""A query that is over its time limit ends a little later."""


class ProcessorFailed(Exception):  # noqa: N818 - reads as what it is
    """The processor's thread ended by itself: this process must be started again."""


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


def restamp_options_of(settings: Settings) -> RestampOptions:
    """When rows are given to their person now, and what that may use."""
    return RestampOptions(
        from_overrides=settings.restamp_overrides,
        after_seconds=settings.restamp_seconds,
        share=settings.restamp_share,
        poll_seconds=min(5.0, settings.restamp_seconds),
        longest_query_seconds=settings.query_seconds + _MARGIN_SECONDS,
    )


@contextmanager
def running(worker: Restamper | Eraser, name: str = "restamper") -> Iterator[threading.Event]:
    """Runs it in a thread of its own, until the event is set."""
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,), name=name)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join()


def elsewhere_of(settings: Settings, sealer: Sealer) -> Elsewhere:
    """What an erasure must reach beside log and store."""
    register = BackupRegister(settings.home)
    return Elsewhere(
        clean_files=partial(clean_files, settings.home, sealer=sealer),
        backups=lambda: [backup.as_json() for backup in register.all(wall_clock())],
        note_tombstone=lambda erasure: register.note_tombstone(erasure, wall_clock()),
    )


def forms(policies: Policies, project: str, distinct_id: str) -> Sequence[str]:
    """How an id may rest: as it came, before the project had a rule, and as privacy writes it now."""
    privacy = policies(project).privacy
    written = distinct_id if privacy is None else privacy.id(distinct_id)
    return tuple(dict.fromkeys((distinct_id, written)))


def inside(rings: KeyRings, project: str, raw: bytes) -> Sequence[bytes]:
    """The records of a dead letter that is an encrypted envelope, as far as the project's keys open it."""
    element = read_element(raw)
    if element.sealed is None:
        return ()
    ring = rings(project)
    sessions = {
        (each.key.name, each.ekey): each.key.open_session(each.ekey) for each in wanted([element], ring)
    }
    return [record.element for record in unwrap(element, ring, sessions, Room(_MOST_INSIDE))]


def begin_drain(
    rewriting: Sequence[threading.Event], thread: ProcessorThread, number: signal.Signals
) -> None:
    """Ends all. What rewrites first: unsure of its last step, it holds the processor up until it is told."""
    for each in rewriting:
        each.set()
    thread.begin_drain(number)


def run_engine(settings: Settings, listener: socket.socket, link: SupervisorLink) -> None:
    """Returns when it was asked to end. StoreError, ScannerMissing at the start, ProcessorFailed later."""
    load_library()  # now: without it, somebody's first funnel would fail instead of the start
    set_up_logging()
    allow_descriptors()
    installation_key = read_installation_key(settings)
    keyed_hash, sealer = KeyedHash(installation_key), Sealer(installation_key, settings.suite)
    vault = Vault(installation_key)
    registry = CollectorRegistry()
    query_options = query_options_of(settings)
    with ExitStack() as stack:
        workspace = stack.enter_context(opened_workspace(settings))
        log = stack.enter_context(opened_log(settings))
        store = stack.enter_context(opened_store(settings))
        migrate(store, topology_of(settings.store_url))
        processor = Processor(
            log,
            store,
            keyed_hash,
            sealer,
            workspace.project,
            types_of=workspace.plans.types,
            dedup_days=settings.dedup_days,
            options=ProcessorOptions(kept_bytes=settings.log_keep_bytes),
            registry=registry,
        )
        restamper = Restamper(
            store,
            processor,
            clock=wall_clock,
            options=restamp_options_of(settings),
            metrics=RestampMetrics(registry),
        )
        restamper.recover()
        processor.recover()
        removals = Removals(store, wall_clock, restamper.kept_away)
        rings = KeyRings(workspace.envelope_keys, vault)
        policies = Policies(workspace, installation_key, suite=settings.suite)
        opened = Opened(
            store,
            log,
            workspace,
            processor,
            keyed_hash,
            sealer,
            wall_clock,
            removals,
            partial(forms, policies),
            partial(inside, rings),
        )
        eraser = Eraser(opened, elsewhere_of(settings, sealer))
        eraser.recover()
        eraser.erase_restored()
        data_until = processor.data_until
        app = build_app(
            store,
            workspace,
            log,
            data_until,
            keyed_hash,
            ring_of=rings,
            vault=vault,
            policy_of=policies,
            options=query_options,
            registry=registry,
            evidence=Evidence(store, log, rules_in(workspace), snapshots_of(settings, store, log, processor)),
            local_key=stack.enter_context(offered_key(settings)),
            sealer=sealer,
            rights=Rights(opened, eraser),
        )
        thinning = Thinning(
            store, removals, lambda: thinned_by_rules(workspace), processor.at_rest, wall_clock
        )
        expiry = Expiry(
            store,
            workspace.projects,
            processor.paused,
            wall_clock,
            held=lambda: held_by(store, workspace),
            thinning=thinning,
        )
        upkeep = UpkeepThread(lambda: measure(settings), expiry.run)
        server = QuietServer(app)
        thread = ProcessorThread(processor, log, settings.drain_seconds, when_ended=server.stop)
        thread.start()
        upkeep.start()
        rewriting = stack.enter_context(running(restamper)) if settings.restamp_share else threading.Event()
        erasing = stack.enter_context(running(eraser, "eraser"))
        try:
            serve(server, listener, link, partial(begin_drain, (erasing, rewriting), thread))
        finally:
            upkeep.stop()
            thread.stop()
    if thread.failure is not None:
        raise ProcessorFailed(f"the processor failed: {thread.failure!r}") from thread.failure
