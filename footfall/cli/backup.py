"""`footfall backup` and `footfall restore`: everything of one machine, to a directory and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress as Bar

from footfall.cli.engines import opened_log, opened_store, opened_workspace
from footfall.cli.home import HomeInUse, hold_home
from footfall.cli.local_engine import LocalEngine
from footfall.settings import Settings
from footfall.workspace import COMMAND_LINE

if TYPE_CHECKING:
    from footfall.eventlog.log import Log
    from footfall.proof.snapshot import Snapshots
    from footfall.storage.store import Store
    from footfall.workspace import Workspace
    from processor.loop import Processor


class NotOneMachine(Exception):  # noqa: N818 - reads as what it is
    """Log, store or workspace are elsewhere."""


def is_one_machine(settings: Settings) -> bool:
    """Whether all data is in the home, where it is by default."""
    home = settings.home
    return (settings.log_url, settings.store_url, settings.workspace_url) == (
        f"sqlite:///{home}/log",
        f"chdb://{home}/store",
        f"sqlite:///{home}/workspace.db",
    )


def snapshots_of(settings: Settings, store: Store, log: Log, processor: Processor) -> Snapshots | None:
    """Takes snapshots of this home; None where the data is not all in it."""
    from footfall.proof.snapshot import Snapshots

    if not is_one_machine(settings):
        return None
    return Snapshots(store, log, settings.home, processor.at_rest, processor.keeping_log)


def run_backup(settings: Settings, target: Path) -> None:
    """NotOneMachine, BackupUnusable, CannotSnapshot, and what opening engines or asking one may raise."""
    from footfall.proof.archive import BackupUnusable, write_archive
    from footfall.proof.snapshot import PLACE
    from footfall.rights.backups import DAY_MS, Backup, BackupRegister, instant
    from processor.loop import wall_clock

    _check(settings)
    target = target.expanduser().absolute()
    if target.exists():
        raise BackupUnusable(f"{target} is there already: name another directory")
    target.parent.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False, soft_wrap=True)
    taken_at = wall_clock()
    expires_at = taken_at + settings.backup_days * DAY_MS if settings.backup_days else None
    told = {"expires_at": None if expires_at is None else instant(expires_at)}
    with _snapshot(settings) as about, Bar(console=console, transient=True) as bar:
        task = bar.add_task("copying", total=None)
        size = 0
        for progress in write_archive(
            settings.home / PLACE, {**told, **about}, settings.home / "installation.key", target
        ):
            bar.update(task, total=progress.all, completed=progress.done)
            size = progress.bytes
    shutil.rmtree(settings.home / PLACE, ignore_errors=True)
    shutil.rmtree(settings.home / "store" / "shadow", ignore_errors=True)
    with opened_workspace(settings) as workspace:
        register = BackupRegister(settings.home)
        register.add(Backup(str(target), taken_at, expires_at), workspace.erasures.cut())
    console.print(f"{target}: {size / (1 << 20):,.1f} MiB, log and store of one moment")
    if expires_at is not None:
        console.print(f"to be deleted on {instant(expires_at)[:10]} (FOOTFALL_BACKUP_DAYS)")
    if settings.installation_key is not None:
        console.print("FOOTFALL_INSTALLATION_KEY is not in it: keep that with the backup")


def run_restore(settings: Settings, archive: Path, erasures: Path | None = None) -> None:
    """HomeNotEmpty, BackupUnusable, NotOneMachine, HomeUnusable, StoreError."""
    from footfall.proof.archive import read_archive
    from footfall.proof.restore import refuse_data, restore_files, restore_store
    from footfall.storage.migrate import migrate
    from footfall.storage.topology import topology_of

    _check(settings)
    archive = archive.expanduser().absolute()
    home = hold_home(settings.home)
    try:
        refuse_data(settings.home)
        manifest = read_archive(archive)
        restore_files(archive, manifest, settings.home)
        with opened_store(settings) as store:
            restore_store(archive, manifest, store)
            names = migrate(store, topology_of(settings.store_url))
        with opened_workspace(settings) as workspace:
            taken_at = {"taken_at": str(manifest["taken_at"])}
            workspace.audit.record(COMMAND_LINE, "backup.restore", "", archive.name, taken_at)
            erased = _ask_again(workspace, archive, erasures)
    finally:
        home.release()
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{settings.home}: as it was at {manifest['taken_at']}")
    if names:
        console.print(f"brought to this version: {', '.join(names)}")
    if erased:
        console.print(f"{erased} erased since: they are erased here, too, before anything is answered")
    console.print("Now `footfall verify`, then `footfall up`: what waited in the log is processed then.")


def _ask_again(workspace: Workspace, archive: Path, erasures: Path | None) -> int:
    """Persons that were erased after the backup was taken are erased at the next start. BackupUnusable."""
    from footfall.proof.archive import BackupUnusable
    from footfall.rights.backups import asked_again, tombstones_beside

    try:
        lines = [] if erasures is None else erasures.read_text().splitlines()
        told = [*tombstones_beside(archive), *(json.loads(line) for line in lines if line.strip())]
        jobs = {job.id: job for job in map(asked_again, told)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupUnusable(
            f"the erasures since the backup cannot be read ({error}): --erasures takes what "
            "`footfall person tombstones` prints; remove what was restored, and restore again"
        ) from error
    known = {job.id for job in workspace.erasures.cut()}
    for job in jobs.values():
        if job.id not in known:
            workspace.erasures.save(job)
    return len(jobs.keys() - known)


def list_backups(settings: Settings) -> None:
    """Prints each backup of the home, and until when it is to be kept."""
    from footfall.rights.backups import BackupRegister, instant
    from processor.loop import wall_clock

    now = wall_clock()
    console = Console(highlight=False, soft_wrap=True)
    found = BackupRegister(settings.home).all(now)
    for backup in found:
        until = "for ever" if backup.expires_at is None else f"until {instant(backup.expires_at)}"
        over = backup.expires_at is not None and backup.expires_at <= now
        note = " (over: delete it)" if over else "" if backup.is_there else " (not there any more, or moved)"
        console.print(f"{backup.path}  taken {instant(backup.taken_at)}, kept {until}{note}", markup=False)
    if not found:
        console.print("none that this home knows of")


def _check(settings: Settings) -> None:
    if not is_one_machine(settings):
        raise NotOneMachine(
            "FOOTFALL_LOG_URL, FOOTFALL_STORE_URL or FOOTFALL_WORKSPACE_URL point out of the home: back up "
            "each by its own means (docs/operations.md): the workspace with `footfall workspace export` or "
            "pg_dump, the store with ClickHouse's BACKUP DATABASE; and keep the installation's key"
        )


@contextmanager
def _snapshot(settings: Settings) -> Iterator[dict[str, Any]]:
    """A snapshot by the engine that runs on the home, or by ourselves while none does."""
    try:
        home = hold_home(settings.home)
    except HomeInUse:
        yield LocalEngine.of(settings.home).ask("POST", "/api/v1/snapshots")
        return
    try:
        yield _take_alone(settings)
    finally:
        home.release()


def _take_alone(settings: Settings) -> dict[str, Any]:
    from footfall.events.keys import KeyedHash
    from footfall.sealing import Sealer
    from footfall.settings import read_installation_key
    from footfall.storage.migrate import migrate
    from footfall.storage.topology import topology_of
    from processor.loop import Processor

    key = read_installation_key(settings)
    with (
        opened_workspace(settings) as workspace,
        opened_log(settings) as log,
        opened_store(settings) as store,
    ):
        migrate(store, topology_of(settings.store_url))
        processor = Processor(
            log,
            store,
            KeyedHash(key),
            Sealer(key),
            workspace.project,
            types_of=workspace.plans.types,
            dedup_days=settings.dedup_days,
        )
        snapshots = snapshots_of(settings, store, log, processor)
        assert snapshots is not None
        taken = snapshots.take()
        workspace.audit.record(COMMAND_LINE, "backup.take", "", "", {})
        return taken
