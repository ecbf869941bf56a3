"""`footfall import`: shows what it would do, asks, imports file after file, lists what it could not take."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from footfall.cli.counted import counted
from footfall.cli.engines import opened_log, opened_workspace
from footfall.cli.home import is_held, make_home
from footfall.cli.import_screen import show_preview, show_reasons
from footfall.eventlog.log import Log
from footfall.eventlog.partitions import IMPORTS
from footfall.events.exported import export_prefix
from footfall.events.keys import KeyedHash
from footfall.importing.faults import ImportRefused, did_you_mean
from footfall.importing.importer import Importer, ImportOptions, State, Target, forget
from footfall.importing.journal import Journal, Position
from footfall.importing.mapping import read_mapping
from footfall.importing.opening import Reading
from footfall.importing.plan import Plan
from footfall.importing.preview import preview, try_out
from footfall.importing.source import look_at
from footfall.settings import Settings, read_installation_key
from footfall.treatment.policy import Policies
from footfall.workspace import COMMAND_LINE

_LOG_BYTES = 256 << 20
"""What may wait in the log of imports at most."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for, of every file."""

    project: str = "default"
    mapping: Path | None = None
    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    yes: bool = False
    dry_run: bool = False
    again: bool = False
    rejected: Path | None = None


def import_files(settings: Settings, files: Sequence[Path], wanted: Wanted) -> None:
    """ImportRefused, InvalidSettings, LogError."""
    make_home(settings.home)
    with opened_workspace(settings) as workspace:
        project = workspace.project(wanted.project)
        names = [each.name for each in workspace.projects()]
        installation_key = read_installation_key(settings)
        policy = Policies(workspace, installation_key, suite=settings.suite)(wanted.project)
    if project is None:
        hint = did_you_mean(wanted.project, names) or f" (there are {', '.join(names) or 'none yet'})"
        raise ImportRefused(f"there is no project {wanted.project!r}{hint}")
    keyed_hash = KeyedHash(installation_key)
    budget = min(settings.log_max_bytes, settings.log_keep_bytes + _LOG_BYTES)
    with opened_log(settings, max_bytes=budget) as log:
        target = Target(project.name, log, keyed_hash, policy)
        visit = _Visit(settings, wanted, target, ZoneInfo(project.timezone))
        for path in files:
            visit.pay(path)


