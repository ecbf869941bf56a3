"""A workspace as a file: from either engine to either, with everything; and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from footfall.cli.app import app
from footfall.workspace import Grant, Project, Workspace, open_workspace
from footfall.workspace.schema import versions
from footfall.workspace.tables import leases, metadata
from footfall.workspace.transfer import CannotTransfer
from tests.postgres import PostgresServer
from tests.test_workspace_versions import make_home

KEY = bytes(32)


@pytest.fixture(params=["sqlite", "postgresql"])
def other_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Another empty workspace, on each engine."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/other/workspace.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.new_database()
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Workspace]:
    """One with rows in every table, which code of before versions made."""
    (tmp_path / "filled").mkdir()
    file = make_home("uncounted", tmp_path / "filled")
    with closing(open_workspace(f"sqlite:///{file}", lambda: KEY)) as opened:
        yield opened


def rows_of(workspace: Workspace) -> dict[str, list[Any]]:
    with workspace._engine.connect() as connection:
        return {
            name: sorted(map(repr, connection.execute(select(table))))
            for name, table in metadata.tables.items()
            if table is not leases
        }


def test_everything_comes_out_as_it_went_in(
    filled: Workspace, workspace_url: str, other_url: str, tmp_path: Path
) -> None:
    before = rows_of(filled)
    assert [name for name, rows in before.items() if not rows] == ["identity_keys"]
    written = filled.export(tmp_path / "first")
    assert (tmp_path / "first").stat().st_mode & 0o077 == 0
    homes = [tmp_path / name for name in ("a", "b")]
    for home in homes:
        home.mkdir()
    with closing(open_workspace(workspace_url, lambda: KEY, home=homes[0])) as first:
        assert first.import_(tmp_path / "first") == written
        first.create_project(Project("more"))
        first.leases.take("expiry", "a", 60)
        between = rows_of(first)
        first.export(tmp_path / "second")
        with closing(open_workspace(other_url, lambda: KEY, home=homes[1])) as second:
            second.import_(tmp_path / "second")
            assert rows_of(second) == between
            assert second.grant("write-key") == Grant("write", "default")
            second.audit.record("command line", "a.b", "", "")
            assert second.audit.verify().findings == ()
    assert {name: rows for name, rows in between.items() if rows != before[name]}.keys() == {
        "projects",
        "keys",
    }


def test_rows_that_were_cut_off_before_are_still_missed(
    filled: Workspace, other_url: str, tmp_path: Path
) -> None:
    with filled._engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_is_never_deleted")
        connection.exec_driver_sql("DELETE FROM audit WHERE sequence = 3")
    filled.export(tmp_path / "file")
    with closing(open_workspace(other_url, lambda: KEY, home=tmp_path)) as other:
        other.import_(tmp_path / "file")
        assert [each.sequence for each in other.audit.verify().findings] == [3]


def test_a_workspace_that_holds_something_is_left_alone(
    filled: Workspace, workspace_url: str, tmp_path: Path
) -> None:
    filled.export(tmp_path / "file")
    with closing(open_workspace(workspace_url, lambda: KEY, home=tmp_path)) as other:
        other.create_project(Project("bank"))
        before = rows_of(other)
        with pytest.raises(CannotTransfer, match="holds projects already"):
            other.import_(tmp_path / "file")
        assert rows_of(other) == before


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda lines: lines[:-1], "not whole"),
        (lambda lines: [*lines[:3], *lines[4:]], "not whole"),
        (lambda lines: [*lines[:2], lines[2].replace("bank", "bonk"), *lines[3:]], "not whole"),
        (lambda lines: [], "not whole"),
        (lambda lines: ["{}", *lines[1:]], "no workspace's export"),
        (lambda lines: ["nonsense"], "no workspace's export"),
        (lambda lines: [lines[0].replace(versions()[-1], "0999"), *lines[1:]], "version 0999"),
    ],
)
def test_a_file_that_is_not_what_was_written_is_refused(
    filled: Workspace, tmp_path: Path, damage: Callable[[list[str]], list[str]], said: str
) -> None:
    file = tmp_path / "file"
    filled.export(file)
    file.write_text("".join(f"{line}\n" for line in damage(file.read_text().splitlines())))
    with closing(open_workspace(f"sqlite:///{tmp_path}/other.db", lambda: KEY)) as other:
        with pytest.raises(CannotTransfer, match=said):
            other.import_(file)
        assert other.projects() == []


def test_another_installations_export_is_refused(filled: Workspace, tmp_path: Path) -> None:
    filled.export(tmp_path / "file")
    with (
        closing(open_workspace(f"sqlite:///{tmp_path}/other.db", lambda: b"x" * 32)) as other,
        pytest.raises(CannotTransfer, match="another key: set FOOTFALL_INSTALLATION_KEY"),
    ):
        other.import_(tmp_path / "file")


def test_nothing_is_written_over(filled: Workspace, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CannotTransfer, match="there already"):
        filled.export(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(CannotTransfer, match="No such file"):
        filled.export(tmp_path / "nowhere" / "file")


def test_the_commands_move_a_home_into_postgresql(postgres_url: str, tmp_path: Path) -> None:
    make_home("uncounted", tmp_path)

    def run(*arguments: str, **environment: str) -> tuple[int, str]:
        key = {"FOOTFALL_HOME": str(tmp_path), "FOOTFALL_INSTALLATION_KEY": KEY.hex()}
        done = CliRunner().invoke(app, list(arguments), env=key | environment)
        return done.exit_code, done.output + (done.stderr if done.exit_code else "")

    file = str(tmp_path / "copy.jsonl")
    code, said = run("workspace", "export", file)
    assert (code, "rows. Of use only with" in said) == (0, True), said
    there = {"FOOTFALL_WORKSPACE_URL": postgres_url}
    code, said = run("workspace", "import", file, **there)
    assert code == 0, said
    assert said.startswith("postgresql://127.0.0.1:")
    assert run("audit", "verify", **there)[0] == 0
    code, said = run("workspace", "import", file, **there)
    assert code == 1
    assert "before the first start" in said
    code, said = run("backup", str(tmp_path / "backup"), **there)
    assert code == 1
    assert "footfall workspace export" in said
    assert json.loads(Path(file).read_text().splitlines()[0])["footfall_workspace"] == 1
