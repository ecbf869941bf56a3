"""Asks the demo's Footfall and counts the same over the emitted events: each answer beside its reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from footfall.cli.demo_system import RunningSystem
from footfall.cli.demo_traffic import Traffic
from footfall.simulator import FUNNEL, Bank
from footfall.simulator.event import Event
from footfall.simulator.reference import (
    Range,
    count_events,
    count_funnel,
    count_links,
    count_retention,
    sum_property,
)
from footfall.simulator.region import Region, compare_with_drawn
from footfall.simulator.truth import DAY_MS, HOUR_MS, WINDOW_DAYS

CELL = ("channel", "$app_version")
COMES_BACK = ("register", "$AppStart")
RETENTION_WEEKS = 4
WEEK_MS = 7 * DAY_MS
PATH_EVENTS = (*FUNNEL, "transfer", "apply_loan")
PATH_STEPS = 5
MOST_LINKS = 1_000
EPOCH_AFTER_MONDAY_MS = 3 * DAY_MS + 8 * HOUR_MS
"""1970 began on a Thursday, in Shanghai eight hours before it did in UTC."""


@dataclass(frozen=True, slots=True)
class FunnelAnswer:
    """`steps` as the query API gives them; `reference` has the users at each step."""

    steps: list[dict[str, Any]]
    reference: list[int]

    @property
    def agrees(self) -> bool:
        return [step["users"] for step in self.steps] == self.reference


@dataclass(frozen=True, slots=True)
class RetentionAnswer:
    """`rows` and `mean` as the query API gives them; `reference` has all cells, also those to come."""

    rows: list[dict[str, Any]]
    mean: list[float]
    reference: list[list[int]]

    @property
    def agrees(self) -> bool:
        """A cell that the answer leaves out, its week being to come, is one that nobody is in."""
        return len(self.rows) == len(self.reference) and all(
            row["values"] == counted[: len(row["values"])] and not any(counted[len(row["values"]) :])
            for row, counted in zip(self.rows, self.reference, strict=True)
        )


@dataclass(frozen=True, slots=True)
class PathsAnswer:
    """`links` as the query API gives them, the heaviest first; `reference` has times and persons of each."""

    links: list[dict[str, Any]]
    reference: dict[tuple[str, str], tuple[int, int]]

    @property
    def agrees(self) -> bool:
        found = {(link["source"], link["target"]): (link["count"], link["users"]) for link in self.links}
        return found == self.reference


@dataclass(frozen=True, slots=True)
class CrashAnswer:
    """Times and persons by version."""

    found: dict[str, tuple[int, int]]
    reference: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class LedgerAnswer:
    """The ledger's total, and what was sent."""

    total: dict[str, Any]
    traffic: Traffic

    @property
    def rejected(self) -> int:
        return sum(self.total["rejected"].values())

    @property
    def closed(self) -> bool:
        """Everything received is accounted for, and nothing waits."""
        total = self.total
        accounted = total["stored"] + total["duplicate"] + self.rejected + total["queued"]
        return bool(total["received"] == accounted and total["queued"] == 0)

    @property
    def agrees(self) -> bool:
        """What is stored is what was sent, once. (A request sent again by the network adds duplicates.)"""
        traffic = self.traffic
        return bool(
            self.closed
            and self.total["stored"] == traffic.to_be_stored
            and self.total["duplicate"] >= traffic.repeated
            and self.rejected == traffic.refused
        )


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything that the demo shows."""

    funnel: FunnelAnswer
    by_channel: dict[str, FunnelAnswer]
    cells_agree: bool
    region: Region
    retention: RetentionAnswer
    paths: PathsAnswer
    crashes: CrashAnswer
    purchased: tuple[Decimal, Decimal]  # as answered, as counted
    ledger: LedgerAnswer

    @property
    def all_agree(self) -> bool:
        return (
            self.funnel.agrees
            and all(answer.agrees for answer in self.by_channel.values())
            and self.cells_agree
            and self.retention.agrees
            and self.paths.agrees
            and self.crashes.found == self.crashes.reference
            and self.purchased[0] == self.purchased[1]
            and self.ledger.agrees
        )


def ask_everything(bank: Bank, system: RunningSystem, traffic: Traffic) -> Answers:
    """SystemFailed if a question gets no answer."""
    events = list(bank.events())
    counted = Range(bank.truth.plan.start_ms, bank.truth.plan.end_ms)
    window_ms = WINDOW_DAYS * DAY_MS
    answer = system.ask("funnel", funnel_query(counted))
    by_channel = system.ask("funnel", funnel_query(counted, "channel"))
    by_cell = _users_by_key(system.ask("funnel", funnel_query(counted, *CELL)))
    reference = count_funnel(events, FUNNEL, window_ms, counted)[()]
    reference_channels = count_funnel(events, FUNNEL, window_ms, counted, ("channel",))
    return Answers(
        funnel=FunnelAnswer(answer["steps"], reference),
        by_channel={
            str(group["key"][0]): FunnelAnswer(
                group["steps"], reference_channels.get(tuple(group["key"]), [0] * len(FUNNEL))
            )
            for group in by_channel["groups"]
        },
        cells_agree=by_cell == count_funnel(events, FUNNEL, window_ms, counted, CELL),
        region=compare_with_drawn(bank, {(key[0], key[1]): users for key, users in by_cell.items()}),
        retention=_ask_retention(system, counted, events),
        paths=_ask_paths(system, counted, events),
        crashes=CrashAnswer(
            _ask_crashes(system, counted), count_events(events, "AppCrashed", counted, "$app_version")
        ),
        purchased=(_ask_purchased(system, counted), sum_property(events, "purchase_fund", "amount", counted)),
        ledger=LedgerAnswer(system.ledger(), traffic),
    )


def funnel_query(counted: Range, *breakdown: str) -> dict[str, Any]:
    """The body of the main funnel's query."""
    return {
        "range": {"from": _instant(counted.from_ms), "to": _instant(counted.to_ms)},
        "steps": [{"event": event} for event in FUNNEL],
        "window": {"value": WINDOW_DAYS, "unit": "day"},
        "breakdown": list(breakdown) or None,
    }


