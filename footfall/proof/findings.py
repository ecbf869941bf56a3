"""What a verification says: findings, each of a record or count that is not as it should be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Problem = Literal[
    "lost",  # a row that was inserted is not there
    "doubled",  # a row is there more than once
    "altered",  # a row is not as it was inserted
    "invented",  # a row is there that no block inserted
    "damaged",  # several rows of a small range are not as they were; which ones cannot be told
    "count",  # two counts of the same differ
    "block",  # a block's own record is missing, twice there, or says something else
    "derived",  # a profile or item is not what its operations give
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; `record` is partition:offset:seq of the log, or what else names it."""

    table: str
    problem: Problem
    record: str
    message: str
    project: str = ""
    event_id: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "problem": self.problem,
            "record": self.record,
            "project": self.project,
            "event_id": self.event_id or None,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Checked:
    """A check that is through: how much was compared, and what could not be, with the reason."""

    check: str
    compared: int
    unit: str
    not_compared: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "check": self.check,
            "compared": self.compared,
            "unit": self.unit,
            "not_compared": self.not_compared or None,
        }


@dataclass(slots=True)
class Verdict:
    """A verification so far."""

    findings: list[Finding] = field(default_factory=list)
    checks: list[Checked] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings
