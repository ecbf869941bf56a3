"""What `footfall import` shows: the plan before it starts, and the rows that could not be taken."""

from __future__ import annotations

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from footfall.cli.counted import counted
from footfall.importing.opening import Reading
from footfall.importing.plan import Plan
from footfall.importing.preview import Preview, Reasons

_SHOWN_REASONS = 10


def show_preview(console: Console, reading: Reading, preview: Preview, project: str) -> None:
    """Which column becomes what, a few records, and what is wrong with the first rows."""
    source = reading.source
    told = [
        reading.format,
        *([reading.encoding] if reading.format != "parquet" else []),
        f"{source.size:,} bytes",
    ]
    console.print(f"[bold]{escape(str(source.path))}[/bold]  ({', '.join(told)}) -> project {project}")
    if preview.plan is None:
        console.print("Its lines are records: nothing to map.")
    else:
        console.print(_plan_table(preview.plan))
        if preview.plan.unused:
            console.print(f"Not imported: {escape(', '.join(preview.plan.unused))}", style="yellow")
    console.print("The first records:")
    for record in preview.records:
        console.print(f"  {_shortened(record)}", markup=False, soft_wrap=True)
    if preview.reasons:
        console.print(
            f"Of the first {counted(preview.rows, 'rows')} some cannot be imported:", style="yellow"
        )
        show_reasons(console, preview.reasons)


def show_reasons(console: Console, reasons: Reasons) -> None:
    """A line for each reason."""
    for reason, field, count, line, message in reasons[:_SHOWN_REASONS]:
        where = f" {field}" if field else ""
        text = f"  {count:,} x {reason}{where}, first in line {line}: {message}"
        console.print(text, style="yellow", markup=False, soft_wrap=True)
    if len(reasons) > _SHOWN_REASONS:
        console.print(f"  and {len(reasons) - _SHOWN_REASONS} more reasons", style="yellow")


def _plan_table(plan: Plan) -> Table:
    table = Table("record", "column", "as", box=None, pad_edge=False, header_style="dim")
    mapping = plan.mapping
    table.add_row("type", "", mapping.type)
    if mapping.event is not None:
        table.add_row("event", "", escape(mapping.event))
    if mapping.event_column is not None:
        table.add_row("event", escape(mapping.event_column), "")
    if mapping.item_type is not None:
        table.add_row("item_type", "", escape(mapping.item_type))
    for field, column in mapping.ids.items():
        table.add_row(field, escape(column), "")
    if mapping.time is not None:
        table.add_row(
            "time", escape(mapping.time.column), f"{plan.time_format or ''} {plan.time_zone.key}".strip()
        )
    for each in plan.properties:
        kind = (
            each.type + (f" {each.format}" if each.format else "") + (" (guessed)" if each.is_guessed else "")
        )
        shown = kind if each.column is not None else f"always {each.value!r}"
        table.add_row(f"properties.{each.name}", escape(each.column or ""), escape(shown))
    return table


def _shortened(record: bytes) -> str:
    """A record on one line, long texts cut."""
    text = msgspec.json.format(record, indent=0).decode()
    return text if len(text) <= 500 else f"{text[:500]}..."
