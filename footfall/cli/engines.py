"""Opens the engines that the settings name; a URL that means nothing is an error with its variable's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from footfall.settings import InvalidSettings, Settings, read_installation_key, variable_of

if TYPE_CHECKING:
    from footfall.eventlog.log import Log
    from footfall.storage.store import Store
    from footfall.workspace import Workspace


@contextmanager
def opened_log(settings: Settings, max_bytes: int | None = None) -> Iterator[Log]:
    """`max_bytes` of a partition; by default the limit is shared by the workers' partitions."""
    from footfall.eventlog.kafka_place import KafkaAccess
    from footfall.eventlog.opening import open_log

    with _naming("log_url"):
        log = open_log(
            settings.log_url,
            max_bytes=max_bytes or settings.log_max_bytes // settings.collect_workers,
            kafka=KafkaAccess(
                settings.kafka_username,
                settings.kafka_password,
                *(
                    None if file is None else str(file)
                    for file in (settings.kafka_ca, settings.kafka_cert, settings.kafka_cert_key)
                ),
            ),
        )
    with closing(log):
        yield log


@contextmanager
def opened_store(settings: Settings) -> Iterator[Store]:
    from footfall.storage.opening import open_store  # some 100 MB of engine: only where it is used

    with _naming("store_url"):
        store = open_store(settings.store_url, scratch=settings.scratch)
    with closing(store):
        yield store


@contextmanager
def opened_workspace(settings: Settings, *, upgrade: bool = True) -> Iterator[Workspace]:
    """A database that cannot be asked while it is open is InvalidSettings, too, for who does not wait."""
    from sqlalchemy.exc import DatabaseError

    from footfall.workspace import open_workspace
    from footfall.workspace.engines import said_by
    from footfall.workspace.errors import WorkspaceUnavailable
    from footfall.workspace.opening import place_of

    key = partial(read_installation_key, settings)
    try:
        with _naming("workspace_url"):
            workspace = open_workspace(settings.workspace_url, key, home=settings.home, upgrade=upgrade)
    except (DatabaseError, WorkspaceUnavailable) as error:
        raise InvalidSettings(_why_closed(place_of(settings.workspace_url), said_by(error))) from error
    with closing(workspace):
        try:
            yield workspace
        except WorkspaceUnavailable as error:
            raise InvalidSettings(str(error)) from error


def _why_closed(place: str, said: str) -> str:
    what = f"the workspace {place} cannot be opened ({said})"
    if place.startswith("postgresql"):
        return (
            f"{what}: start it, check FOOTFALL_WORKSPACE_URL, and let its user own the database "
            "(CREATE DATABASE footfall OWNER footfall)"
        )
    return f"{what}: restore it from a backup, or check the file's owner"


@contextmanager
def _naming(field: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise InvalidSettings(f"{variable_of(field)}: {error}") from error
    except OSError as error:
        why = f"{error.filename}: {error.strerror}: choose a place that this user can write"
        raise InvalidSettings(f"{variable_of(field)}: {why}") from error
