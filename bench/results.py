"""The rows of a run: printed with rich, appended to bench/RESULTS.md with what they were measured on."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import psutil
from rich.console import Console
from rich.table import Table

_COLUMNS = ("what", "value", "limit", "ratio", "target", "")


@dataclass(frozen=True, slots=True)
class Target:
    """What design.md asks for: `ratio` at least or at most this."""

    bound: Literal[">=", "<="]
    ratio: float
    unit: str = ""

    def is_met_by(self, ratio: float) -> bool:
        return ratio >= self.ratio if self.bound == ">=" else ratio <= self.ratio

    def __str__(self) -> str:
        return f"{self.bound} {self.ratio:g}{self.unit}"


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement beside its limit, both from this run; without a target it only informs."""

    what: str
    value: str
    limit: str = ""
    ratio: float | None = None
    target: Target | None = None

    @property
    def verdict(self) -> str:
        if self.ratio is None or self.target is None:
            return ""
        return "met" if self.target.is_met_by(self.ratio) else "missed"

    def cells(self) -> tuple[str, ...]:
        ratio = "" if self.ratio is None else f"{self.ratio:.3g}"
        return (self.what, self.value, self.limit, ratio, str(self.target or ""), self.verdict)


@dataclass(frozen=True, slots=True)
class Section:
    """What one part of the benchmarks found, and notes that say how to read it."""

    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()


def show(section: Section, console: Console) -> None:
    table = Table(title=section.title, title_justify="left", header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in {"what", ""} else "right")
    for row in section.rows:
        cells = row.cells()
        colour = {"met": "green", "missed": "red"}.get(row.verdict, "default")
        table.add_row(*cells[:-1], f"[{colour}]{cells[-1]}")
    console.print(table)
    for note in section.notes:
        console.print(f"  {note}", highlight=False, style="dim")


def append(path: Path, sections: Sequence[Section], what: str, now: datetime | None = None) -> None:
    """Adds this run to the end of the file."""
    now = now or datetime.now(UTC)
    lines = [f"## {now:%Y-%m-%d %H:%M} UTC, {revision()}", "", f"{machine()}", "", f"Measured: {what}", ""]
    for section in sections:
        lines += [
            f"### {section.title}",
            "",
            "| " + " | ".join(_COLUMNS) + " |",
            "|---|---:|---:|---:|---:|---|",
        ]
        lines += ["| " + " | ".join(row.cells()) + " |" for row in section.rows]
        lines += ["", *(f"- {note}" for note in section.notes)] if section.notes else []
        lines.append("")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def machine() -> str:
    """CPU, Python and the versions that matter."""
    names = ("chdb", "clickhouse-connect", "uvicorn", "fastapi", "msgspec")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    cores = psutil.cpu_count(logical=True)
    memory = round(psutil.virtual_memory().total / (1 << 30))
    return f"{_cpu_model()}, {cores} CPUs, {memory} GiB; Python {platform.python_version()}, {versions}"


def revision() -> str:
    """The commit that was measured; `+` when files differ from it."""
    here = Path(__file__).parent
    try:
        git = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=here, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "not a git checkout"
    return git.stdout.strip()


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
