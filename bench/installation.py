"""A fresh installation in a directory: the keys that requests carry, the settings that the product reads."""

from __future__ import annotations

from pathlib import Path

from footfall.settings import Settings, read_installation_key
from footfall.workspace import open_workspace

WRITE_KEY = "ff_wk_" + "b" * 32
SECRET_KEY = "ff_sk_" + "b" * 32


def make_installation(home: Path) -> Settings:
    """Settings for `home`, with an installation key and the project `default`."""
    settings = Settings(home=home)
    read_installation_key(settings)
    workspace = open_workspace(settings.workspace_url)
    workspace.bootstrap(WRITE_KEY, SECRET_KEY)
    workspace.close()
    return settings
