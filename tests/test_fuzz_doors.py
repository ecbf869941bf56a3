"""The doors under any bytes: what must hold, on seeds, on what was once found, and in a short search."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzzing.campaign import NO_ATHERIS, has_atheris, run_campaign
from tests.fuzzing.seeds import seeds_of
from tests.fuzzing.targets import TARGETS, the_doors

FOUND = sorted((Path(__file__).parent / "fixtures" / "fuzz").glob("*/*"))
SHORT = ("native", "sensors", "batches", "log_records")
SECONDS = float(os.environ.get("FUZZ_SECONDS", "16"))


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    the_doors().close()
    the_doors.cache_clear()


@pytest.mark.parametrize("target", TARGETS)
def test_what_must_hold_holds_for_the_seeds(target: str) -> None:
    for seed in seeds_of(target):
        TARGETS[target](seed)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_once_found_is_mended(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_a_short_search_finds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not has_atheris():
        pytest.skip(f"NOT RUN: {NO_ATHERIS}")
    with capsys.disabled():
        reports = run_campaign(SECONDS, SHORT, tmp_path, say=lambda line: print(f"\n  fuzzed {line}", end=""))
    assert [report.target for report in reports] == list(SHORT)
    assert all(report.runs > 0 for report in reports)
    assert [finding for report in reports for finding in report.findings] == []
