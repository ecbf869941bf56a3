"""A real PostgreSQL server for tests: Debian's, run for as long as a test process needs it.

It refuses to run as root, so then it runs as `postgres` or `nobody`, in a directory that these can reach.
Databases order text by the rules of English, so that what relies on code points fails here.
"""

from __future__ import annotations

import itertools
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sdk_server import unused_port

PASSWORD = "s3cret/@:%pass"  # as awkward in a URL as one can be
_QUOTED = "s3cret%2F%40%3A%25pass"
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=16MB")
_LOCALE = ("--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")


def find_server() -> Path | None:
    """The directory of PostgreSQL's programs, the newest there is."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name))
    for folder in [*reversed(versions), *folders]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder.resolve()
    return None


class PostgresServer:
    """A server on 127.0.0.1 that can be stopped and started again."""

    def __init__(self, programs: Path, folder: Path, user: dict[str, Any]) -> None:
        self.port = unused_port()
        self._programs = programs
        self._folder = folder
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def create(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        command = [self._programs / "initdb", "-D", self._folder / "data", "-U", "footfall", "--no-sync"]
        options = ["--auth=scram-sha-256", f"--pwfile={password}", *_LOCALE]
        done = subprocess.run(
            [*command, *options], capture_output=True, text=True, cwd=self._folder, check=False, **self._user
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        settings = [
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self._folder}",
        ]
        options = [part for setting in (*settings, *_FAST) for part in ("-c", setting)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._folder / "data", *options],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                **self._user,
            )
        until = time.monotonic() + 60
        while True:
            try:
                self._connect().close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, self.log
                assert time.monotonic() < until, self.log
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends all sessions; SIGQUIT is a crash, from which the next start recovers."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def execute(self, statement: str, database: str = "postgres") -> None:
        with self._connect(database) as connection:
            connection.execute(statement)

    def new_database(self, template: str = "template1") -> str:
        """Its name; a copy of the template, which nobody may be connected to."""
        name = f"footfall_{next(self._numbers)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def empty(self, database: str) -> None:
        """Of an installation's database; half a second faster than another one. Ends whoever uses it."""
        with self._connect(database) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid != pg_backend_pid()"
            )
            connection.execute("SET session_replication_role = replica")  # past the audit log's triggers
            tables = connection.execute(
                "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables "
                "WHERE schemaname = 'public' AND tablename != 'schema_version'"
            ).fetchone()
            assert tables is not None
            connection.execute(f"TRUNCATE {tables[0]} CASCADE")

    def drop(self, database: str) -> None:
        self.execute(f'DROP DATABASE "{database}" WITH (FORCE)')

    def url(self, database: str) -> str:
        return f"postgresql://footfall:{_QUOTED}@127.0.0.1:{self.port}/{database}"

    def _connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="footfall",
            password=PASSWORD,
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """Skips the test, and says so, without PostgreSQL; REQUIRE_POSTGRES, as in CI, forbids that."""
    programs = find_server()
    if programs is None:
        if os.environ.get("REQUIRE_POSTGRES"):
            pytest.fail("no PostgreSQL server here (apt-get install postgresql)")
        pytest.skip("no PostgreSQL server here (apt-get install postgresql)")
    with _folder() as (folder, user):
        server = PostgresServer(programs, folder, user)
        try:
            server.create()
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def _folder() -> Iterator[tuple[Path, dict[str, Any]]]:
    """A directory for the server's user, and how to run as that."""
    account = _account() if os.geteuid() == 0 else None
    base = next(each for each in (tempfile.gettempdir(), "/tmp", "/var/tmp") if _is_open(Path(each)))
    folder = Path(tempfile.mkdtemp(prefix="footfall-pg-", dir=base))
    try:
        if account is None:
            yield folder, {}
        else:
            os.chown(folder, account.pw_uid, account.pw_gid)
            yield folder, {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody here")


def _is_open(folder: Path) -> bool:
    """Whether other users can reach it."""
    return os.geteuid() != 0 or all(each.stat().st_mode & 0o001 for each in (folder, *folder.parents))


def masked(text: str) -> bool:
    """Whether no part of the password is in it."""
    return not re.search(r"s3cret|%pass|%25pass", text)
