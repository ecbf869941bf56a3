"""`verify`: do the collectors' counts, the blocks' outcomes and the rows that the store holds agree?

Each part is held against what another wrote down: the log's tallies against the ledger, the ledger against
the blocks, each block's digests against the rows, profiles and items against their operations. Reads only,
also while events arrive: what is not done yet is left out on both sides.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from footfall.eventlog.log import Log
from footfall.events.identity import ResolutionRules
from footfall.proof.counts import compare_counts
from footfall.proof.derived import DerivedRows
from footfall.proof.findings import Checked, Finding
from footfall.proof.horizon import Horizon, HorizonReader
from footfall.proof.row_digests import TableProof, merge_moved
from footfall.storage.digests import PROVEN
from footfall.storage.store import Store
from footfall.workspace import IdentityRules, Workspace

LETTER_DAYS = 90
"""Dead letters expire after so many days: the table's TTL."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What to verify: all, or less."""

    project: str | None = None
    since: str = ""  # a month, "202611"; events and dead letters of it and later ones
    until: str = ""  # and up to this one

    @property
    def is_all(self) -> bool:
        return not (self.since or self.until)

    def holds(self, table: str, part: str) -> bool:
        if self.is_all:
            return True
        if PROVEN[table].part not in ("month", "month_of_arrival") or part == "0":
            return False
        return (not self.since or part >= self.since) and (not self.until or part <= self.until)


def rules_in(workspace: Workspace) -> Callable[[str], ResolutionRules]:
    """How each project of a workspace resolves bindings."""

    def rules_of(project: str) -> ResolutionRules:
        known = workspace.project(project)
        return (IdentityRules() if known is None else known.identity).resolution

    return rules_of


def verify(
    store: Store,
    log: Log,
    rules_of: Callable[[str], ResolutionRules],
    scope: Scope = Scope(),
) -> Iterator[Finding | Checked]:
    """Yields findings as they come up, and what was checked as it is through. StoreError, LogError."""
    # Before the blocks: an offset is committed after its block is done.
    committed = {partition: position.committed for partition, position in log.positions().items()}
    blocks = HorizonReader(store)
    horizon = blocks.read()
    yield from blocks.findings
    yield from _missing_at_the_end(committed, horizon)
    behind = ""
    if horizon.unproven:
        behind = f"the first {horizon.unproven} log offsets: stored by a version that kept no digests"
    yield Checked("blocks", horizon.blocks, "blocks", behind)
    if scope.is_all:
        yield from compare_counts(store, log, horizon, scope.project)
        yield Checked("collectors' counts, ledger, outcomes", horizon.blocks, "blocks")
    for table in PROVEN:
        yield from _verify_table(store, horizon, table, scope)
    if scope.is_all:
        derived = DerivedRows(store, rules_of, scope.project)
        for what, findings in (("profiles", derived.profile_findings), ("items", derived.item_findings)):
            derived.compared = 0
            yield from findings()
            yield Checked(what, derived.compared, "rows derived again")


def _missing_at_the_end(committed: Mapping[int, int], horizon: Horizon) -> Iterator[Finding]:
    """Blocks behind the last one that is there: without them their rows would pass for rows yet to come."""
    for partition, offset in sorted(committed.items()):
        end = horizon.ends.get(partition, 0)
        if end < offset:
            message = "the log says that they were processed: the record of their block is missing"
            yield Finding("ingest_blocks", "lost", f"{partition}:{end}..{offset - 1}", message)


def _verify_table(store: Store, horizon: Horizon, table: str, scope: Scope) -> Iterator[Finding | Checked]:
    proof = TableProof(store, horizon, table, scope.project)
    findings: list[Finding] = []
    for part, rows in sorted(proof.parts().items()):
        if not scope.holds(table, part):
            continue
        name = table if part == "all" else f"{table} of {part}"
        reason = _let_go(horizon, table, part)
        if reason:
            yield Checked(name, 0, "rows", reason)
            continue
        findings += proof.findings(part)
        yield Checked(name, rows, "rows")
    yield from merge_moved(findings)


def _let_go(horizon: Horizon, table: str, part: str) -> str:
    """Why rows of a partition need not be there any more; "" if they must be."""
    if (table, "", part) in horizon.retired:
        return f"{part} was dropped on purpose"
    if PROVEN[table].part == "month_of_arrival":
        year, month = int(part[:4]), int(part[4:6])
        began = calendar.timegm((year, month, 1, 0, 0, 0))
        if began + LETTER_DAYS * 86_400 < time.time():
            when = datetime.fromtimestamp(began, UTC).strftime("%Y-%m")
            return f"of {when}: they expire after {LETTER_DAYS} days"
    return ""
