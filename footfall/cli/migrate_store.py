"""`footfall migrate`: the store's tables, while nothing else has the store open."""

from __future__ import annotations

from rich.console import Console

from footfall.cli.engines import opened_store
from footfall.cli.home import hold_home
from footfall.settings import Settings
from footfall.storage.migrate import migrate, pending
from footfall.storage.topology import topology_of


def migrate_store(settings: Settings, *, dry_run: bool) -> None:
    """HomeUnusable, HomeInUse while Footfall runs; StoreError if a migration fails or was altered."""
    home = hold_home(settings.home)
    with opened_store(settings) as store:
        topology = topology_of(settings.store_url)
        names = [one.name for one in pending(store, topology)] if dry_run else migrate(store, topology)
    console = Console(highlight=False)
    what = "would apply" if dry_run else "applied"
    console.print(f"{what} {', '.join(names)}" if names else "nothing to apply: the store is up to date")
    home.release()
