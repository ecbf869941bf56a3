"""The audit log: whatever is done to its rows or its anchor is noticed, and named by the row's number."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from socket import gethostname

import apsw
import pytest
from sqlalchemy.exc import DatabaseError
from typer.testing import CliRunner

from footfall.cli.app import app
from footfall.settings import Settings, read_installation_key
from footfall.workspace import AuditFilter, Workspace, open_workspace
from footfall.workspace.audit import AuditUnavailable, CannotArchive, wall_clock
from footfall.workspace.audit_anchor import Head
from footfall.workspace.audit_archive import ArchiveUnusable
from footfall.workspace.audit_chain import MAX_TEXT

KEY = b"k" * 32
NOW = 1_796_000_000_000
DAY = 86_400_000


class Place:
    """Where a workspace is, for who knows its database and its machine."""

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        self.home = home

    @property
    def anchor(self) -> Path:
        return next(self.home.glob("workspace*.audit-head"))

    def open(self, key: bytes | None, clock: Callable[[], int] = wall_clock) -> Workspace:
        return open_workspace(self.url, None if key is None else lambda: key, home=self.home, clock=clock)

    def tamper(self, sql: str) -> None:
        """As somebody who may write the database could, past the triggers."""
        with closing(open_workspace(self.url)) as opened, opened._engine.begin() as connection:
            if self.url.startswith("sqlite"):
                done = ["DROP TRIGGER audit_is_never_changed", "DROP TRIGGER audit_is_never_deleted"]
            else:
                done = ["SET LOCAL session_replication_role = replica"]
            for statement in (*done, *sql.split("; ")):
                connection.exec_driver_sql(statement)


@pytest.fixture
def place(workspace_url: str, tmp_path: Path) -> Place:
    return Place(workspace_url, tmp_path)


@pytest.fixture
def one_machine(tmp_path: Path) -> Place:
    return Place(f"sqlite:///{tmp_path}/workspace.db", tmp_path)


class Clock:
    """Epoch milliseconds, as they are set."""

    now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def workspace(place: Place, clock: Clock) -> Iterator[Workspace]:
    with closing(place.open(KEY, clock)) as opened:
        yield opened


@pytest.fixture
def alone(one_machine: Place, clock: Clock) -> Iterator[Workspace]:
    """A workspace as a file of one machine."""
    with closing(one_machine.open(KEY, clock)) as opened:
        yield opened


def record(workspace: Workspace, count: int = 1) -> None:
    for number in range(count):
        workspace.audit.record(
            "secret key 12345678", "plan.change", "retail", f"event {number}", {"n": number}
        )


def found(workspace: Workspace, expected: Head | None = None) -> list[tuple[int | None, str]]:
    return [(each.sequence, each.message) for each in workspace.audit.verify(expected).findings]


def rows_found(workspace: Workspace) -> list[int | None]:
    return [sequence for sequence, _ in found(workspace)]


def test_what_was_recorded_is_read_and_verified(workspace: Workspace) -> None:
    record(workspace, 3)
    rows = list(workspace.audit.rows(AuditFilter()))
    assert [(row.sequence, row.actor, row.action, row.project) for row in rows] == [
        (number, "secret key 12345678", "plan.change", "retail") for number in (1, 2, 3)
    ]
    assert rows[1].as_json()["detail"] == {"n": 1}
    verified = workspace.audit.verify()
    assert (verified.rows, verified.head, verified.findings) == (3, Head(3, rows[2].mac), ())


@pytest.mark.parametrize(
    "change",
    [
        "detail = '{\"n\":7}'",
        "actor = 'command line'",
        "time = time + 1",
        "project = ''",
        "subject = 'event  1'",
        "action = 'plan.read'",
        "mac = '" + "0" * 64 + "'",
        "previous = '" + "0" * 64 + "'",
    ],
)
def test_an_altered_row_is_named_and_no_other(workspace: Workspace, place: Place, change: str) -> None:
    record(workspace, 4)
    place.tamper(f"UPDATE audit SET {change} WHERE sequence = 2")
    assert rows_found(workspace) == [2]


def test_one_changed_byte_anywhere_in_a_row_is_noticed(alone: Workspace, one_machine: Place) -> None:
    record(alone, 2)
    file = one_machine.home / "workspace.db"
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = file.read_bytes()
    at = before.index(b"event 1")
    file.write_bytes(before[: at + 6] + b"2" + before[at + 7 :])
    assert rows_found(alone) == [2]


def test_a_missing_row_is_named(workspace: Workspace, place: Place) -> None:
    record(workspace, 4)
    place.tamper("DELETE FROM audit WHERE sequence = 3")
    assert found(workspace) == [(3, "missing")]


def test_rows_that_are_missing_at_the_beginning_are_named(workspace: Workspace, place: Place) -> None:
    record(workspace, 4)
    place.tamper("DELETE FROM audit WHERE sequence < 3")
    assert found(workspace) == [(1, "missing, and all rows up to 2: no archive holds them")]


def test_a_closed_gap_is_noticed(workspace: Workspace, place: Place) -> None:
    record(workspace, 4)
    place.tamper(
        "DELETE FROM audit WHERE sequence = 2; UPDATE audit SET sequence = 2 WHERE sequence = 3; "
        "UPDATE audit SET sequence = 3 WHERE sequence = 4",
    )
    assert rows_found(workspace)[:2] == [2, 3]


def test_exchanged_rows_are_noticed(workspace: Workspace, place: Place) -> None:
    record(workspace, 3)
    place.tamper(
        "UPDATE audit SET sequence = 9 WHERE sequence = 1; UPDATE audit SET sequence = 1 WHERE sequence = 2; "
        "UPDATE audit SET sequence = 2 WHERE sequence = 9",
    )
    assert {1, 2} <= set(rows_found(workspace))


def test_an_inserted_row_is_named(workspace: Workspace, place: Place) -> None:
    record(workspace, 2)
    place.tamper(
        "INSERT INTO audit SELECT 3, time, actor, action, project, subject, detail, mac, mac FROM audit "
        "WHERE sequence = 2",
    )
    assert rows_found(workspace) == [3]


def test_rows_cut_off_at_the_end_are_noticed_then_and_ever_after(workspace: Workspace, place: Place) -> None:
    record(workspace, 4)
    place.tamper("DELETE FROM audit WHERE sequence > 2")
    assert found(workspace) == [(3, "missing, and all rows up to 4: the anchor knows of them")]
    record(workspace, 2)
    assert found(workspace) == [(3, "missing, and all rows up to 4")]


def test_the_whole_log_taken_away_is_noticed(workspace: Workspace, place: Place) -> None:
    record(workspace, 2)
    place.tamper("DELETE FROM audit")
    assert found(workspace) == [(1, "missing, and all rows up to 2: the anchor knows of them")]
    record(workspace)
    assert rows_found(workspace) == [1]


@pytest.mark.parametrize("anchor", [None, b"", b"{}", b'{"sequence": 2, "mac": "0", "code": "\xc3\xa9"}'])
def test_a_lost_anchor_is_noticed_then_and_ever_after(
    alone: Workspace, one_machine: Place, anchor: bytes | None
) -> None:
    record(alone, 3)
    one_machine.tamper("DELETE FROM audit WHERE sequence = 3")
    if anchor is None:
        one_machine.anchor.unlink()
    else:
        one_machine.anchor.write_bytes(anchor)
    ((sequence, message),) = found(alone)
    assert sequence is None
    assert "audit-head is missing, or not of this installation" in message
    record(alone)
    ((sequence, message),) = found(alone)
    assert sequence == 3
    assert message.startswith("the anchor was missing")


def test_each_machine_of_a_shared_log_knows_the_newest_row_it_saw(postgres_url: str, tmp_path: Path) -> None:
    machines = [Place(postgres_url, tmp_path / name) for name in ("a", "b")]
    for machine in machines:
        machine.home.mkdir()
    with closing(machines[0].open(KEY)) as first, closing(machines[1].open(KEY)) as second:
        record(first, 2)
        assert found(second) == []  # it has recorded nothing, and knows nothing better
        record(second, 2)
        record(first)
        rows = [(row.sequence, row.action, row.subject) for row in first.audit.rows(AuditFilter())]
        assert rows[2] == (3, "audit.anchor_made", gethostname())
        assert [sequence for sequence, *_ in rows] == [1, 2, 3, 4, 5, 6]
        assert found(first) == found(second) == []
        machines[0].tamper("DELETE FROM audit WHERE sequence > 4")
        assert found(first) == [(5, "missing, and all rows up to 6: the anchor knows of them")]
        assert found(second) == [(5, "missing, and all rows up to 5: the anchor knows of them")]
        record(second)  # behind what it knows of; the other machine knows another row of that number
        assert found(second) == [(5, "missing")]
        assert (6, "is another row than the anchor says") in found(first)


def test_a_log_that_was_put_back_whole_is_noticed_by_a_head_kept_elsewhere(
    workspace: Workspace, place: Place
) -> None:
    record(workspace, 2)
    older = place.anchor.read_bytes()
    record(workspace)
    head = workspace.audit.verify().head
    assert found(workspace, head) == []
    place.tamper("DELETE FROM audit WHERE sequence = 3")
    place.anchor.write_bytes(older)
    assert found(workspace) == []
    assert found(workspace, head) == [
        (3, "missing, and all rows up to 3: the head that you gave knows of them")
    ]
    record(workspace)
    assert found(workspace, Head(3, "0" * 64)) == [(3, "is another row than the head that you gave says")]


def test_another_installations_key_fits_no_row(workspace: Workspace, place: Place) -> None:
    record(workspace, 2)
    with closing(place.open(b"x" * 32)) as other:
        assert [sequence for sequence, _ in found(other)][:2] == [1, 2]


def test_an_empty_log_is_a_finding(workspace: Workspace) -> None:
    assert [sequence for sequence, _ in found(workspace)] == [None]


@pytest.mark.parametrize("sql", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"])
def test_the_database_itself_refuses_changes(workspace: Workspace, sql: str) -> None:
    record(workspace)
    with (
        workspace._engine.connect() as connection,
        pytest.raises(DatabaseError, match="the audit log is append-only"),
    ):
        connection.exec_driver_sql(sql)


def test_triggers_that_somebody_took_away_are_back_after_the_next_start(
    workspace: Workspace, place: Place
) -> None:
    record(workspace)
    with workspace._engine.begin() as connection:
        for name in ("audit_is_never_changed", "audit_is_never_deleted"):
            if place.url.startswith("sqlite"):
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        if not place.url.startswith("sqlite"):
            connection.exec_driver_sql("DROP TRIGGER audit_is_append_only ON audit")
    with (
        closing(place.open(KEY)) as opened,
        opened._engine.connect() as connection,
        pytest.raises(DatabaseError, match="append-only"),
    ):
        connection.exec_driver_sql("DELETE FROM audit")


def test_what_was_not_recorded_leaves_no_gap(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    record(workspace)
    monkeypatch.setattr(workspace.audit._key, "mac", lambda row: None)
    with pytest.raises(AuditUnavailable):
        record(workspace)
    monkeypatch.undo()
    record(workspace)
    assert found(workspace) == []


def test_a_row_whose_anchor_was_not_written_any_more_is_kept(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(workspace)
    with monkeypatch.context() as patch:
        patch.setattr(workspace.audit._anchor, "advance", lambda head: None)  # as if killed in between
        record(workspace)
    assert found(workspace) == []
    record(workspace)
    assert found(workspace) == []


def test_rows_are_filtered(workspace: Workspace) -> None:
    audit = workspace.audit
    audit.record("command line", "export.events", "retail", "", {})
    audit.record("secret key 1", "export.profiles", "retail", "x", {})
    audit.record("secret key 1", "plan.change", "other", "x", {})

    def numbers(wanted: AuditFilter) -> list[int]:
        return [row.sequence for row in audit.rows(wanted)]

    assert numbers(AuditFilter(project="retail")) == [1, 2]
    assert numbers(AuditFilter(actor="secret key 1")) == [2, 3]
    assert numbers(AuditFilter(action="export.")) == [1, 2]
    assert numbers(AuditFilter(action="export.profiles")) == [2]
    assert numbers(AuditFilter(action="%.")) == []
    assert numbers(AuditFilter(subject="x")) == [2, 3]
    assert numbers(AuditFilter(since=NOW)) == [1, 2, 3]
    assert numbers(AuditFilter(until=NOW)) == []
    assert [row.sequence for row in audit.newest(AuditFilter(), 2)] == [2, 3]
    assert [row.sequence for row in audit.rows(AuditFilter(), after=1, limit=1)] == [2]


def test_what_clients_name_cannot_be_long_nor_break_lines(workspace: Workspace) -> None:
    row = workspace.audit.record("command line", "a.b", "p", "x\n" * 500, {"long": "y" * 5000})
    assert len(row.subject) == MAX_TEXT
    assert "\n" not in row.subject
    assert set(row.as_json()["detail"]) == {"cut", "bytes", "sha256"}
    assert found(workspace) == []


def test_ids_are_recorded_as_keyed_hashes(workspace: Workspace) -> None:
    hashed = workspace.audit.hashed("retail", "13800138000")
    assert len(hashed) == 32
    assert hashed == workspace.audit.hashed("retail", "13800138000")
    assert hashed != workspace.audit.hashed("other", "13800138000")


def test_without_the_installations_key_nothing_is_recorded(place: Place) -> None:
    with (
        closing(place.open(None)) as opened,
        pytest.raises(LookupError, match="needs the"),
    ):
        opened.audit.record("command line", "a.b", "", "", {})


def test_processes_and_threads_write_one_chain(workspace: Workspace, place: Place) -> None:
    program = textwrap.dedent(f"""
        from concurrent.futures import ThreadPoolExecutor
        from pathlib import Path
        from footfall.workspace import open_workspace
        opened = open_workspace({place.url!r}, lambda: b"k" * 32, home=Path({str(place.home)!r}))
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda n: opened.audit.record("command line", "a.b", "", str(n), {{}}), range(20)))
        opened.close()
    """)
    writers = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    verified = workspace.audit.verify()
    assert (verified.rows, verified.head.sequence, verified.findings) == (60, 60, ())


def archived(workspace: Workspace, clock: Clock, file: Path, days: int = 200) -> Path:
    """Moves what is older than so many days to a file."""
    assert workspace.audit.archive(file, clock.now - days * DAY, "command line") is not None
    return file


def test_old_rows_move_to_a_file_and_the_chain_goes_on(
    workspace: Workspace, clock: Clock, tmp_path: Path
) -> None:
    record(workspace, 3)
    clock.now += 300 * DAY
    record(workspace, 2)
    first = archived(workspace, clock, tmp_path / "first.jsonl")
    assert [row.sequence for row in workspace.audit.rows(AuditFilter())] == [4, 5, 6]
    record(workspace)
    assert found(workspace) == []
    clock.now += 300 * DAY
    second = archived(workspace, clock, tmp_path / "second.jsonl")
    assert [row.sequence for row in workspace.audit.rows(AuditFilter())] == [8]
    assert found(workspace) == []
    verified = workspace.audit.verify(archives=[second, first])
    assert (verified.rows, verified.findings) == (8, ())
    assert workspace.audit.verify(archives=[second]).findings == ()
    assert [each.sequence for each in workspace.audit.verify(archives=[first]).findings] == [4]


def test_an_altered_archive_is_noticed(workspace: Workspace, clock: Clock, tmp_path: Path) -> None:
    record(workspace, 3)
    clock.now += 300 * DAY
    file = archived(workspace, clock, tmp_path / "rows.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[0], lines[1].replace(b"event 1", b"event 2"), lines[2]]))
    assert [each.sequence for each in workspace.audit.verify(archives=[file]).findings] == [2]
    file.write_bytes(b"".join(lines[:2]))
    assert [each.sequence for each in workspace.audit.verify(archives=[file]).findings] == [3]


@pytest.mark.parametrize("content", [b"", b"{}\n", b"not JSON\n", b"[1]\n"])
def test_what_is_no_archive_is_said(workspace: Workspace, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(content)
    with pytest.raises(ArchiveUnusable, match=r"rows\.jsonl"):
        workspace.audit.verify(archives=[file])


def test_rows_taken_away_behind_an_archives_back_are_noticed(
    workspace: Workspace, clock: Clock, place: Place, tmp_path: Path
) -> None:
    record(workspace, 3)
    clock.now += 300 * DAY
    archived(workspace, clock, tmp_path / "rows.jsonl")
    record(workspace, 2)
    place.tamper("DELETE FROM audit WHERE sequence < 6 AND action != 'audit.archived'")
    assert rows_found(workspace) == [5]


def test_young_rows_and_a_log_with_findings_stay(
    workspace: Workspace, clock: Clock, place: Place, tmp_path: Path
) -> None:
    record(workspace, 3)
    with pytest.raises(CannotArchive, match="184 days"):
        workspace.audit.archive(tmp_path / "rows.jsonl", clock.now, "command line")
    clock.now += 300 * DAY
    taken = tmp_path / "taken.jsonl"
    taken.touch()
    with pytest.raises(ArchiveUnusable, match="there already"):
        workspace.audit.archive(taken, clock.now - 200 * DAY, "command line")
    assert workspace.audit.archive(tmp_path / "rows.jsonl", 0, "command line") is None
    place.tamper("UPDATE audit SET actor = 'x' WHERE sequence = 1")
    with pytest.raises(CannotArchive, match="row 1: altered"):
        workspace.audit.archive(tmp_path / "rows.jsonl", clock.now - 200 * DAY, "command line")
    assert not (tmp_path / "rows.jsonl").exists()


def test_after_an_archive_rows_are_still_refused_to_be_deleted(
    workspace: Workspace, clock: Clock, tmp_path: Path
) -> None:
    record(workspace, 2)
    clock.now += 300 * DAY
    archived(workspace, clock, tmp_path / "rows.jsonl")
    with workspace._engine.connect() as connection, pytest.raises(DatabaseError, match="append-only"):
        connection.exec_driver_sql("DELETE FROM audit")


def command(home: Path, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["audit", *arguments], env={"FOOTFALL_HOME": str(home)})
    return done.exit_code, done.output + (done.stderr if done.exit_code else "")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with three rows."""
    home = tmp_path / "home"
    with closing(
        open_workspace(f"sqlite:///{home}/workspace.db", partial(read_installation_key, Settings(home=home)))
    ) as opened:
        record(opened, 2)
        opened.audit.record(
            "command line", "person.show", "retail", opened.audit.hashed("retail", "张三"), {}
        )
    return home


