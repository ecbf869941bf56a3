"""Searches one after the other, for a time each; after a finding the same search goes on with what is left.

What a search has learned (its corpus) stays in `.fuzz/`, so the next one begins there; what it found, too.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Final

from tests.fuzzing.seeds import dictionary, seeds_of

ROOT: Final = Path(__file__).parents[2]
PLACE: Final = ROOT / ".fuzz"
SECONDS_AN_INPUT: Final = 5.0
"""CPU time that no input may take; the fuzzer itself sees the clock, which says less on a busy machine."""

_PATIENCE: Final = 60
MEGABYTES: Final = 3_000
LONGEST: Final = 64 * 1024
_MOST_FINDINGS: Final = 10

WEIGHTS: Final[Mapping[str, float]] = {
    "native": 3, "sensors": 4, "encrypted": 3, "forms": 2, "polls": 0.5,
    "batches": 4, "envelopes": 1, "bombs": 0.5,
    "log_records": 1, "query_bodies": 0.5, "fixes": 1, "plans": 1, "judging": 1,
}  # fmt: skip
"""The share of the time that each target gets."""


@dataclass
class Report:
    """What became of one target."""

    target: str
    runs: int = 0
    seconds: float = 0.0
    corpus: int = 0
    findings: list[tuple[Path, str]] = field(default_factory=list)  # the bytes, and what was said

    def line(self) -> str:
        found = f"{len(self.findings)} FINDINGS" if self.findings else "nothing found"
        return f"{self.target}: {self.runs:,} runs in {self.seconds:.0f} s, corpus {self.corpus}: {found}"


NO_ATHERIS: Final = "atheris has no build for this Python or machine (it has for CPython on Linux x86-64)"


def has_atheris() -> bool:
    """Whether there is a build of it for this Python and machine."""
    return importlib.util.find_spec("atheris") is not None


def run_campaign(
    seconds: float, targets: Iterable[str], place: Path = PLACE, say: Callable[[str], None] = print
) -> list[Report]:
    """Searches of so many seconds together."""
    chosen = list(targets)
    total = sum(WEIGHTS[target] for target in chosen)
    reports = []
    for target in chosen:
        report = _search(target, seconds * WEIGHTS[target] / total, place)
        say(report.line())
        for path, said in report.findings:
            say(f"  {path}\n{said}")
        reports.append(report)
    return reports


def _search(target: str, seconds: float, place: Path) -> Report:
    corpus, found = place / "corpus" / target, place / "found" / target
    corpus.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    for seed in seeds_of(target):
        (corpus / sha256(seed).hexdigest()[:20]).write_bytes(seed)
    words = place / "dictionary"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in dictionary()))
    report = Report(target)
    end = monotonic() + seconds
    while (left := end - monotonic()) > 1 or not report.runs:
        before = set(found.iterdir())
        said = _run(target, left, corpus, found, words)
        report.seconds += left - (end - monotonic())
        report.runs += _statistic(said, "stat::number_of_executed_units:")
        new = sorted(set(found.iterdir()) - before)
        report.findings += [(path, _told(said)) for path in new if _is_finding(target, path)]
        if not new or len(report.findings) >= _MOST_FINDINGS:
            break
    report.corpus = len(list(corpus.iterdir()))
    return report


def _run(target: str, seconds: float, corpus: Path, found: Path, words: Path) -> str:
    options = [
        f"-max_total_time={max(1, int(seconds))}",
        f"-timeout={_PATIENCE}",
        f"-report_slow_units={_PATIENCE}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-max_len={LONGEST}",
        f"-dict={words}",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
        "-verbosity=1",
        str(corpus),
    ]
    command = [sys.executable, "-m", "tests.fuzzing.search", target, *options]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=_environment(),
        capture_output=True,
        timeout=seconds + 10 * _PATIENCE,
        check=False,
    )
    said = (ended.stdout + ended.stderr).decode(errors="replace")
    if ended.returncode != 0 and "Test unit written to" not in said:
        raise RuntimeError(f"the search of {target} ended with {ended.returncode}:\n{said[-4_000:]}")
    return said


def _is_finding(target: str, path: Path) -> bool:
    """Not what only had to wait for the machine."""
    if path.name.startswith(("timeout-", "slow-unit-")) and cpu_seconds(target, path) < SECONDS_AN_INPUT:
        path.unlink()
        return False
    return True


def cpu_seconds(target: str, path: Path) -> float:
    """CPU time that one input takes; infinite if it does not end."""
    program = (
        "import pathlib, sys, time; from tests.fuzzing.targets import TARGETS; "
        "data = pathlib.Path(sys.argv[2]).read_bytes(); TARGETS[sys.argv[1]](b''); "
        "began = time.process_time(); TARGETS[sys.argv[1]](data); print(time.process_time() - began)"
    )
    try:
        ended = subprocess.run(
            [sys.executable, "-c", program, target, str(path)],
            cwd=ROOT,
            env=_environment(),
            capture_output=True,
            timeout=10 * _PATIENCE,
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return float("inf")
    return float(ended.stdout)


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk' / 'python'}"}


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02X}" if byte in b'"\\' or not 32 <= byte < 127 else chr(byte) for byte in word)


def _statistic(said: str, name: str) -> int:
    return sum(int(line.rpartition(" ")[2]) for line in said.splitlines() if line.startswith(name))


def _told(said: str) -> str:
    """The error, without what the fuzzer says around it."""
    lines = said.splitlines()
    at = next((number for number, line in enumerate(lines) if "Uncaught Python exception" in line), None)
    at = at if at is not None else next((n for n, line in enumerate(lines) if "ERROR: libFuzzer" in line), 0)
    return "\n".join(f"    {line}" for line in lines[at : at + 30])
