"""The processor and what rewrites, erases and drops beside it, put together and run: each in a thread."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

from footfall.cli.disk import measure
from footfall.cli.duty import Duty
from footfall.cli.parts import Parts
from footfall.cli.processor_thread import ProcessorThread
from footfall.cli.upkeep_thread import UpkeepThread
from footfall.rights.backups import BackupRegister
from footfall.rights.desk import ErasureDesk
from footfall.rights.erasure import Eraser
from footfall.rights.files import clean_files
from footfall.rights.keeping import held_by, thinned_by_rules
from footfall.rights.opened import Elsewhere
from footfall.sealing import Sealer
from footfall.settings import Settings
from footfall.storage.topology import topology_of
from processor.expiry import Expiry
from processor.loop import Processor, ProcessorOptions, wall_clock
from processor.metrics import RestampMetrics
from processor.ownership import Ownership
from processor.peers import Several
from processor.removals import Removals
from processor.restamp import Restamper, RestampOptions
from processor.thinning import Thinning

_MARGIN_SECONDS = 10.0
"""A query that is over its time limit ends a little later."""


class ProcessorFailed(Exception):  # noqa: N818 - reads as what it is
    """The processor's thread ended by itself: this process must be started again."""


@dataclass(frozen=True, slots=True)
class Processing:
    """What has recovered from the last end, and does not run yet."""

    parts: Parts
    processor: Processor
    restamper: Restamper
    eraser: Eraser
    expiry: Expiry
    duty: Duty
    ownership: Ownership | None  # of numbers of a log that several processors read


def recover(parts: Parts, desk: ErasureDesk, duty: Duty) -> Processing:
    """Puts it together, and finishes what a kill left half done. StoreError, LogError.

    Where others do the same, only who has the `duty` erases and drops.
    """
    settings, store, workspace = parts.settings, parts.store, parts.workspace
    ownership = Ownership() if parts.log.routes else None
    processor = Processor(
        parts.log,
        store,
        parts.keyed_hash,
        parts.sealer,
        workspace.project,
        types_of=workspace.plans.types,
        peers=_peers(parts, ownership),
        dedup_days=settings.dedup_days,
        options=ProcessorOptions(kept_bytes=settings.log_keep_bytes),
        registry=parts.registry,
        weather=parts.weather,
    )
    restamper = Restamper(
        store,
        processor,
        clock=wall_clock,
        options=restamp_options_of(settings),
        metrics=RestampMetrics(parts.registry),
    )
    if ownership is None:
        restamper.recover()
    processor.recover()
    removals = Removals(store, wall_clock, restamper.kept_away)
    elsewhere = elsewhere_of(settings, parts.sealer)
    eraser = Eraser(
        parts.for_rights,
        desk,
        processor,
        removals,
        elsewhere=elsewhere,
        weather=parts.weather,
        mine=duty.mine,
    )
    if duty.mine():
        eraser.recover()
        eraser.erase_restored()
    thinning = Thinning(store, removals, lambda: thinned_by_rules(workspace), processor.at_rest, wall_clock)
    expiry = Expiry(
        store,
        workspace.projects,
        processor.paused,
        wall_clock,
        held=lambda: held_by(store, workspace),
        thinning=thinning,
    )
    return Processing(parts, processor, restamper, eraser, expiry, duty, ownership)


def _peers(parts: Parts, ownership: Ownership | None) -> Several | None:
    """Of a processor on a log that several read."""
    if ownership is None:
        return None
    return Several(parts.store, parts.log, ownership, parts.workspace.turns, wall_clock)


@contextmanager
def in_threads(
    processing: Processing, drain_seconds: float, when_ended: Callable[[], None]
) -> Iterator[Callable[[signal.Signals], None]]:
    """Runs all of it within. Gives what begins its end: `when_ended` is called once the processor is through.

    `drain_seconds`: for so long it goes on while something waits. ProcessorFailed at the end if it failed.
    """
    settings = processing.parts.settings
    thread = ProcessorThread(processing.processor, processing.parts.log, drain_seconds, when_ended=when_ended)
    upkeep = UpkeepThread(lambda: measure(settings), partial(_expire, processing), processing.parts.weather)
    with ExitStack() as stack:
        if processing.ownership is not None:
            stack.enter_context(closing(processing.parts.log.join(processing.ownership)))
        thread.start()
        upkeep.start()
        rewriting = [stack.enter_context(running(processing.eraser, "eraser"))]
        if _may_restamp(processing):
            rewriting.append(stack.enter_context(running(processing.restamper)))
        try:
            yield partial(begin_drain, rewriting, thread)
        finally:
            upkeep.stop()
            thread.stop()
    if thread.failure is not None:
        raise ProcessorFailed(f"the processor failed: {thread.failure!r}") from thread.failure


def duty_of(parts: Parts) -> AbstractContextManager[Duty]:
    """Of erasing and dropping: shared where several processors read one log."""
    return Duty.shared(parts.workspace, "upkeep") if parts.log.routes else nullcontext(Duty())


def _expire(processing: Processing, stop: threading.Event) -> None:
    if processing.duty.mine():
        processing.expiry.run(stop)


def _may_restamp(processing: Processing) -> bool:
    """Not beside other processors: its recovery needs that nobody inserted anything since it was killed."""
    settings = processing.parts.settings
    fits = topology_of(settings.store_url).can_restamp and processing.ownership is None
    return fits and settings.restamp_share > 0


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


def begin_drain(
    rewriting: Sequence[threading.Event], thread: ProcessorThread, number: signal.Signals
) -> None:
    """Ends all. What rewrites first: unsure of its last step, it holds the processor up until it is told."""
    for each in rewriting:
        each.set()
    thread.begin_drain(number)
