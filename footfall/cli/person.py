"""`footfall person`: a person's rights, asked of the engine that runs on this home."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from footfall.cli.asking import ask_engine, say
from footfall.cli.fail import fail
from footfall.cli.local_engine import EngineRefused, EngineUnreachable, LocalEngine
from footfall.settings import InvalidSettings, Settings, read_settings

app = typer.Typer(
    help="A person's rights / 个人的权利: export, erasure, legal holds. Footfall must run.",
    no_args_is_help=True,
)
_Id = Annotated[str, typer.Argument(help="Any id of the person; - reads it from standard input.")]
_Project = Annotated[str, typer.Option(help="Whose.")]
_Reason = Annotated[str, typer.Option(help="For the audit log: who asked, under which number.")]
_POLL_SECONDS = 0.5


@app.command()
def export(
    distinct_id: _Id,
    reason: _Reason,
    project: _Project = "default",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file; else standard output.")
    ] = None,
) -> None:
    """Everything of a person as lines of JSON / 导出一个人的全部数据."""
    body = {"id": _read(distinct_id), "reason": reason}
    last: dict[str, Any] = {}
    draft = None if output is None else output.with_name(f"{output.name}.unfinished")
    try:
        with sys.stdout if draft is None else draft.open("w", encoding="utf-8") as target:
            for line in _engine().lines("POST", f"/api/v1/projects/{project}/persons/export", body=body):
                target.write(json.dumps(line, ensure_ascii=False) + "\n")
                last = line
    except (EngineUnreachable, EngineRefused, OSError) as error:
        fail(str(error))
    if last.get("kind") != "end":
        fail("the engine ended before the export did: run it again")
    if draft is not None and output is not None:
        draft.replace(output)
        say(f"{output}: {last['lines']} lines")


@app.command()
def erase(  # noqa: PLR0917 - each is an option
    distinct_id: _Id,
    reason: _Reason,
    project: _Project = "default",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")] = False,
    refuse_all: Annotated[
        bool, typer.Option("--refuse-all", help="Also refuse whatever these ids do from now on.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until it has finished.")] = True,
) -> None:
    """Erase everything of a person / 删除一个人的全部数据. There is no way back.

    Ends with 0 when nothing of them is left (or, with --no-wait, when it was asked for), with 3 while a legal
    hold stands in the way: it goes on when that is released.
    """
    body = {"id": _read(distinct_id), "reason": reason, "refuse_all": refuse_all, "dry_run": dry_run}
    job = _ask("POST", project, "persons/erase", body)
    if dry_run:
        _tell_counts("would remove", job["removed"])
        return
    say(f"erasure {job['id']}")
    told = ""
    while wait and job["state"] != "finished":
        if job["waits_for"] != told:
            told = job["waits_for"]
            say(f"waits for {told}" if told else "goes on")
        if "legal hold" in told:
            raise typer.Exit(3)
        time.sleep(_POLL_SECONDS)
        job = _ask("GET", project, f"erasures/{job['id']}")
    if job["state"] == "finished":
        _tell_counts("removed", job["removed"])
        for backup in job["backups"]:
            until = backup["expires_at"] or "for ever: delete it yourself"
            say(f"still in the backup {backup['path']} until {until}")


@app.command()
def erasures(project: _Project = "default") -> None:
    """Erasures that were asked for, the newest first, as lines of JSON."""
    for job in _ask("GET", project, "erasures")["erasures"]:
        sys.stdout.write(json.dumps(job, ensure_ascii=False) + "\n")


@app.command()
def hold(
    reason: _Reason,
    distinct_id: Annotated[
        str | None, typer.Argument(help="Any id of the person; none: the project.")
    ] = None,
    project: _Project = "default",
) -> None:
    """Place a legal hold / 法律保全: nothing of them is dropped or erased while it stands."""
    placed = _ask("POST", project, "holds", {"id": _read(distinct_id), "reason": reason})
    say(f"held: {'the project' if placed['id_key'] is None else placed['id_key']}")


@app.command()
def release(
    reason: _Reason,
    distinct_id: Annotated[str | None, typer.Argument(help="The id it was placed with.")] = None,
    project: _Project = "default",
) -> None:
    """Release a legal hold / 解除法律保全: what waited for it goes on."""
    _ask("POST", project, "holds/release", {"id": _read(distinct_id), "reason": reason})
    say("released")


@app.command()
def holds(project: _Project = "default") -> None:
    """Legal holds, as lines of JSON."""
    for line in _ask("GET", project, "holds")["holds"]:
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")


@app.command()
def tombstones() -> None:
    """Who was erased, as lines of JSON without ids: for `footfall restore --erasures` of a backup that lay
    elsewhere. Works while Footfall is stopped, too.
    """
    from footfall.cli.engines import opened_workspace
    from footfall.rights.backups import tombstone_of

    with opened_workspace(_settings()) as workspace:
        for erasure in workspace.erasures.cut():
            sys.stdout.write(json.dumps(tombstone_of(erasure)) + "\n")


def _tell_counts(verb: str, removed: dict[str, int]) -> None:
    told = ", ".join(f"{count} of {table}" for table, count in sorted(removed.items()) if count)
    say(f"{verb}: {told or 'nothing'}")


def _read(distinct_id: str | None) -> str | None:
    return sys.stdin.readline().rstrip("\n") if distinct_id == "-" else distinct_id


def _ask(method: str, project: str, path: str, body: Any = None) -> dict[str, Any]:
    return ask_engine(method, f"/api/v1/projects/{project}/{path}", body=body)


def _engine() -> LocalEngine:
    try:
        return LocalEngine.of(_settings().home)
    except EngineUnreachable as error:
        fail(str(error))


def _settings() -> Settings:
    try:
        return read_settings()
    except InvalidSettings as error:
        fail(str(error))