class _Visit:
    """What one call does, file by file, before somebody's screen."""

    def __init__(self, settings: Settings, wanted: Wanted, target: Target, zone: ZoneInfo) -> None:
        self._settings = settings
        self._home = settings.home
        self._directory = settings.home / "imports"
        self._wanted = wanted
        self._target = target
        self._zone = zone
        self._console = Console(highlight=False)

    def pay(self, path: Path) -> None:
        """Shows, asks, imports, reports."""
        wanted = self._wanted
        mapping = None if wanted.mapping is None else read_mapping(wanted.mapping)
        reading = Reading(
            look_at(path),
            format_=wanted.format or (mapping.format if mapping else None),
            encoding=wanted.encoding or (mapping.encoding if mapping else None),
            delimiter=wanted.delimiter or (mapping.delimiter if mapping else None),
        )
        seen = preview(reading, mapping, self._target.policy, self._zone)
        show_preview(self._console, reading, seen, self._target.project)
        prefix = export_prefix(self._target.keyed_hash, self._target.project)
        if not wanted.again and any(f'"event_id":"{prefix}'.encode() in record for record in seen.records):
            self._console.print(
                "It was exported from this very project: its rows are there. "
                "--again imports them as new ones."
            )
            return
        if wanted.dry_run:
            self._try(reading, seen.plan)
        elif wanted.yes or typer.confirm("Import it?"):
            self._import(reading, seen.plan)
        else:
            raise typer.Exit(1)

    def _try(self, reading: Reading, plan: Plan | None) -> None:
        with self._progress() as (bar, task):

            def tell(done: int, total: int, rows: int) -> None:
                bar.update(task, completed=done, total=total, description=counted(rows, "rows"))

            found = try_out(reading, plan, self._target.policy, tell)
        self._console.print(
            f"{counted(found.accepted, 'rows')} would be imported, {found.rejected:,} rejected. "
            "Nothing was stored."
        )
        show_reasons(self._console, found.reasons)

    def _import(self, reading: Reading, plan: Plan | None) -> None:
        path = reading.source.path
        if self._wanted.again:
            forget(reading, plan, self._target.project, self._directory)
        with self._progress() as (bar, task):
            options = ImportOptions(self._directory, _teller(bar, task), lambda: is_held(self._home))
            with closing(Importer(reading, plan, self._target, options)) as importer:
                start = importer.journal.position()
                if start.is_finished:
                    self._console.print(
                        f"It was imported before: {counted(start.accepted, 'rows')}, "
                        f"{start.rejected:,} rejected. --again imports it once more."
                    )
                    return
                if start.rows:
                    self._console.print(f"Going on behind {counted(start.rows, 'rows')}: done before.")
                try:
                    end = importer.run()
                finally:
                    self._report(path, importer.journal)
                    self._record(path, importer.journal.position())
                if is_held(self._home):
                    _wait_until_processed(self._target.log, bar, task)
        self._console.print(
            f"[bold]{counted(end.accepted, 'rows')} imported[/bold], {end.rejected:,} rejected."
        )
        if not is_held(self._home):
            self._console.print("They wait in the log: `footfall up` processes them.")

    def _record(self, path: Path, at: Position) -> None:
        """Whoever reads the audit log later sees what came in this way, also if it was broken off."""
        detail = {"rows": at.accepted, "rejected": at.rejected, "finished": at.is_finished}
        with opened_workspace(self._settings) as workspace:
            workspace.audit.record(COMMAND_LINE, "import.events", self._target.project, path.name, detail)

    def _report(self, path: Path, journal: Journal) -> None:
        """What was rejected: the reasons on the screen, every row in a file."""
        for name, count in journal.kept_as_text().items():
            text = f"properties.{name}: {count:,} values are not of its type: kept as text"
            self._console.print(text, style="yellow", markup=False)
        reasons = journal.rejected_by_reason()
        if reasons:
            show_reasons(self._console, reasons)
            beside = path.with_name(f"{path.name}.rejected.jsonl")
            written = write_rejected(journal, self._wanted.rejected or beside, self._directory)
            self._console.print(f"All of them: {written}", style="yellow", markup=False, soft_wrap=True)

    @contextmanager
    def _progress(self) -> Iterator[tuple[Progress, TaskID]]:
        columns = (
            TextColumn("{task.percentage:>3.0f} %"), BarColumn(), TextColumn("{task.description}"),
            TimeElapsedColumn(), TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=self._console, transient=True) as bar:
            yield bar, bar.add_task("", total=None)


def _teller(bar: Progress, task: TaskID) -> Callable[[State], None]:
    def tell(state: State) -> None:
        waits = f", waits: {state.waits_for}" if state.waits_for else ""
        description = f"{counted(state.rows, 'rows')}, {state.rejected:,} rejected{waits}"
        bar.update(task, completed=state.done, total=state.total, description=description)

    return tell


def _wait_until_processed(log: Log, bar: Progress, task: TaskID) -> None:
    """Until queries see what was imported; Ctrl-C does no harm."""
    while lag := log.position(IMPORTS).lag:
        bar.update(task, description=f"imported; {lag:,} batches are being processed")
        time.sleep(0.1)


def write_rejected(journal: Journal, wanted: Path, fallback: Path) -> Path:
    """Writes every rejected row, as JSONL; where `wanted` cannot be written, into `fallback`."""
    try:
        return _write_rejected(journal, wanted)
    except OSError:
        return _write_rejected(journal, fallback / wanted.name)


def _write_rejected(journal: Journal, path: Path) -> Path:
    draft = path.with_name(f"{path.name}.part")
    with draft.open("w", encoding="utf-8") as file:
        for row in journal.rejected():
            told = {
                "line": row.line, "reason": row.reason, "field": row.field, "message": row.message,
                "row": row.raw.decode(errors="replace"),
            }  # fmt: skip
            file.write(json.dumps(told, ensure_ascii=False) + "\n")
    draft.replace(path)
    return path
