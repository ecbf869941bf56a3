"""The demo's pages: tables of answers beside their references, readable also where there are no colours."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from footfall.cli.demo_answers import (
    RETENTION_WEEKS,
    Answers,
    CrashAnswer,
    FunnelAnswer,
    LedgerAnswer,
    PathsAnswer,
    RetentionAnswer,
)
from footfall.cli.demo_system import RunningSystem
from footfall.cli.demo_traffic import Traffic
from footfall.simulator import FUNNEL, Bank
from footfall.simulator.region import Region
from footfall.simulator.truth import DAY_MS, WINDOW_DAYS

_FULL_BAR = 16
_TOP_LINKS = 8


def show_answers(console: Console, bank: Bank, answers: Answers) -> None:
    """All tables and verdicts."""
    console.print(_funnel_table(answers.funnel))
    console.print(_verdict(answers.funnel.agrees, "funnel = reference model, step by step"))
    console.print(_region_line(answers.region))
    console.print()
    console.print(_channel_table(answers.by_channel))
    console.print(_verdict(answers.cells_agree, "also in each channel and app version"))
    console.print(_drop_off_line(bank))
    console.print()
    console.print(_retention_table(answers.retention))
    console.print(_verdict(answers.retention.agrees, "retention = reference model, cell by cell"))
    console.print()
    console.print(_paths_table(answers.paths))
    console.print(_verdict(answers.paths.agrees, "paths = reference model, link by link"))
    console.print()
    console.print(_crash_table(answers.crashes, bank))
    console.print(
        _verdict(answers.crashes.found == answers.crashes.reference, "crashes and persons = reference")
    )
    found, counted = answers.purchased
    console.print(_verdict(found == counted, f"funds bought for {found:,.2f} CNY = reference, to the fen"))
    console.print()
    console.print(_ledger_table(answers.ledger))
    console.print(_verdict(answers.ledger.agrees, "ledger closed: every record sent is accounted for"))


def show_speed(console: Console, traffic: Traffic, queryable_seconds: float) -> None:
    """How fast it went, all processes and the sender on this one machine."""
    per_second = round(traffic.sent / queryable_seconds)
    console.print()
    console.print(
        f"{traffic.sent:,} records ({traffic.by_sdk:,} by our SDK, {traffic.by_sensors:,} in "
        f"{traffic.requests:,} Sensors-format requests): accepted in {traffic.seconds:.1f} s, "
        f"in answers after {queryable_seconds:.1f} s = {per_second:,} records/s, sender included"
    )


def show_ways_on(console: Console, system: RunningSystem) -> None:
    """Addresses, keys and a line to try."""
    body = {
        "range": {"last": {"value": 30, "unit": "day"}},
        "steps": [{"event": event} for event in FUNNEL],
        "window": {"value": WINDOW_DAYS, "unit": "day"},
        "breakdown": ["channel"],
    }
    console.print()
    console.print("[bold]Go on from here[/bold]")
    console.print(f"  look at it     {system.query_url}/#/funnel?{_console_steps()}")
    console.print(f"  OpenAPI        {system.query_url}/openapi.json")
    console.print(f"  secret key     {escape(system.secret_key)}")
    console.print(f"  send events    {system.collect_url}/v1/events")
    console.print(
        f"  Sensors SDKs   {system.collect_url}/sa?project=default&token={escape(system.write_key)}"
    )
    console.print(f"  write key      {escape(system.write_key)}")
    console.print("  this funnel:")
    console.print(
        f"curl -sS {system.query_url}/api/v1/query/funnel -H 'Authorization: Bearer {system.secret_key}' "
        f"-H 'Content-Type: application/json' -d '{json.dumps(body)}'",
        markup=False,
    )


def _console_steps() -> str:
    return urlencode([("step", event) for event in FUNNEL] + [("by", "event:channel")])


def _funnel_table(answer: FunnelAnswer) -> Table:
    table = _table(
        "Where people drop off", "step", "users", "reference", "from first", "from previous", "median"
    )
    table.add_column("")
    first = answer.steps[0]["users"] or 1
    for step, reference in zip(answer.steps, answer.reference, strict=True):
        users = step["users"]
        table.add_row(
            str(step["label"]),
            f"{users:,}",
            _reference(reference, users),
            f"{step['conversion_rate']:.1%}",
            f"{step['step_conversion_rate']:.1%}",
            _duration(step["median_seconds"]),
            "█" * round(_FULL_BAR * users / first),
        )
    return table


def _channel_table(by_channel: dict[str, FunnelAnswer]) -> Table:
    table = _table("By channel: users who reached each step", "channel", *FUNNEL)
    for channel, answer in by_channel.items():
        cells = []
        for step, reference in zip(answer.steps, answer.reference, strict=True):
            rate = "" if step is answer.steps[0] else f" {step['step_conversion_rate']:.0%}"
            wrong = "" if step["users"] == reference else f" [red]not {reference:,}[/red]"
            cells.append(f"{step['users']:,}{rate}{wrong}")
        table.add_row(channel, *cells)
    return table


def _retention_table(answer: RetentionAnswer) -> Table:
    """A row a week of registering; the darker a cell, the more came back."""
    weeks = [f"week {week}" for week in range(1, RETENTION_WEEKS + 1)]
    table = _table("Who registers and opens the app in a later week (… still running)", "week of", "persons")
    for week in weeks:
        table.add_column(week, justify="center", min_width=8)
    for row, reference in zip(answer.rows, answer.reference, strict=True):
        cells = [
            _heat_cell(row, week, reference[week]) if week < len(row["values"]) else ""
            for week in range(1, RETENTION_WEEKS + 1)
        ]
        table.add_row(row["bucket"], _matching(row["size"], reference[0]), *cells)
    table.add_section()
    table.add_row("all that began", "", *(f"{rate:.1%}" for rate in answer.mean[1:]))
    return table


def _paths_table(answer: PathsAnswer) -> Table:
    """The heaviest links."""
    table = _table(
        "Top paths: what follows what, within a day", "step", "times", "reference", "persons", "mean"
    )
    table.add_column("")
    most = answer.links[0]["count"] if answer.links else 1
    for link in answer.links[:_TOP_LINKS]:
        times, _ = answer.reference.get((link["source"], link["target"]), (0, 0))
        table.add_row(
            f"{link['source']} → {link['target']}",
            f"{link['count']:,}",
            _reference(times, link["count"]),
            f"{link['users']:,}",
            _duration(link["average_seconds"]),
            "█" * round(_FULL_BAR * link["count"] / most),
        )
    return table


def _heat_cell(row: dict[str, Any], week: int, reference: int) -> str:
    count, size = row["values"][week], row["size"]
    rate = count / size if size else 0.0
    running = "…" if row["partial"] and week == len(row["values"]) - 1 else ""
    if count != reference:
        return f"{count:,} [red]not {reference:,}[/red]"
    return f"[{_heat(rate)}] {rate:>5.1%}{running or ' '} [/]"


def _heat(rate: float) -> str:
    """Light for few, dark for many, readable either way."""
    white, full = (235, 244, 252), (8, 69, 148)
    red, green, blue = (round(low + (high - low) * rate) for low, high in zip(white, full, strict=True))
    return f"{'black' if rate < 0.55 else 'white'} on rgb({red},{green},{blue})"


def _crash_table(answer: CrashAnswer, bank: Bank) -> Table:
    table = _table("Crashes by app version", "version", "crashes", "reference", "persons", "reference")
    table.add_column("")
    for version in sorted(answer.reference.keys() | answer.found.keys()):
        events, users = answer.found.get(version, (0, 0))
        counted_events, counted_users = answer.reference.get(version, (0, 0))
        wave = version == bank.truth.crash_wave.where
        table.add_row(
            version,
            f"{events:,}",
            _reference(counted_events, events),
            f"{users:,}",
            _reference(counted_users, users),
            _days_of(bank, "crash wave drawn", bank.truth.crash_wave) if wave else "",
        )
    return table


def _ledger_table(answer: LedgerAnswer) -> Table:
    table = _table("The ledger", "", "records", "sent by the demo")
    total, traffic = answer.total, answer.traffic
    table.add_row("received", f"{total['received']:,}", f"{traffic.sent:,}")
    table.add_row("= stored", f"{total['stored']:,}", f"{traffic.to_be_stored:,}")
    table.add_row("+ duplicate", f"{total['duplicate']:,}", f"{traffic.repeated:,}")
    for reason, count in total["rejected"].items():
        expected = f"{traffic.refused:,}" if reason == "too_old" else "0"
        table.add_row(f"+ rejected: {reason}", f"{count:,}", expected)
    table.add_row("+ queued", f"{total['queued']:,}", "0")
    return table


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(first)
    for column in others:
        table.add_column(column, justify="right")
    return table


def _region_line(region: Region) -> str:
    inside = "inside" if region.contains else "[yellow]outside[/yellow]"
    return (
        f"  the drawn rates lie {inside} the joint 99 % region of the counts: chi-square "
        f"{region.statistic:.1f} over {region.degrees} cells, limit {region.limit:.1f}"
        + ("" if region.contains else " (one seed in a hundred does)")
    )


def _drop_off_line(bank: Bank) -> str:
    drop_off = bank.truth.drop_off
    return (
        f"  drawn: {drop_off.where} binds cards at {drop_off.size:.0%} of its rate "
        f"{_days_of(bank, '', drop_off).strip()}; {bank.truth.campaign.where} has a campaign "
        f"{_days_of(bank, '', bank.truth.campaign).strip()}"
    )


def _days_of(bank: Bank, what: str, incident: Any) -> str:
    first = (incident.from_ms - bank.truth.plan.start_ms) // DAY_MS + 1
    last = (incident.to_ms - bank.truth.plan.start_ms) // DAY_MS
    return f"{what} on days {first} to {last}"


def _matching(found: int, counted: int) -> str:
    return f"{found:,}" if found == counted else f"{found:,} [red]not {counted:,}[/red]"


def _reference(counted: int, found: int) -> str:
    return f"{counted:,}" if counted == found else f"[red]{counted:,}[/red]"


def _verdict(agrees: bool, what: str) -> str:
    return f"  [green]equal[/green]  {what}" if agrees else f"  [bold red]DIFFERENT[/bold red]  {what}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
