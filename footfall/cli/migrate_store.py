"""`footfall migrate`: the store's tables, of chDB while nothing else has it open."""

from __future__ import annotations

from rich.console import Console

from footfall.cli.apart import is_remote
from footfall.cli.engines import opened_store, opened_workspace
from footfall.cli.home import hold_home, share_home
from footfall.settings import Settings
from footfall.storage.migrate import migrate, pending
from footfall.storage.store import Store
from footfall.storage.topology import Topology, topology_of
from footfall.workspace import Workspace


def migrate_store(settings: Settings, *, dry_run: bool) -> None:
    """HomeUnusable, HomeInUse while Footfall runs on chDB; StoreError if a migration fails or was altered."""
    home = share_home(settings.home) if is_remote(settings, "store_url") else hold_home(settings.home)
    with opened_store(settings) as store:
        topology = topology_of(settings.store_url)
        if dry_run:
            names = [one.name for one in pending(store, topology)]
        else:
            with opened_workspace(settings) as workspace:
                names = migrate_in_turn(store, topology, workspace)
    console = Console(highlight=False)
    what = "would apply" if dry_run else "applied"
    console.print(f"{what} {', '.join(names)}" if names else "nothing to apply: the store is up to date")
    home.release()


def migrate_in_turn(store: Store, topology: Topology, workspace: Workspace) -> list[str]:
    """`migrate`, by one of all processes that share the workspace; the others then find nothing to do."""
    with workspace.turns.exclusive("migrate"):
        return migrate(store, topology)
