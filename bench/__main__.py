"""`python -m bench`: measures what exists, prints it, appends it to bench/RESULTS.md."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from bench.engine import home_directory
from bench.results import Section, append, show

RESULTS = Path(__file__).parent / "RESULTS.md"


class Part(StrEnum):
    """What `--only` may name."""

    QUERIES = "queries"
    SDK = "sdk"
    COLLECTOR = "collector"
    ENCRYPTED = "encrypted"
    PROCESSOR = "processor"
    FRESHNESS = "freshness"
    CONCURRENCY = "concurrency"
    IMPORT = "import"
    PLAN = "plan"
    HOSTILE = "hostile"
    PRIVACY = "privacy"
    KAFKA = "kafka"


class Size(StrEnum):
    """How many events the queries run on."""

    TEN_MILLION = "10M"
    FIFTY_MILLION = "50M"

    @property
    def events(self) -> int:
        return int(self.removesuffix("M")) * 1_000_000


def run(
    quick: Annotated[
        bool, typer.Option("--quick", help="Tiny sizes: only shows that everything runs.")
    ] = False,
    events: Annotated[
        Size, typer.Option(help="Events for the queries; 50M takes a quarter of an hour.")
    ] = Size.TEN_MILLION,
    only: Annotated[
        list[Part] | None, typer.Option(help="Only this part; may be given several times.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Keep the generated events here, and use them again.")
    ] = None,
    results: Annotated[Path, typer.Option(help="File to append to.")] = RESULTS,
) -> None:
    """Ratios, each against a limit of the same run. See docs/benchmarks.md."""
    console = Console()
    parts = tuple(
        only or [each for each in Part if each is not Part.KAFKA]
    )  # it needs a broker: --only kafka
    sections = []
    with Progress(console=console, transient=True) as progress:
        for section in _measure(parts, events.events, quick, store, progress):
            show(section, progress.console)
            sections.append(section)
    size = "tiny sizes (--quick)" if quick else f"queries on {events.events:,} events"
    append(results, sections, f"{', '.join(parts)}; {size}")
    console.print(f"Appended to {results}")


def _measure(
    parts: tuple[Part, ...], events: int, quick: bool, store: Path | None, progress: Progress
) -> Iterator[Section]:
    """Every part imports what it measures when its turn comes."""
    per_cpu_second = None
    if Part.COLLECTOR in parts or Part.PROCESSOR in parts:
        from bench import collector

        with home_directory(None) as home:
            section, per_cpu_second = collector.measure(home, collector.Effort.of(quick))
        yield section
    if Part.ENCRYPTED in parts:
        from bench import encrypted

        yield encrypted.measure(encrypted.Effort.of(quick))
    if Part.PROCESSOR in parts:
        from bench import processor

        assert per_cpu_second is not None
        with home_directory(None) as home:
            yield processor.measure(home, processor.Effort.of(quick), per_cpu_second)
    if Part.FRESHNESS in parts:
        from bench import freshness

        with home_directory(None) as home:
            yield freshness.measure(home, freshness.Effort.of(quick))
    if Part.CONCURRENCY in parts:
        from bench import concurrency

        with home_directory(None) as home:
            yield concurrency.measure(home, concurrency.Effort.of(quick))
    if Part.IMPORT in parts:
        from bench import imports

        with home_directory(None) as home:
            yield imports.measure(home, imports.Effort.of(quick))
    if Part.PLAN in parts:
        from bench import plans

        yield plans.measure(plans.Effort.of(quick))
    if Part.HOSTILE in parts:
        from bench import hostile

        with home_directory(None) as home:
            yield hostile.measure(home, hostile.Effort.of(quick))
    if Part.PRIVACY in parts:
        from bench import privacy

        yield privacy.measure(privacy.Effort.of(quick))
    if Part.KAFKA in parts:
        from bench import kafka_clients

        yield kafka_clients.measure(kafka_clients.Effort.of(quick))
    if Part.SDK in parts:
        from bench import sdk

        with home_directory(None) as home:
            yield sdk.measure(home, sdk.Effort.of(quick))
    if Part.QUERIES in parts:
        from bench import queries

        with home_directory(store) as home:
            yield from queries.measure(home, queries.Effort.of(quick, events), progress)


if __name__ == "__main__":
    typer.run(run)
