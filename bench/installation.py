"""A fresh installation in a directory: the keys that requests carry, the settings that the product reads."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from footfall.cli.demo_system import RunningSystem, running_system
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


@contextmanager
def running_installation(home: Path) -> Iterator[RunningSystem]:
    """`footfall up` in an empty home, on free ports; an error inside it carries the end of its log."""
    settings = Settings(
        home=home,
        collect_port=free_port(),
        query_port=free_port(),
        write_key=WRITE_KEY,
        secret_key=SECRET_KEY,
    )
    with running_system(settings, home) as running:
        try:
            yield running
        except Exception as error:
            error.add_note(running.log_tail())
            raise


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
