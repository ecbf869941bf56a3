"""A collector worker's way into the log: straight into its files, or through a spool to other machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from footfall.eventlog.lanes import MAIN
from footfall.eventlog.log import Log, LogWriter
from footfall.eventlog.spool import Spool
from footfall.eventlog.spooled_log import SpooledWriter
from footfall.settings import Settings
from footfall.weather import Weather


@dataclass(frozen=True, slots=True)
class OpenedWriter:
    """A writer, why it can take nothing now (None: it can), and what it counts."""

    writer: LogWriter
    refusal: Callable[[], str | None] = lambda: None
    counted: Callable[[], dict[str, Any]] = dict


@contextmanager
def opened_writer(settings: Settings, log: Log, worker: int) -> Iterator[OpenedWriter]:
    """LogError if the partition, or the spool, has a writer already."""
    if not log.routes:
        with closing(log.open_writer(worker)) as writer:
            yield OpenedWriter(writer)
        return
    weather = Weather()
    with ExitStack() as stack:
        spooled = stack.enter_context(closing(_spooled(settings, log, worker, weather)))
        left = [
            stack.enter_context(closing(_spooled(settings, log, number, weather)))
            for number in (_left_behind(settings) if worker == 0 else ())
        ]
        yield OpenedWriter(spooled, spooled.refusal, partial(_counted, [spooled, *left], weather))


def _spooled(settings: Settings, log: Log, number: int, weather: Weather) -> SpooledWriter:
    return SpooledWriter(
        partial(log.open_writer, MAIN),
        Spool(
            settings.home / "spool" / str(number),
            MAIN,
            max_bytes=max(1, settings.spool_max_bytes // settings.collect_workers),
        ),
        patience_seconds=settings.spool_after_seconds,
        weather=weather,
    )


def _left_behind(settings: Settings) -> list[int]:
    """Spools of workers that are no longer started: the first worker drains them."""
    found = (settings.home / "spool").glob("*/partition-*.db")
    numbers = {int(file.parent.name) for file in found if file.parent.name.isdigit()}
    return sorted(number for number in numbers if number >= settings.collect_workers)


def _counted(writers: list[SpooledWriter], weather: Weather) -> dict[str, Any]:
    since = [writer.counts.waiting_since for writer in writers if writer.counts.waiting_since]
    return {
        "spooled_records": [[sum(writer.counts.spooled for writer in writers)]],
        "spool_waiting_bytes": [[sum(writer.waiting_bytes for writer in writers)]],
        "spool_waiting_since_seconds": [[min(since, default=0.0)]],
        "retrying_since_seconds": [["log", weather.since.get("log", 0.0)]],
    }
