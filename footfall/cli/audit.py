"""`footfall audit`: the record of what was done, read where it lies, whether Footfall runs or not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footfall.cli.asking import say
from footfall.cli.counted import counted
from footfall.cli.fail import fail
from footfall.settings import InvalidSettings, Settings, read_settings

if TYPE_CHECKING:
    from footfall.workspace.audit import Audit, AuditFilter, Verified
    from footfall.workspace.audit_anchor import Head

app = typer.Typer(
    help="The audit log: who did what, verified, shown, exported, archived.", no_args_is_help=True
)
_Project = Annotated[str | None, typer.Option(help="Only of this project.")]
_Actor = Annotated[str | None, typer.Option(help="Only by this one: 'command line', 'secret key 1a2b3c4d'.")]
_Action = Annotated[
    str | None, typer.Option(help="Only this: 'export.events', or 'export.' for all of them.")
]
_Person = Annotated[str | None, typer.Option("--id", help="Only about this id of a person; with --project.")]
_Since = Annotated[str | None, typer.Option(help="From this instant on: 2026-11-22, 2026-11-22T10:00:00Z.")]
_Until = Annotated[str | None, typer.Option(help="Before this instant.")]


@app.command()
def verify(
    expect: Annotated[
        str | None, typer.Option(help="A head noted earlier, NUMBER:CODE: it must still be in the chain.")
    ] = None,
    archive: Annotated[
        list[Path] | None, typer.Option(help="A file of `footfall audit archive`; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object of JSON.")] = False,
) -> None:
    """Prove that no row was altered, taken out, exchanged or put in: each finding has the row's number.

    Ends with 0 if all is right, with 1 and a line for every finding, with 2 if it could not look.
    """
    from footfall.workspace.audit_archive import ArchiveUnusable

    expected = _head(expect)
    with _opened(failing_with=2) as audit:
        try:
            verified = audit.verify(expected, archive or ())
        except ArchiveUnusable as error:
            fail(str(error), code=2)
    _report(verified, as_json=as_json)
    if verified.findings:
        raise typer.Exit(1)


@app.command()
def show(  # noqa: PLR0917 - each is an option
    project: _Project = None,
    actor: _Actor = None,
    action: _Action = None,
    person: _Person = None,
    since: _Since = None,
    until: _Until = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest so many.")] = 100,
) -> None:
    """Show the newest rows, oldest first. That it was read is a row, too."""
    from footfall.workspace.audit import COMMAND_LINE

    with _opened() as audit:
        rows = audit.newest(_filter(audit, project, actor, action, person, since, until), limit)
        audit.record(COMMAND_LINE, "audit.read", project or "", "", {"rows": len(rows)})
    for row in rows:
        detail = " ".join(f"{name}={_short(value)}" for name, value in row.as_json()["detail"].items())
        about = " ".join(filter(None, (row.project, row.subject, detail)))
        say(f"{row.sequence:>7}  {_instant(row.time)}  {row.actor}  {row.action}  {about}".rstrip())


@app.command()
def export(  # noqa: PLR0917 - each is an option
    project: _Project = None,
    actor: _Actor = None,
    action: _Action = None,
    person: _Person = None,
    since: _Since = None,
    until: _Until = None,
    after: Annotated[int, typer.Option(min=0, help="Only rows behind this number.")] = 0,
) -> None:
    """Write rows to standard output, a line of JSON each. That it was read is a row, too."""
    from footfall.workspace.audit import COMMAND_LINE
    from footfall.workspace.audit_archive import line_of

    with _opened() as audit:
        wanted = _filter(audit, project, actor, action, person, since, until)
        audit.record(COMMAND_LINE, "audit.export", project or "", "", {"after": after})
        for row in audit.rows(wanted, after=after):
            sys.stdout.write(line_of(row))


@app.command()
def archive(
    file: Annotated[Path, typer.Argument(help="A file that does not exist yet.")],
    before: Annotated[str, typer.Option(help="Rows before this day, at least 184 days ago: 2026-01-01.")],
) -> None:
    """Move old rows to a file. The chain goes on: verify takes the file with --archive."""
    from footfall.workspace.audit import COMMAND_LINE, CannotArchive
    from footfall.workspace.audit_archive import ArchiveUnusable

    at = _milliseconds(before, "--before")
    with _opened() as audit:
        try:
            written = audit.archive(file, at, COMMAND_LINE)
        except (CannotArchive, ArchiveUnusable) as error:
            fail(str(error))
    if written is None:
        say(f"no row is from before {before}")
        return
    first, last = written.first.sequence, written.last.sequence
    say(f"{file}: {counted(written.rows, 'rows')}, {first} to {last}, SHA-256 {written.sha256}")


def _report(verified: Verified, *, as_json: bool) -> None:
    head = f"{verified.head.sequence}:{verified.head.mac}"
    if as_json:
        findings = [{"row": each.sequence, "message": each.message} for each in verified.findings]
        sys.stdout.write(json.dumps({"rows": verified.rows, "head": head, "findings": findings}) + "\n")
        return
    for finding in verified.findings:
        say(f"row {finding.sequence}: {finding.message}" if finding.sequence else finding.message)
    if verified.findings:
        say(f"{counted(len(verified.findings), 'findings')} in {counted(verified.rows, 'rows')}")
    else:
        say(f"{counted(verified.rows, 'rows')}, none altered, none missing; head {head}")
        say("Keep the head elsewhere: with --expect it proves that no older copy was put back.")


@contextmanager
def _opened(failing_with: int = 1) -> Iterator[Audit]:
    from sqlalchemy.exc import SQLAlchemyError

    from footfall.cli.engines import opened_workspace

    settings = _settings(failing_with)
    if not settings.home.exists():
        fail(f"{settings.home}: there is no such directory; set FOOTFALL_HOME", code=failing_with)
    try:
        with opened_workspace(settings) as workspace:
            yield workspace.audit
    except (InvalidSettings, SQLAlchemyError, OSError) as error:
        fail(f"the audit log cannot be read: {str(error).partition(chr(10))[0]}", code=failing_with)


def _settings(failing_with: int) -> Settings:
    try:
        return read_settings()
    except InvalidSettings as error:
        fail(str(error), code=failing_with)


def _filter(  # noqa: PLR0917 - the options of two commands
    audit: Audit,
    project: str | None,
    actor: str | None,
    action: str | None,
    person: str | None,
    since: str | None,
    until: str | None,
) -> AuditFilter:
    from footfall.workspace.audit import AuditFilter

    if person is not None and project is None:
        fail("--id needs --project: an id belongs to a project")
    return AuditFilter(
        project=project,
        actor=actor,
        action=action,
        subject=None if person is None else audit.hashed(project or "", person),
        since=None if since is None else _milliseconds(since, "--since"),
        until=None if until is None else _milliseconds(until, "--until"),
    )


def _head(text: str | None) -> Head | None:
    from footfall.workspace.audit_anchor import Head

    if text is None:
        return None
    number, _, code = text.partition(":")
    if not (number.isascii() and number.isdigit() and len(number) < 19 and len(code) == 64):
        fail(f"--expect {text}: write the head as `footfall audit verify` shows it, NUMBER:CODE", code=2)
    return Head(int(number), code)


def _milliseconds(text: str, option: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option} {text}: write an instant as 2026-11-22 or 2026-11-22T10:00:00+08:00 (UTC if unsaid)")
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def _instant(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
