"""`footfall workspace`: all that people keep (projects, keys, plans, the audit log) as a file, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from footfall.cli.asking import say
from footfall.cli.counted import counted
from footfall.cli.fail import fail
from footfall.settings import InvalidSettings, read_settings

if TYPE_CHECKING:
    from footfall.workspace import Workspace

app = typer.Typer(
    help="Projects, keys, plans and the audit log as a file: a copy of a workspace in PostgreSQL, and the "
    "way there from SQLite.",
    no_args_is_help=True,
)


@app.command("export")
def export_(
    file: Annotated[Path, typer.Argument(help="A file that does not exist yet.")],
) -> None:
    """Write everything of one moment to a file, also while Footfall runs."""
    from footfall.workspace import COMMAND_LINE
    from footfall.workspace.transfer import CannotTransfer

    with _opened() as workspace:
        workspace.audit.record(COMMAND_LINE, "workspace.export", "", file.name)
        try:
            written = workspace.export(file)
        except CannotTransfer as error:
            fail(str(error))
    say(f"{file}: {counted(written.rows, 'rows')}. Of use only with the installation's key: keep both.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="What `footfall workspace export` wrote.")],
) -> None:
    """Fill a workspace that is empty, before the first start, with what is in a file."""
    from footfall.workspace import COMMAND_LINE
    from footfall.workspace.transfer import CannotTransfer

    with _opened() as workspace:
        try:
            read = workspace.import_(file)
        except CannotTransfer as error:
            fail(str(error))
        workspace.audit.record(COMMAND_LINE, "workspace.import", "", file.name, {"rows": read.rows})
        findings = workspace.audit.verify().findings
        place = workspace.about().place
    say(f"{place}: {counted(read.rows, 'rows')}")
    for finding in findings:
        say(f"audit log, row {finding.sequence}: {finding.message}")
    if findings:
        raise typer.Exit(1)


@contextmanager
def _opened() -> Iterator[Workspace]:
    from footfall.cli.engines import opened_workspace

    try:
        with opened_workspace(read_settings()) as workspace:
            yield workspace
    except InvalidSettings as error:
        fail(str(error))