def _ask_retention(system: RunningSystem, counted: Range, events: list[Event]) -> RetentionAnswer:
    """Of those who register in a week, how many open the app in the weeks after it."""
    start, back = COMES_BACK
    query = {
        "range": {"from": _instant(counted.from_ms), "to": _instant(counted.to_ms)},
        "start": {"event": start},
        "return": {"event": back},
        "interval": "week",
        "periods": RETENTION_WEEKS,
        "entry": "first_in_range",
        "timezone": "Asia/Shanghai",
        "week_start": "monday",
    }
    answer = system.ask("retention", query)
    edges = _weeks(counted)
    reference = count_retention(events, start, back, edges, len(edges) - 1 - RETENTION_WEEKS)
    return RetentionAnswer(answer["rows"], answer["mean"], reference)


def _ask_paths(system: RunningSystem, counted: Range, events: list[Event]) -> PathsAnswer:
    """What follows what, until a day passes without any of it."""
    query = {
        "range": {"from": _instant(counted.from_ms), "to": _instant(counted.to_ms)},
        "events": [{"event": list(PATH_EVENTS)}],
        "session_gap_seconds": DAY_MS // 1_000,
        "max_steps": PATH_STEPS,
        "limit": MOST_LINKS,
    }
    links = system.ask("paths", query)["links"]
    return PathsAnswer(links, count_links(events, PATH_EVENTS, DAY_MS, PATH_STEPS, counted))


def _weeks(counted: Range) -> list[int]:
    """The Mondays in Shanghai of the weeks that the range touches, and of as many as can be returned in."""
    first, last = (
        (time_ms + EPOCH_AFTER_MONDAY_MS) // WEEK_MS for time_ms in (counted.from_ms, counted.to_ms - 1)
    )
    return [week * WEEK_MS - EPOCH_AFTER_MONDAY_MS for week in range(first, last + RETENTION_WEEKS + 2)]


def _ask_crashes(system: RunningSystem, counted: Range) -> dict[str, tuple[int, int]]:
    """AppCrashed by version: how often, and to how many persons."""
    measures: tuple[str, ...] = ("events", "users")
    query = {
        "range": {"from": _instant(counted.from_ms), "to": _instant(counted.to_ms)},
        "series": [{"event": "AppCrashed", "measure": measure} for measure in measures],
        "interval": "total",
        "breakdown": ["$app_version"],
    }
    totals: dict[str, list[int]] = {}
    for series in system.ask("trends", query)["series"]:
        totals.setdefault(str(series["key"][0]), []).append(int(series["total"]))
    return {version: (events, users) for version, (events, users) in totals.items()}


def _ask_purchased(system: RunningSystem, counted: Range) -> Decimal:
    """All purchases, to the fen."""
    query = {
        "range": {"from": _instant(counted.from_ms), "to": _instant(counted.to_ms)},
        "series": [{"event": "purchase_fund", "measure": {"sum": "amount"}}],
        "interval": "total",
    }
    return Decimal(str(system.ask("trends", query)["series"][0]["total"]))


def _users_by_key(result: Mapping[str, Any]) -> dict[tuple[str, ...], list[int]]:
    return {
        tuple(str(part) for part in group["key"]): [step["users"] for step in group["steps"]]
        for group in result["groups"]
    }


def _instant(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
