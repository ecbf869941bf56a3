"""The commands, each a line of help and one call. They import what they run, so that --help is instant."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from footfall import __version__
from footfall.cli.audit import app as audit
from footfall.cli.child import SupervisorLink
from footfall.cli.dead_letters import app as dead_letters
from footfall.cli.demo import demo
from footfall.cli.export_command import export
from footfall.cli.fail import fail
from footfall.cli.import_command import import_
from footfall.cli.keys import app as keys
from footfall.cli.person import app as person
from footfall.cli.plan import app as plan
from footfall.cli.privacy import app as privacy
from footfall.cli.ready import Part
from footfall.cli.remote_config import app as remote_config
from footfall.cli.simulate import simulate
from footfall.cli.workspace import app as workspace
from footfall.settings import InvalidSettings, Settings, read_settings

app = typer.Typer(
    name="footfall",
    help="Footfall: event tracking and behavioural analytics, self-hosted.\n\n"
    "Start with [bold]footfall demo[/bold] to see it work, or [bold]footfall up[/bold] to run it. "
    "Settings are FOOTFALL_* environment variables, explained in docs/settings.md.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)

_Worker = Annotated[int, typer.Option(help="Its number, which is its log partition.")]
_ListenFd = Annotated[int, typer.Option(help="Listening socket that the supervisor opened.")]
_LinkFd = Annotated[int | None, typer.Option(help="Pipe to the supervisor.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _footfall(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Options of `footfall` itself."""


@app.command()
def up(
    alive_fd: Annotated[
        int | None, typer.Option(hidden=True, help="Pipe from a program; when it closes, this ends.")
    ] = None,
) -> None:
    """Run everything on this machine: collectors, processor and query API, restarted when they die.

    Prints the addresses and, at the first start, the keys. Ctrl-C or SIGTERM ends it in order; again, fast.
    """
    from footfall.cli.home import HomeUnusable
    from footfall.cli.sockets import PortUnavailable
    from footfall.cli.supervisor import StartFailed
    from footfall.cli.up import run_up

    settings = _settings()
    try:
        run_up(settings, SupervisorLink(None, alive_fd))
    except (HomeUnusable, PortUnavailable, StartFailed, InvalidSettings) as error:
        fail(str(error))


_AliveFd = Annotated[
    int | None, typer.Option(hidden=True, help="Pipe from a program; when it closes, this ends.")
]


@app.command()
def collect(alive_fd: _AliveFd = None) -> None:
    """Run collectors alone: events in, log out. As many of these services as needed, on any machines."""
    from footfall.cli.collect import run_collect

    _run_apart(run_collect, alive_fd)


@app.command()
def process(alive_fd: _AliveFd = None) -> None:
    """Run a processor alone: log in, store out. Needs a ClickHouse server as store."""
    from footfall.cli.process import run_process

    _run_apart(run_process, alive_fd)


@app.command()
def query(alive_fd: _AliveFd = None) -> None:
    """Run the query API and the console alone. Needs a ClickHouse server as store."""
    from footfall.cli.query import run_query

    _run_apart(run_query, alive_fd)


@app.command()
def ready(
    part: Annotated[
        Part, typer.Argument(help="Which service: what `footfall up` runs, or one apart.")
    ] = "up",
) -> None:
    """For health checks: whether a service here is ready. Ends with 0, or with 1 and the reason."""
    from footfall.cli.ready import unready

    why = unready(_settings(), part)
    if why is not None:
        fail(why)
    typer.echo("ready")


def _run_apart(run: Callable[[Settings, SupervisorLink], None], alive_fd: int | None) -> None:
    """What each service raises at its start is told in a line."""
    from footfall.cli.home import HomeUnusable
    from footfall.cli.processing import ProcessorFailed
    from footfall.cli.sockets import PortUnavailable
    from footfall.cli.supervisor import StartFailed
    from footfall.eventlog.log import LogError
    from footfall.storage.store import StoreError
    from query_api.scan import ScannerMissing

    try:
        run(_settings(), SupervisorLink(None, alive_fd))
    except (HomeUnusable, PortUnavailable, StartFailed, InvalidSettings) as error:
        fail(str(error))
    except (LogError, StoreError, ScannerMissing, ProcessorFailed) as error:
        fail(str(error))


app.command()(demo)
app.command()(simulate)
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(plan, name="plan")
app.add_typer(person, name="person")
app.add_typer(privacy, name="privacy")
app.add_typer(remote_config, name="remote-config")
app.add_typer(audit, name="audit")
app.add_typer(workspace, name="workspace")
app.add_typer(keys, name="keys")
app.command("import")(import_)
app.command()(export)


