"""`footfall simulate`: a simulated bank as files, for other programs and for checking answers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from footfall.cli.fail import fail


def simulate(
    out: Annotated[Path, typer.Option(help="Directory for the files; those of an earlier run are replaced.")],
    customers: Annotated[int, typer.Option(min=1, max=10_000_000, help="How many customers.")] = 1_000,
    days: Annotated[int, typer.Option(min=15, max=300, help="Civil days of history, up to now.")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another bank.")] = 7,
) -> None:
    """Write a simulated bank to files: what was drawn, what was emitted, and requests ready to be sent."""
    from footfall.simulator import Plan, draw_truth
    from footfall.simulator import simulate as simulate_bank
    from footfall.simulator.files import write_bank

    console = Console(highlight=False, soft_wrap=True)
    truth = draw_truth(Plan(seed, int(time.time() * 1000), days))
    try:
        out.mkdir(parents=True, exist_ok=True)  # now: simulating may take long
        bank = simulate_bank(truth, customers=customers)
        paths = write_bank(bank, out)
    except OSError as error:
        fail(f"{error.filename or out}: {error.strerror}: name a directory that can be written with --out")
    for path in paths:
        console.print(f"{path}  {path.stat().st_size:,} bytes", markup=False)
    console.print(f"{bank.event_count:,} events of {len(bank.histories):,} customers")
