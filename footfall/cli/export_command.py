"""The command `footfall export`: its options, and what its errors say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from footfall.cli.fail import fail
from footfall.settings import InvalidSettings, read_settings

_File = Annotated[Path, typer.Argument(help="Where to: x.jsonl or x.parquet; gzipped as x.jsonl.gz.")]
_Subject = Annotated[str, typer.Option("--subject", help="events, profiles or items.")]
_Project = Annotated[str, typer.Option("--project", help="Of which project.")]
_From = Annotated[str | None, typer.Option("--from", help="First day, or an instant with an offset.")]
_To = Annotated[str | None, typer.Option("--to", help="Last day, or the instant before which it ends.")]
_Event = Annotated[
    list[str] | None, typer.Option("--event", help="Only events of this name; may be repeated.")
]
_Force = Annotated[bool, typer.Option("--force", help="Overwrite the file.")]


def export(
    file: _File,
    *,
    subject: _Subject = "events",
    project: _Project = "default",
    from_: _From = None,
    to: _To = None,
    event: _Event = None,
    force: _Force = False,
) -> None:
    """Write a project's events, profiles or items into a file, while Footfall runs or not.

    `footfall import` takes the file back, here or elsewhere.
    """
    from footfall.cli.export_files import ExportFailed, Wanted, export_file
    from footfall.cli.home import HomeUnusable
    from footfall.storage.store import StoreError

    wanted = Wanted(file, subject, project, from_, to, tuple(event or ()), force)
    try:
        export_file(read_settings(), wanted)
    except (ExportFailed, InvalidSettings, HomeUnusable, StoreError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("stopped: nothing was written")