@app.command()
def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be applied.")] = False,
) -> None:
    """Bring the store's tables to this version. `footfall up` does it by itself at every start."""
    from footfall.cli.home import HomeUnusable
    from footfall.cli.migrate_store import migrate_store
    from footfall.storage.store import StoreError

    settings = _settings()
    try:
        migrate_store(settings, dry_run=dry_run)
    except (HomeUnusable, StoreError, InvalidSettings) as error:
        fail(str(error))


@app.command()
def doctor() -> None:
    """Check this machine and this installation, and say what to do about whatever is wrong."""
    from footfall.cli.doctor import examine, report

    findings = examine(_settings())
    report(findings)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def verify(
    project: Annotated[str | None, typer.Option(help="Only this project.")] = None,
    since: Annotated[str, typer.Option(help="Only events from this month on: 2026-09.")] = "",
    until: Annotated[str, typer.Option(help="Only events up to this month.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Lines of JSON instead of text.")] = False,
) -> None:
    """Prove that nothing was lost, doubled or altered: counts, outcomes and every stored row are compared.

    While Footfall runs, and when it is stopped. Ends with 0 if all agrees, with 1 and a line for every record
    that does not, with 2 if it could not look.
    """
    from footfall.cli.verify import CannotVerify, run_verify

    try:
        agrees = run_verify(_settings(), project, since, until, as_json=as_json)
    except CannotVerify as error:
        fail(str(error), code=2)
    if not agrees:
        raise typer.Exit(1)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A directory that does not exist yet.")],
) -> None:
    """Copy everything of this machine to a directory, of one moment, also while Footfall runs."""
    from footfall.cli.backup import NotOneMachine, run_backup
    from footfall.cli.home import HomeUnusable
    from footfall.cli.local_engine import EngineRefused, EngineUnreachable
    from footfall.eventlog.log import LogError
    from footfall.proof.archive import BackupUnusable
    from footfall.proof.snapshot import CannotSnapshot
    from footfall.storage.store import StoreError

    try:
        run_backup(_settings(), target)
    except (BackupUnusable, CannotSnapshot, NotOneMachine, HomeUnusable, InvalidSettings) as error:
        fail(str(error))
    except (EngineRefused, EngineUnreachable, LogError, StoreError, OSError) as error:
        fail(str(error))


@app.command()
def backups() -> None:
    """List the backups of this home, and until when each is to be kept (FOOTFALL_BACKUP_DAYS)."""
    from footfall.cli.backup import list_backups

    list_backups(_settings())


@app.command()
def restore(
    archive: Annotated[Path, typer.Argument(help="A directory that `footfall backup` made.")],
    erasures: Annotated[
        Path | None,
        typer.Option(help="What `footfall person tombstones` printed, if the backup lay elsewhere."),
    ] = None,
) -> None:
    """Put a backup into an empty FOOTFALL_HOME. Every file is checked before anything is written.

    Persons that were erased since are erased again before anything is answered.
    """
    from footfall.cli.backup import NotOneMachine, run_restore
    from footfall.cli.home import HomeUnusable
    from footfall.proof.archive import BackupUnusable
    from footfall.proof.restore import HomeNotEmpty
    from footfall.storage.store import StoreError

    try:
        run_restore(_settings(), archive, erasures)
    except (BackupUnusable, HomeNotEmpty, NotOneMachine, HomeUnusable, InvalidSettings) as error:
        fail(str(error))
    except (StoreError, OSError) as error:
        fail(str(error))


@app.command("collect-worker", hidden=True)
def collect_worker(
    worker: _Worker, listen_fd: _ListenFd, ready_fd: _LinkFd = None, alive_fd: _LinkFd = None
) -> None:
    """One collector process; started by `footfall up`."""
    from footfall.cli.collect_worker import run_collector
    from footfall.eventlog.log import LogError

    try:
        run_collector(
            _settings(), worker, socket.socket(fileno=listen_fd), SupervisorLink(ready_fd, alive_fd)
        )
    except (LogError, InvalidSettings) as error:
        fail(str(error))


@app.command(hidden=True)
def engine(listen_fd: _ListenFd, ready_fd: _LinkFd = None, alive_fd: _LinkFd = None) -> None:
    """The processor and the query API; started by `footfall up`."""
    from footfall.cli.engine import run_engine
    from footfall.cli.processing import ProcessorFailed
    from footfall.eventlog.log import LogError
    from footfall.storage.store import StoreError
    from query_api.scan import ScannerMissing

    try:
        run_engine(_settings(), socket.socket(fileno=listen_fd), SupervisorLink(ready_fd, alive_fd))
    except (LogError, StoreError, ScannerMissing, ProcessorFailed, InvalidSettings) as error:
        fail(str(error))


def _settings() -> Settings:
    try:
        return read_settings()
    except InvalidSettings as error:
        fail(str(error))
