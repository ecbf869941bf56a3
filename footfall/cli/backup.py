"""`footfall backup` and `footfall restore`: everything of one machine, to a directory and back."""

from __future__ import annotations

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

    _check(settings)
    target = target.expanduser().absolute()
    if target.exists():
        raise BackupUnusable(f"{target} is there already: name another directory")
    target.parent.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False, soft_wrap=True)
    with _snapshot(settings) as about, Bar(console=console, transient=True) as bar:
        task = bar.add_task("copying", total=None)
        size = 0
        for progress in write_archive(
            settings.home / PLACE, about, settings.home / "installation.key", target
        ):
            bar.update(task, total=progress.all, completed=progress.done)
            size = progress.bytes
    shutil.rmtree(settings.home / PLACE, ignore_errors=True)
    shutil.rmtree(settings.home / "store" / "shadow", ignore_errors=True)
    console.print(f"{target}: {size / (1 << 20):,.1f} MiB, log and store of one moment")
    if settings.installation_key is not None:
        console.print("FOOTFALL_INSTALLATION_KEY is not in it: keep that with the backup")


def run_restore(settings: Settings, archive: Path) -> None:
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
    finally:
        home.release()
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{settings.home}: as it was at {manifest['taken_at']}")
    if names:
        console.print(f"brought to this version: {', '.join(names)}")
    console.print("Now `footfall verify`, then `footfall up`: what waited in the log is processed then.")


def _check(settings: Settings) -> None:
    if not is_one_machine(settings):
        raise NotOneMachine(
            "FOOTFALL_LOG_URL, FOOTFALL_STORE_URL or FOOTFALL_WORKSPACE_URL point out of the home: "
            "back those up, and restore them, by their own means"
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
