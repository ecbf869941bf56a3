"""Opens the store that a URL names: the one table from scheme to factory."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from footfall.storage.clickhouse_store import ClickHouseStore
from footfall.storage.store import Store, StoreUnavailable
from footfall.storage.topology import topology_of


def open_store(url: str, *, scratch: Path) -> Store:
    """The store at `url`: `chdb:///directory[?database=…]` or `clickhouse://user:password@host:8123/database`.

    `scratch` is a directory of this process alone: emptied now, since a killed process may have left rows.
    ValueError for a URL that means nothing, StoreUnavailable when the engine cannot be opened.
    """
    scheme = urlsplit(url).scheme
    factory = _FACTORIES.get(scheme)
    if factory is None:
        raise ValueError(
            f"store URL {_without_password(url)!r}: the scheme must be one of {', '.join(_FACTORIES)}"
        )
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True, mode=0o700)
    try:
        return factory(url, scratch)
    except (ClickHouseError, OSError) as error:
        raise StoreUnavailable(f"cannot open the store {_without_password(url)}: {error}") from error


def _open_chdb(url: str, scratch: Path) -> Store:
    directory = unquote(urlsplit(url).path)
    if not directory.strip("/") or urlsplit(url).netloc or not url.startswith("chdb://"):
        raise ValueError(f"store URL {url!r}: a chdb URL has three slashes, chdb:///var/lib/footfall/store")
    Path(directory).mkdir(parents=True, exist_ok=True, mode=0o700)
    # The driver passes each insert to chDB through a temporary file and cannot be told where.
    tempfile.tempdir = str(scratch)

    topology = topology_of(url)
    database = topology.database

    def connect() -> Client:
        client = clickhouse_connect.get_client(interface="chdb", path=directory, database=database)
        client._backend._summary = _what_was_read  # the driver would report the size of the answer
        return client

    with clickhouse_connect.get_client(interface="chdb", path=directory) as first:
        first.command(f"CREATE DATABASE IF NOT EXISTS `{database}`")
        return ClickHouseStore(connect, topology)


def _open_clickhouse(url: str, scratch: Path) -> Store:
    del scratch  # inserts travel over HTTP
    for name in ("clickhouse_connect", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)  # what goes wrong is raised; who tries again tells it
    parts = urlsplit(url)
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    options.pop("cluster", None)  # the topology's
    topology = topology_of(url)
    database = topology.database

    def connect(name: str | None = database) -> Client:
        return clickhouse_connect.get_client(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or (8443 if options.get("secure") == "true" else 8123),
            username=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            database=name,
            autogenerate_session_id=False,
            settings=dict(topology.settings),
            **options,
        )

    try:
        first = connect(None)
    except TypeError as error:
        option = str(error).rpartition(" ")[2]
        what = f"store URL {_without_password(url)!r}: there is no option {option}, but {_OPTIONS}"
        raise ValueError(what) from error
    with first:
        first.command(f"CREATE DATABASE IF NOT EXISTS `{database}` {topology.on_cluster}")
    return ClickHouseStore(connect, topology, is_server=True)


def _what_was_read(answer: Any) -> dict[str, str]:
    """A summary with the keys that a server's has."""
    return {"read_rows": str(answer.storage_rows_read()), "read_bytes": str(answer.storage_bytes_read())}


def _without_password(url: str) -> str:
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":…@") if password else url


_OPTIONS = "cluster, secure, verify, ca_cert, compress, connect_timeout, send_receive_timeout, ch_<setting>"
_FACTORIES: dict[str, Callable[[str, Path], Store]] = {"chdb": _open_chdb, "clickhouse": _open_clickhouse}
