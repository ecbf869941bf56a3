"""What a backup says of an import's position agrees with the log of imports in it, while the import runs."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from footfall.eventlog.log import Tally
from footfall.eventlog.opening import open_log
from footfall.eventlog.partitions import IMPORTS
from footfall.importing.journal import Journal
from footfall.proof.snapshot import CannotSnapshot, copy_imports
from footfall.settings import Settings


def number(file: Path, sql: str) -> int:
    with closing(apsw.Connection(str(file))) as connection:
        return int(next(iter(connection.execute(sql)))[0])


def test_a_copy_has_no_batch_that_its_position_does_not_know(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    stop = threading.Event()
    with closing(open_log(Settings(home=home).log_url, max_bytes=1 << 30)) as log:
        writer = log.open_writer(IMPORTS)
        begun = threading.Event()

        def bring() -> None:
            with closing(Journal(home / "imports" / "a.db", "a.csv", "default")) as journal:
                offset = 0
                while not stop.is_set():
                    journal.advance(None, offset=offset, rows=1)
                    offset = writer.append(b"x", Tally("default", "import", 1, 1)).result() + 1
                    begun.set()

        thread = threading.Thread(target=bring)
        thread.start()
        try:
            assert begun.wait(60)
            for copy in range(10):
                place = tmp_path / f"copy-{copy}"
                place.mkdir()
                copy_imports(home, place)
        finally:
            stop.set()
            thread.join()
            writer.close()
    ends = []
    for place in tmp_path.glob("copy-*"):
        end = number(place / "log" / "partition-9100.db", "SELECT end_offset FROM state")
        assert number(place / "imports" / "a.db", "SELECT pending_offset FROM position") in (end - 1, end)
        ends.append(end)
    assert len(set(ends)) > 1


def test_a_copy_is_refused_where_position_and_log_do_not_agree(tmp_path: Path) -> None:
    home, place = tmp_path / "home", tmp_path / "copy"
    place.mkdir()
    with closing(open_log(Settings(home=home).log_url, max_bytes=1 << 30)) as log:
        with closing(log.open_writer(IMPORTS)) as writer:
            for _ in range(3):
                writer.append(b"x", Tally("default", "import", 1, 1)).result()
        with closing(Journal(home / "imports" / "a.db", "a.csv", "default")) as journal:
            journal.advance(None, offset=1, rows=1)
            with pytest.raises(CannotSnapshot, match="when the import has ended"):
                copy_imports(home, place)
    assert not list(place.iterdir())
