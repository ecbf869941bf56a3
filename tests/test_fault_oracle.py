"""The oracle of the fault tests notices each kind of harm: it can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from tests.faults.clients import Answers
from tests.faults.events import Fate, Request, Sent, draw_request
from tests.faults.invariants import broken_by_ledger, broken_by_store, persons_of
from tests.faults.rounds import CRASH_POINTS, RESTAMPER_POINTS, draw_scenario
from tests.faults.stored import Stored


def a_round() -> tuple[Answers, Stored, dict[str, Any]]:
    """The notes of some answered requests, and a store and a ledger that fit them."""
    random, answers, sent = Random(1), Answers(), list[Sent]()
    for _ in range(20):
        request = draw_request(random, len(sent), 1_790_000_000_000, sent)
        request = Request("native", request.sent, request.again)
        sent += request.sent
        refused = {i for i, record in enumerate(request.records) if record.fate is Fate.REFUSED}
        answers.note_answer(request, refused)
    events = [(s.number, s.content, "native") for s in answers.accepted.values() if s.fate is Fate.EVENT]
    profiles = [
        (s.content.distinct_id, "profile_set", name, value)
        for s in answers.accepted.values()
        if s.fate is Fate.PROFILE
        for name, value in (
            ("fault_number", str(s.number)),
            ("text", s.content.text),
            ("amount", s.content.amount),
        )
    ]
    received, refusals = answers.answered_records, answers.answered_refused
    ledger = {"received": received, "stored": len(answers.accepted), "rejected": refusals}
    found = persons_of(answers)
    stored = Stored(events, profiles, refusals, ledger, received, 0, found, found, overrides_left=0)
    line = {
        "received": received,
        "stored": len(answers.accepted),
        "duplicate": received - refusals - len(answers.accepted),
        "rejected": {"invalid_name": refusals},
        "queued": 0,
    }
    return answers, stored, {"total": line, "minutes": [dict(line)]}


def test_a_round_without_harm_passes() -> None:
    answers, stored, ledger = a_round()
    assert answers.refused
    assert stored.profile_operations
    assert broken_by_store(answers, stored) == []
    assert broken_by_ledger(answers, ledger) == []


def _with_other_text(stored: Stored) -> Stored:
    number, content, door = stored.events[0]
    return replace(stored, events=[(number, content._replace(text="other"), door), *stored.events[1:]])


def _with_another_person(persons: dict[str, str]) -> dict[str, str]:
    device = next(id_ for id_, person in persons.items() if person != id_)
    return persons | {device: device}


HARMS: dict[str, Callable[[Stored], Stored]] = {
    "I1": lambda stored: replace(stored, events=stored.events[1:]),
    "I2": lambda stored: replace(stored, events=[*stored.events, stored.events[0]]),
    "I3": lambda stored: replace(stored, events=[*stored.events, (10**6, *stored.events[0][1:])]),
    "I4": _with_other_text,
    "profile": lambda stored: replace(stored, profile_operations=stored.profile_operations[1:]),
    "dead letters": lambda stored: replace(stored, dead_letters=stored.dead_letters - 1),
    "stored": lambda stored: replace(stored, ledger=stored.ledger | {"stored": 1}),
    "received": lambda stored: replace(stored, tallies=stored.tallies + 1),
    "I7": lambda stored: replace(stored, lag=1),
    "I8 persons": lambda stored: replace(stored, persons=_with_another_person(stored.persons)),
    "rewritten": lambda stored: replace(stored, persons_rewritten=_with_another_person(stored.persons)),
    "overrides": lambda stored: replace(stored, overrides_left=1),
}


@pytest.mark.parametrize("invariant", HARMS)
def test_harm_to_the_store_is_noticed(invariant: str) -> None:
    answers, stored, _ = a_round()
    broken = broken_by_store(answers, HARMS[invariant](stored))
    assert [line for line in broken if invariant in line]


@pytest.mark.parametrize("count", ["received", "stored", "duplicate", "queued"])
def test_a_ledger_that_does_not_close_is_noticed(count: str) -> None:
    answers, _, ledger = a_round()
    ledger["total"][count] += 1
    assert broken_by_ledger(answers, ledger)
    ledger["total"][count] -= 1
    ledger["minutes"][0][count] += 1
    assert [line for line in broken_by_ledger(answers, ledger) if "a minute does not close" in line]


def test_a_seed_is_the_same_scenario_always_and_seeds_reach_every_crash_point() -> None:
    assert draw_scenario(5) == draw_scenario(5)
    drawn = [draw_scenario(seed).crash_points for seed in range(1, 13)]
    assert {points[0].partition(":")[0] for points in drawn} == set(CRASH_POINTS)
    assert {points[-1] for points in drawn} >= set(RESTAMPER_POINTS)
