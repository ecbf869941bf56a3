"""One round: a load, faults drawn from a seed, the end of faults, and the verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

import httpx

from tests.faults.clients import Answers, Clients
from tests.faults.invariants import broken_by_ledger, broken_by_store
from tests.faults.machine import Machine
from tests.faults.stored import read_stored

SETTLE_SECONDS = 60.0
"""How long after the last fault everything accepted may take to be in the answers."""

CRASH_POINTS = ("P1", "P2", "P4", "P5", "P6", "P7", "P8")
LEAST_ACCEPTED = 1_000


class Blow(NamedTuple):
    """A fault from outside: after so many seconds, this."""

    after_seconds: float
    kind: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """All that a seed decides."""

    seed: int
    workers: int
    crash_point: str
    blows: tuple[Blow, ...]

    @property
    def summary(self) -> str:
        blows = ", ".join(f"{blow.kind} after {blow.after_seconds:.2f} s" for blow in self.blows)
        return f"seed {self.seed}: {self.workers} collectors, dies at {self.crash_point}; {blows}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a round came to."""

    scenario: Scenario
    answers: Answers
    fault_happened: bool
    broken: list[str]


def draw_scenario(seed: int) -> Scenario:
    """Seeds that follow each other go through all crash points."""
    random = Random(seed)
    point = CRASH_POINTS[seed % len(CRASH_POINTS)]
    hits = (
        random.randint(1, 12)
        if point == "P6"
        else random.randint(1, 40)
        if point in ("P1", "P2")
        else random.randint(1, 4)
    )
    kinds = [random.choice(list(_BLOWS)) for _ in range(2)]
    blows = tuple(Blow(random.uniform(0.3, 1.6), kind) for kind in ["kill engine", "kill collector", *kinds])
    order = random.sample(blows, len(blows))
    return Scenario(seed, random.choice([1, 1, 2]), f"{point}:{hits}", tuple(order))


def run_round(scenario: Scenario, directory: Path) -> Outcome:
    """Runs it in the empty `directory`; AssertionError if the machine does not even start or stop."""
    with Machine(directory, workers=scenario.workers, fault=scenario.crash_point) as machine:
        machine.start()
        answers = asyncio.run(_load_and_hurt(machine, scenario))
        machine.wait_until_ready()
        ledger = _settle(machine, answers)
        broken = broken_by_ledger(answers, ledger)
        machine.stop()
        broken += broken_by_store(answers, read_stored(machine.home))
        return Outcome(scenario, answers, machine.fault_happened, broken)


async def _load_and_hurt(machine: Machine, scenario: Scenario) -> Answers:
    clients = Clients(machine.collect_url, scenario.seed)
    load = asyncio.create_task(clients.run())
    for blow in scenario.blows:
        await asyncio.wait([load], timeout=blow.after_seconds)
        await asyncio.to_thread(_BLOWS[blow.kind], machine)
    deadline = time.monotonic() + SETTLE_SECONDS
    while len(clients.answers.accepted) < LEAST_ACCEPTED and not load.done():
        assert time.monotonic() < deadline, f"only {len(clients.answers.accepted)} accepted"
        await asyncio.sleep(0.1)
    clients.stop()
    await load
    return clients.answers


def _settle(machine: Machine, answers: Answers) -> dict[str, object]:
    """The ledger once it has everything that was accepted, or as it is when the time for that is over."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            ledger: dict[str, object] = machine.ask("/api/v1/projects/default/ledger")
        except httpx.TransportError:
            ledger = {}
        if ledger and not broken_by_ledger(answers, ledger):
            return ledger
        if time.monotonic() > deadline:
            assert ledger, f"no answer:\n{machine.last_words()}"
            return ledger
        time.sleep(0.2)


def _pause(role: str) -> Callable[[Machine], None]:
    def pause(machine: Machine) -> None:
        machine.pause(role)
        time.sleep(0.7)
        machine.go_on(role)

    return pause


def _stop_the_machine(machine: Machine) -> None:
    machine.kill_everything()
    machine.start()


def _kill(role: str) -> Callable[[Machine], None]:
    def kill(machine: Machine) -> None:
        machine.kill(role)

    return kill


def _kill_both(machine: Machine) -> None:
    machine.kill("collector")
    machine.kill("engine")


_BLOWS: dict[str, Callable[[Machine], None]] = {
    "kill engine": _kill("engine"),
    "kill collector": _kill("collector"),
    "kill both": _kill_both,
    "kill everything": _stop_the_machine,
    "pause engine": _pause("engine"),
    "pause collector": _pause("collector"),
}
