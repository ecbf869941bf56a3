"""The installation's first keys: made by whichever service starts first, and shown once."""

from __future__ import annotations

import sys

from rich.console import Console

from footfall import __version__
from footfall.cli.engines import opened_workspace
from footfall.settings import Settings
from footfall.workspace import COMMAND_LINE, Bootstrapped


def make_first_keys(settings: Settings, service: str = "up") -> None:
    """Makes the keys of the settings work, or generates some. The start is in the audit log."""
    with opened_workspace(settings) as workspace:
        keys = workspace.bootstrap(settings.write_key, settings.secret_key)
        detail = {"new_keys": keys.generated} | ({} if service == "up" else {"service": service})
        workspace.audit.record(COMMAND_LINE, "footfall.start", "", __version__, detail)
    _show(settings, keys)


def _show(settings: Settings, keys: Bootstrapped) -> None:
    if not keys.generated:
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print("[bold]Keys, shown only now: keep them[/bold]")
    for variable, key, given in (
        ("FOOTFALL_WRITE_KEY ", keys.write_key, settings.write_key),
        ("FOOTFALL_SECRET_KEY", keys.secret_key, settings.secret_key),
    ):
        if key is not None and given is None:
            console.print(f"  {variable}  {key}", markup=False)
    sys.stdout.flush()
