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
def opened_workspace(settings: Settings) -> Iterator[Workspace]:
    from sqlalchemy.exc import DatabaseError

    from footfall.workspace import open_workspace

    try:
        with _naming("workspace_url"):
            workspace = open_workspace(settings.workspace_url, partial(read_installation_key, settings))
    except DatabaseError as error:
        what = f"the workspace {settings.workspace_url} cannot be opened ({error.args[0]})"
        raise InvalidSettings(f"{what}: restore it from a backup, or check the file's owner") from error
    with closing(workspace):
        yield workspace


@contextmanager
def _naming(field: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise InvalidSettings(f"{variable_of(field)}: {error}") from error
    except OSError as error:
        why = f"{error.filename}: {error.strerror}: choose a place that this user can write"
        raise InvalidSettings(f"{variable_of(field)}: {why}") from error