def test_the_command_verifies_and_its_exit_code_says_so(home: Path) -> None:
    code, output = command(home, "verify")
    assert (code, output.splitlines()[0].split(";")[0]) == (0, "3 rows, none altered, none missing")
    head = output.split("head ")[1].split()[0]
    assert command(home, "verify", "--expect", head)[0] == 0
    Place(f"sqlite:///{home}/workspace.db", home).tamper("UPDATE audit SET subject = 'x' WHERE sequence = 2")
    code, output = command(home, "verify")
    assert code == 1
    assert output.startswith("row 2: altered")
    assert json.loads(command(home, "verify", "--json")[1])["findings"][0]["row"] == 2
    assert command(home, "verify", "--expect", "7")[0] == 2
    assert command(home, "verify", "--archive", str(home / "none"))[0] == 2
    assert command(home / "none", "verify")[0] == 2


def test_the_command_shows_and_exports_and_both_are_rows(home: Path) -> None:
    assert "plan.change  retail event 1 n=1" in command(home, "show", "--action", "plan.")[1]
    found = command(home, "show", "--project", "retail", "--id", "张三")[1]
    assert found.count("\n") == 1
    assert "person.show" in found
    lines = [json.loads(line) for line in command(home, "export", "--after", "3")[1].splitlines()]
    assert [(line["sequence"], line["action"]) for line in lines] == [
        (4, "audit.read"),
        (5, "audit.read"),
        (6, "audit.export"),
    ]
    assert command(home, "show", "--id", "x")[0] == 1
    assert command(home, "show", "--since", "yesterday")[0] == 1
    assert command(home, "archive", str(home / "rows"), "--before", "2999-01-01")[0] == 1
    assert (
        "no row is from before" in command(home, "archive", str(home / "rows"), "--before", "2001-01-01")[1]
    )
