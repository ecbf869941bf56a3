"""Whatever is killed, and wherever: 0 lost, 0 doubled, 0 invented, the ledger closed.

python -m pytest -m faults tests/test_faults.py            10 rounds
FAULT_ROUNDS=100 ... (make faults)                         more
FAULT_SEED=1234 FAULT_ROUNDS=1 ...                         a round that failed, again
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.rounds import draw_scenario, run_round

FIRST_SEED = int(os.environ.get("FAULT_SEED", "1"))
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "10"))


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + ROUNDS))
def test_nothing_is_lost_or_doubled_whatever_is_killed(seed: int, tmp_path: Path) -> None:
    scenario = draw_scenario(seed)
    print(scenario)
    outcome = run_round(scenario, tmp_path)
    answers = outcome.answers
    print(
        f"accepted {len(answers.accepted)}, refused {len(answers.refused)}, "
        f"unanswered {answers.unknown_records}, turned away {dict(answers.turned_away)}, "
        f"blocks redone {outcome.redone}"
    )
    assert not outcome.broken, "\n".join([str(scenario), *outcome.broken])
    assert outcome.is_proof
