"""The command `footfall import`: its options, and what its errors say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from footfall.cli.fail import fail
from footfall.settings import InvalidSettings, read_settings

_Files = Annotated[list[Path], typer.Argument(help="CSV, JSONL or Parquet; also packed by gzip or zstd.")]
_Project = Annotated[str, typer.Option("--project", help="Into which project.")]
_Mapping = Annotated[
    Path | None, typer.Option("--mapping", help="TOML file that says which column is what; else guessed.")
]
_Format = Annotated[
    str | None,
    typer.Option("--format", help="csv, jsonl, parquet, records or sensors; else told by the content."),
]
_Encoding = Annotated[str | None, typer.Option("--encoding", help="utf-8 (default), gb18030, ...")]
_Delimiter = Annotated[
    str | None, typer.Option("--delimiter", help="Between the cells of CSV; else guessed.")
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Read and judge everything, store nothing.")]
_Again = Annotated[bool, typer.Option("--again", help="Import a file that was imported before.")]
_Rejected = Annotated[
    Path | None, typer.Option("--rejected", help="Where rejected rows are listed; else beside the file.")
]


def import_(
    files: _Files,
    *,
    project: _Project = "default",
    mapping: _Mapping = None,
    format_: _Format = None,
    encoding: _Encoding = None,
    delimiter: _Delimiter = None,
    yes: _Yes = False,
    dry_run: _DryRun = False,
    again: _Again = False,
    rejected: _Rejected = None,
) -> None:
    """Bring history in from files, while Footfall runs or not. Cut off, the same command goes on.

    Shows which column becomes what, and a few records, before it begins. Rows that cannot be imported are
    listed by line and reason; the others are imported.
    """
    from footfall.cli.home import HomeUnusable
    from footfall.cli.import_files import Wanted, import_files
    from footfall.eventlog.log import LogError
    from footfall.importing.faults import ImportRefused

    wanted = Wanted(project, mapping, format_, encoding, delimiter, yes, dry_run, again, rejected)
    try:
        import_files(read_settings(), files, wanted)
    except (ImportRefused, InvalidSettings, HomeUnusable) as error:
        fail(str(error))
    except LogError as error:
        fail(f"{error}: nothing is lost, run the same command again to go on")
    except KeyboardInterrupt:
        fail("stopped: run the same command again to go on")
