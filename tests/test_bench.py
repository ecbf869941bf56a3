"""The benchmarks run from end to end at tiny sizes. No time is asserted: that is what they are for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("queries", ["Storage", "B/event", "funnel, 6 steps", "Identity map", "two threads / one"]),
        ("collector", ["collector / discard, 1 event", "collector / body model, 20 events", "fdatasync"]),
        ("privacy", ["nothing to hide", "a phone in one property"]),
        ("encrypted", ["an event in an envelope of RSA", "a session key of SM2"]),
        ("processor", ["processor / collector"]),
        ("sdk", ["track at full speed, p99", "track at 1,000 a second, p99"]),
        ("concurrency", ["answers that differ when all is quiet", "answers a second", "| met |"]),
        ("plan", ["judging / reading", "which breaks it once"]),
        ("import", ["killed in the middle, resumed", "peak memory of the import"]),
        ("hostile", ["answered by an error of the server's own | 0 | 0 | 0 | <= 0 | met", "p99 / before"]),
        ("freshness", ["accepted to queryable, p99", "binding accepted to followed", "first answered query"]),
    ],
)
def test_measures_and_writes_down_every_part(part: str, said: list[str], tmp_path: Path) -> None:
    results = tmp_path / "RESULTS.md"
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--only", part, "--results", str(results)],
        cwd=ROOT,
        env=_environment(tmp_path),
        capture_output=True,
        check=False,
        text=True,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    written = results.read_text(encoding="utf-8")
    assert [what for what in said if what not in written] == []
    assert "| what | value | limit | ratio | target |" in written


def test_says_which_ratios_are_met() -> None:
    from bench.results import Row, Target

    assert Row("x", "1", "2", 0.5, Target(">=", 0.4)).verdict == "met"
    assert Row("x", "1", "2", 0.5, Target("<=", 0.4, "x")).verdict == "missed"
    assert Row("x", "1").verdict == ""


def _environment(tmp_path: Path) -> dict[str, str]:
    """Temporary files go where pytest removes them; nothing of the machine's own Footfall is read."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("FOOTFALL_")}
    return own | {"TMPDIR": str(tmp_path)}
