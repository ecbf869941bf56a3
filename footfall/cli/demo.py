"""`footfall demo`: the main job from end to end on this machine, with every answer checked."""

from __future__ import annotations

import importlib.util
import logging
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from footfall.cli.fail import fail

if TYPE_CHECKING:
    from footfall.cli.demo_system import RunningSystem
    from footfall.cli.demo_traffic import Traffic
    from footfall.settings import Settings
    from footfall.simulator import Bank

DEFAULT_EVENTS = 100_000
DEFAULT_SEED = 7
_LEAST_WIDTH = 100
_SETTLE_SECONDS = 120.0
_POLL_SECONDS = 0.1

_console = Console(highlight=False, soft_wrap=True)


def demo(
    exit_after: Annotated[
        bool, typer.Option("--exit", help="End after showing, instead of serving.")
    ] = False,
    events: Annotated[int, typer.Option(min=1_000, help="At least this many events.")] = DEFAULT_EVENTS,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another bank.")] = DEFAULT_SEED,
    home: Annotated[
        Path | None,
        typer.Option(
            help="A new directory that keeps the data; else one in FOOTFALL_HOME that is removed at the end."
        ),
    ] = None,
) -> None:
    """Simulate a bank, send its events through HTTP, and show the answers beside a reference model.

    Then serves until Ctrl-C. Ends with code 1 if an answer differs from the reference.
    """
    from footfall.cli.demo_system import SystemFailed
    from footfall.cli.home import HomeUnusable
    from footfall.cli.sockets import PortUnavailable
    from footfall.settings import InvalidSettings, read_settings

    if importlib.util.find_spec("footfall_sdk") is None:
        fail(
            "the demo sends with our SDK, which is not installed: pip install ./sdk/python in the repository"
        )
    logging.getLogger("footfall_sdk").setLevel(logging.ERROR)  # rejections are part of the demo
    try:
        settings = read_settings()
        with _signals_as_interrupts(), _fresh_home(home, settings) as directory:
            agree = _run(settings, directory, events, seed, exit_after)
    except (SystemFailed, PortUnavailable, HomeUnusable, InvalidSettings) as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if not agree:
        raise typer.Exit(1)


def _run(settings: Settings, home: Path, events: int, seed: int, exit_after: bool) -> bool:
    """Whether all answers agree with the reference."""
    from footfall.cli.demo_answers import ask_everything
    from footfall.cli.demo_show import show_answers, show_speed, show_ways_on
    from footfall.cli.demo_system import running_system, wait_until_ready
    from footfall.simulator import Plan, draw_truth, simulate

    console = _wide_console()
    truth = draw_truth(Plan(seed, int(time.time() * 1000)))
    with ThreadPoolExecutor(1) as beside, running_system(settings, home) as system:
        simulation = beside.submit(simulate, truth, events=events)
        wait_until_ready(system)
        console.print(f"Footfall is up after {system.age_seconds:.1f} s, in {home}")
        bank = simulation.result()
        console.print(
            f"Simulated {len(bank.histories):,} customers of a bank over {bank.truth.plan.days} days: "
            f"{bank.event_count:,} events (seed {seed})"
        )
        began = time.monotonic()
        traffic = _send(console, bank, system)
        _settle(system, traffic)
        queryable_seconds = time.monotonic() - began
        answers = ask_everything(bank, system, traffic)
        console.print()
        show_answers(console, bank, answers)
        show_speed(console, traffic, queryable_seconds)
        if not exit_after:
            show_ways_on(console, system)
            _serve(console, system)
    return answers.all_agree


def _send(console: Console, bank: Bank, system: RunningSystem) -> Traffic:
    from footfall.cli.demo_traffic import send_bank

    with _progress(console, bank.event_count) as advance:
        return send_bank(bank, system, system.home / "sdk-queue", advance)


def _settle(system: RunningSystem, traffic: Traffic) -> None:
    """Waits until everything accepted is in the answers."""
    from footfall.cli.demo_system import SystemFailed

    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        total = system.ledger()
        if total["received"] >= traffic.sent and total["queued"] == 0:
            return
        if time.monotonic() > deadline:
            raise SystemFailed(f"after {_SETTLE_SECONDS:.0f} s still: {total}. {system.log_tail()}")
        time.sleep(_POLL_SECONDS)


def _serve(console: Console, system: RunningSystem) -> None:
    """Until Ctrl-C; SystemFailed if Footfall ends by itself."""
    from footfall.cli.demo_system import SystemFailed

    console.print()
    console.print("Serving until Ctrl-C.")
    try:
        code = system.process.wait()
    except KeyboardInterrupt:
        console.print("Ending in order.")
        return
    raise SystemFailed(f"footfall up ended with code {code}. {system.log_tail()}")


@contextmanager
def _progress(console: Console, events: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; elsewhere a line at the end is enough."""
    bar = Progress(
        TextColumn("Sending"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    task = bar.add_task("sending", total=events)
    with bar:
        yield lambda count: bar.advance(task, count)
        bar.update(task, completed=events)


@contextmanager
def _fresh_home(named: Path | None, settings: Settings) -> Iterator[Path]:
    """The directory that somebody named, which stays; else one in FOOTFALL_HOME, removed at the end."""
    if named is not None:
        yield _make_directory(named.expanduser().absolute())
        return
    from footfall.cli.home import hold_home, make_home

    make_home(settings.home)
    directory = settings.home / "demo"
    hold_home(directory).release()  # HomeInUse while another demo runs there
    shutil.rmtree(directory)  # what a killed demo left
    directory.mkdir(mode=0o700)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _make_directory(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(directory.iterdir()):
            fail(f"{directory} is not an empty directory: the demo needs a new one for its data")
    except OSError as error:
        fail(f"{directory}: {error.strerror}: name a directory that can be made with --home")
    return directory


@contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """Ctrl-C, a closed terminal and SIGTERM end the demo in order, and Footfall with it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _wide_console() -> Console:
    if _console.is_terminal:
        return _console
    return Console(highlight=False, soft_wrap=True, width=max(_console.width, _LEAST_WIDTH))
