"""What services need to run apart: engines that several processes can use, and one installation key."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from footfall.settings import InvalidSettings, Settings, variable_of

_CHDB: Final = (
    "chDB belongs to one process, in which `footfall up` both processes and answers: run that, or name a "
    "ClickHouse server, clickhouse://user:password@host:8123/database"
)


def check_apart(settings: Settings, *, with_store: bool) -> None:
    """`with_store`: whether the service opens it. InvalidSettings says what to change."""
    problems = []
    if with_store and not is_remote(settings, "store_url"):
        problems.append(f"{variable_of('store_url')}: {_CHDB}")
    if settings.installation_key is None and not (settings.home / "installation.key").exists():
        remote = [field for field in ("log_url", "store_url", "workspace_url") if is_remote(settings, field)]
        if remote:
            problems.append(
                f"{variable_of('installation_key')}: services of one installation need one key, and this "
                "home has none: give the same 64 hex digits to all of them (openssl rand -hex 32)"
            )
    if problems:
        raise InvalidSettings("\n".join(problems))


def is_remote(settings: Settings, field: str) -> bool:
    """Whether the engine is reached over the network."""
    return urlsplit(getattr(settings, field)).scheme not in ("sqlite", "chdb")
