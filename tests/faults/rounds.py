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

from tests.faults.administrator import Administrator
from tests.faults.clients import Answers, Clients
from tests.faults.invariants import broken_by_ledger, broken_by_store
from tests.faults.machine import Machine
from tests.faults.stored import read_stored

SETTLE_SECONDS = 60.0
"""How long after the last fault everything accepted may take to be in the answers."""

LEAST_ACCEPTED = 1_000
_WITHIN_A_BLOCK = ("P4", "P5", "P6")
"""Crash points between a block's plan and its outcome: who dies there leaves a block to redo."""

_MOST_HITS = {"P1": 40, "P2": 40, "P3": 3, "P4": 2, "P5": 2, "P6": 14, "P7": 2, "P8": 2}
CRASH_POINTS = tuple(_MOST_HITS)
RESTAMPER_POINTS = ("R1", "R2", "R3", "R4", "R5", "R6")


class Blow(NamedTuple):
    """A fault from outside: so many seconds after the one before, or after everything is up again."""

    kind: str
    after_seconds: float
    when_ready: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.after_seconds:.2f} s later{' when up' if self.when_ready else ''}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """All that a seed decides."""

    seed: int
    workers: int
    kept_bytes: int
    crash_points: tuple[str, ...]  # one of them within a block
    blows: tuple[Blow, ...]

    def __str__(self) -> str:
        blows = ", ".join(map(str, self.blows))
        return (
            f"seed {self.seed}: {self.workers} collector(s), {self.kept_bytes >> 10} KiB kept, "
            f"death at {' and '.join(self.crash_points)}, {blows}"
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a round came to."""

    scenario: Scenario
    answers: Answers
    redone: int  # blocks that a death left unfinished, between plan and outcome
    broken: list[str]

    @property
    def is_proof(self) -> bool:
        """Whether enough was accepted, and a death came amid the inserts of a block."""
        return len(self.answers.accepted) >= LEAST_ACCEPTED and self.redone > 0


def draw_scenario(seed: int) -> Scenario:
    """Seeds that follow each other go through all crash points; in each, one death cuts off a block, in every
    other one the restamper's work.
    """
    random = Random(seed)
    point = CRASH_POINTS[seed % len(CRASH_POINTS)]
    points = [f"{point}:{random.randint(1, _MOST_HITS[point])}"]
    if point not in _WITHIN_A_BLOCK:
        points.append(f"P6:{random.randint(1, _MOST_HITS['P6'])}")
    if seed % 2:
        points.append(RESTAMPER_POINTS[seed // 2 % len(RESTAMPER_POINTS)])
    kinds = random.sample(["kill engine", random.choice(list(_BLOWS))], 2)
    blows = tuple(Blow(kind, random.uniform(0.1, 1.2), random.random() < 0.7) for kind in kinds)
    kept_bytes = 0 if point == "P3" else random.choice([0, 100_000, 64 << 20])
    return Scenario(seed, random.choice([1, 1, 2]), kept_bytes, tuple(points), blows)


def run_round(scenario: Scenario, directory: Path) -> Outcome:
    """Runs it in the empty `directory`; AssertionError if the machine does not even start or stop."""
    with Machine(
        directory, workers=scenario.workers, kept_bytes=scenario.kept_bytes, faults=scenario.crash_points
    ) as machine:
        machine.start()
        answers = asyncio.run(_load_and_hurt(machine, scenario))
        machine.wait_until_ready()
        ledger = _settle(machine, answers)
        broken = broken_by_ledger(answers, ledger)
        machine.stop()
        broken += broken_by_store(answers, read_stored(machine.home))
        return Outcome(scenario, answers, machine.count_words("processor.redo"), broken)


async def _load_and_hurt(machine: Machine, scenario: Scenario) -> Answers:
    clients = Clients(machine.collect_url, scenario.seed)
    administrator = Administrator(machine.query_url, scenario.seed, clients.answers)
    load = asyncio.gather(clients.run(), administrator.run())
    for blow in scenario.blows:
        if blow.when_ready:
            await asyncio.to_thread(machine.wait_until_ready)
        await asyncio.wait([load], timeout=blow.after_seconds)
        await asyncio.to_thread(_BLOWS[blow.kind], machine)
    give_up_at = time.monotonic() + SETTLE_SECONDS
    while not load.done() and not _had_enough(machine, clients.answers):
        assert time.monotonic() < give_up_at, f"accepted {len(clients.answers.accepted)}, never died"
        await asyncio.sleep(0.1)
    clients.stop()
    administrator.stop()
    await load
    return clients.answers


def _had_enough(machine: Machine, answers: Answers) -> bool:
    return machine.faults_happened and len(answers.accepted) >= LEAST_ACCEPTED


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
