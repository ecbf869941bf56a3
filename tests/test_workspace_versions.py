"""Versions of the workspace's tables, on both engines: homes of before become this one's, with all data."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from footfall.envelopes.vault import Vault
from footfall.workspace import Grant, IdentityRules, Project, open_workspace
from footfall.workspace.erasures import Hold
from footfall.workspace.errors import WorkspaceTooNew
from footfall.workspace.keep_rules import KeepRule
from footfall.workspace.project_keys import KeyTerms
from footfall.workspace.schema import VERSION_TABLE, version_of, versions
from footfall.workspace.tables import metadata
from tests.postgres import PostgresServer

HOMES = Path(__file__).parent / "fixtures" / "workspaces"
MIGRATIONS = Path(__file__).parent.parent / "footfall" / "workspace" / "migrations" / "versions"
BANK = Project(
    "bank", "Europe/Zurich", "sunday", keyless=True,
    identity=IdentityRules(bindings="trusted", shared_device_limit=7),
)  # fmt: skip


@pytest.fixture(params=["sqlite", "postgresql"])
def nowhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where no workspace is yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new/workspace.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.new_database()
    yield server.url(name)
    server.drop(name)


def make_home(name: str, folder: Path) -> Path:
    """The database of an installation as code of before versions left it, and its anchor."""
    file = folder / "workspace.db"
    with closing(sqlite3.connect(file)) as made:
        made.executescript((HOMES / f"{name}.sql").read_text())
    anchor = HOMES / f"{name}.sql.audit-head"
    if anchor.exists():
        shutil.copy(anchor, f"{file}.audit-head")
    return file


def rows_of(file: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(file)) as opened:
        names = [row[0] for row in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: opened.execute(f'SELECT * FROM "{name}" ORDER BY 1').fetchall() for name in names}


@pytest.mark.parametrize("name", ["first", "uncounted"])
def test_a_home_of_before_versions_loses_nothing(name: str, tmp_path: Path) -> None:
    file = make_home(name, tmp_path)
    before = rows_of(file)
    for _ in range(2):
        with closing(open_workspace(f"sqlite:///{file}")) as workspace:
            assert workspace.grant("write-key") == Grant("write", "default")
            assert "bank" in [project.name for project in workspace.projects()]
    after = rows_of(file)
    assert {table: after[table] for table in before} == before
    assert after[VERSION_TABLE] == [(versions()[-1],)]
    assert set(after) == {*metadata.tables, VERSION_TABLE}


def test_the_oldest_home_works_on(tmp_path: Path) -> None:
    file = make_home("first", tmp_path)
    with closing(open_workspace(f"sqlite:///{file}", lambda: bytes(32))) as workspace:
        assert workspace.project("bank") == BANK
        workspace.keep("bank", 30)
        workspace.audit.record("command line", "project.change", "bank", "")
        assert workspace.audit.verify().findings == ()
        assert workspace.leases.take("expiry", "a", 60) is not None


def test_what_the_code_of_before_wrote_is_read(tmp_path: Path) -> None:
    file = make_home("uncounted", tmp_path)
    with closing(open_workspace(f"sqlite:///{file}", lambda: bytes(32))) as workspace:
        bank = workspace.project("bank")
        assert bank is not None
        assert (bank.identity.nobody_ids, bank.identity.somebody_ids) == (("客户", "tester"), ("unknown",))
        assert bank.keep_days == 90
        assert KeyTerms("team 一", 1_860_000_000_000, 25) in [
            key.terms for key in workspace.keys.of_project("bank")
        ]
        assert [each.name for each in workspace.virtual_events("bank")] == ["any"]
        plan = workspace.plans.current("bank")
        assert plan is not None
        assert plan.plan.events["open"].properties["page"].grade == "C1"
        assert workspace.remote_config.of("bank")["com.bank.app"].auto_track_mode == 3
        assert [each.config.disable_sdk for each in workspace.remote_config.proposals("bank", 0)] == [True]
        assert workspace.keep_rules.of_project("bank") == [KeepRule("grade", "C2", 30)]
        (erasure,) = workspace.erasures.open()
        assert (erasure.sealed, erasure.keys) == (b"\x00\xff", (2**64 - 1,))
        assert workspace.holds.all() == [Hold("bank", 2**64 - 1, "court", "ann", 1_760_000_000_000)]
        (sealed,) = workspace.envelope_keys.sealed("bank")
        assert sealed.open("bank", Vault(bytes(32))) is not None
        workspace.audit.record("command line", "project.change", "bank", "")
        verified = workspace.audit.verify()
        assert (verified.rows, verified.findings) == (4, ())


def test_migrations_make_the_tables_that_the_code_knows(nowhere: str) -> None:
    with closing(open_workspace(nowhere)) as workspace, workspace._engine.connect() as connection:
        assert version_of(connection) == versions()[-1]
        opts = {"version_table": VERSION_TABLE, "compare_type": differ}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, metadata) == []


def differ(context: MigrationContext, _one: Any, _other: Any, is_there: Any, wanted: Any) -> bool:
    """Whether two types of columns have other words in this engine; PostgreSQL has two for text."""
    words = [each.compile(context.dialect) for each in (is_there, wanted)]
    if context.dialect.name == "postgresql":
        words = [re.sub(r"^VARCHAR(?!\()", "TEXT", each) for each in words]
    return words[0] != words[1]


def test_versions_are_numbered_without_gaps() -> None:
    numbers = range(1, len(versions()) + 1)
    assert versions() == [f"{number:04}" for number in numbers]
    for number in numbers:
        (file,) = MIGRATIONS.glob(f"v{number:04}_*.py")
        before = "None" if number == 1 else f'"{number - 1:04}"'
        assert f'\nrevision = "{number:04}"\ndown_revision = {before}\n' in file.read_text()


def test_a_workspace_of_the_version_before_is_brought_to_this_one(nowhere: str) -> None:
    with closing(open_workspace(nowhere)) as workspace:
        workspace.create_project(BANK)
        with workspace._engine.begin() as connection:
            connection.execute(text("DROP TABLE leases"))
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0001'"))
    with closing(open_workspace(nowhere)) as workspace:
        assert workspace.project("bank") == BANK
        assert workspace.leases.take("expiry", "a", 60) is not None


def test_a_migration_that_fails_changes_nothing(nowhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise OSError("no more")

    with monkeypatch.context() as broken:
        broken.setattr("footfall.workspace.audit_wall.refuse_changes", fail)
        with pytest.raises(OSError, match="no more"):
            open_workspace(nowhere)
    with closing(open_workspace(nowhere)) as workspace, workspace._engine.connect() as connection:
        assert {*inspect(connection).get_table_names()} == {*metadata.tables, VERSION_TABLE}


def test_tables_of_a_newer_footfall_are_refused(nowhere: str) -> None:
    with closing(open_workspace(nowhere)) as workspace, workspace._engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0999'"))
    with pytest.raises(WorkspaceTooNew, match=r"version 0999, this Footfall knows 0\d+ and older") as caught:
        open_workspace(nowhere)
    assert re.search(r"(sqlite:///\S+/workspace.db|postgresql://127.0.0.1:\d+/\w+) has", str(caught.value))


def test_processes_that_start_together_upgrade_once(nowhere: str) -> None:
    script = f"""
        import sys
        from footfall.workspace import open_workspace
        print("ready", flush=True)
        sys.stdin.readline()
        workspace = open_workspace({nowhere!r})
        workspace.bootstrap("write", "secret")
        print([project.name for project in workspace.projects()])
        workspace.close()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with ExitStack() as ended:
        together = [ended.enter_context(subprocess.Popen(command, text=True, **pipes)) for _ in range(3)]
        for process in together:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in together:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate() for process in together]
    assert [output for output, _ in said] == ["['default']\n"] * 3, said


def test_a_first_start_says_one_line_of_the_tables(tmp_path: Path) -> None:
    program = f"""
        import logging
        from footfall.workspace import open_workspace
        logging.basicConfig(level=logging.INFO)
        open_workspace("sqlite:///{tmp_path}/new/workspace.db").close()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()
    assert len(said) == 1, said
    assert "tables of version" in said[0]
