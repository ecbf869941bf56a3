"""`footfall import`: what comes out of files of every kind, broken ones too."""

from __future__ import annotations

import gzip
from contextlib import closing
from pathlib import Path

import pytest

from footfall.eventlog.log import LogFull
from footfall.eventlog.opening import open_log
from footfall.eventlog.partitions import IMPORTS
from footfall.events.keys import KeyedHash
from footfall.importing.faults import ImportRefused
from footfall.importing.importer import Importer, ImportOptions, State, Target
from footfall.treatment.policy import Policy
from tests.importing import import_file, plan_of, stored
from tests.system import System

HEADER = "customer_no,time,event,amount,channel,vip,code,opened\n"
NEEDED = 'event = "buy"\ndistinct_id = "customer_no"\ntime = "time"\n'
TEN = 1_767_578_400_000  # 2026-01-05T10:00:00+08:00

POLICY = Policy("default")


async def test_a_csv_file_becomes_events(system: System, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        HEADER
        + "c1,2026-01-05 10:00:00,buy,100.50,branch,yes,001,2026/01/02\n"
        + "c2,2026-01-05 10:01:00,buy,-1,,no,002,\n"
    )
    end, rejected = await import_file(system, path)
    assert (end.accepted, end.rejected, rejected) == (2, 0, [])
    one, two = stored(system)
    assert (one["event"], one["distinct_id"], one["time"], one["door"]) == ("buy", "c1", TEN, "import")
    assert (one["amount"], one["channel"]) == ("100.5", "branch")
    assert one["properties"] == {"vip": "true", "code": "001", "opened": "2026-01-02 00:00:00.000"}
    assert (two["amount"], two["channel"], two["properties"]) == ("-1", None, {"vip": "false", "code": "002"})
    ledger = await system.ledger()
    assert (ledger["received"], ledger["stored"], ledger["queued"]) == (2, 2, 0)


async def test_broken_rows_are_listed_and_the_others_imported(system: System, tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    rows = (
        HEADER
        + "c1,2026-01-05 10:00:00,buy,1,a,yes,001,2026/01/02\n"  # 2
        + "c2,not a time,buy,1,a,yes,001,2026/01/02\n"
        + "c3,2026-01-05 10:00:00,buy\n"  # 4: ragged
        + '"c4,2026-01-05 10:00:00,buy,1,a,yes,001,2026/01/02\n'  # 5: the quote is not closed
        + "c5,2026-01-05 10:00:00,9 lives,1,a,yes,001,2026/01/02\n"
        + ",2026-01-05 10:00:00,buy,1,a,yes,001,2026/01/02\n"
        + "c7,,buy,1,a,yes,001,2026/01/02\n"
        + "\n"
        + 'c8,2026-01-05 10:00:00,buy,1,"two\nlines",yes,001,2026/01/02\n'  # 10
        + "c9,2026-01-05 10:00:00,buy,1,a,yes,001,2026/01/02,,,\n"
    )
    path.write_bytes(gzip.compress(rows.encode()))
    end, rejected = await import_file(system, path)
    assert [(row.line, row.reason) for row in rejected] == [
        (3, "invalid_time"), (4, "unreadable"), (5, "unreadable"), (6, "invalid_name"), (7, "missing_field"),
        (8, "invalid_time"),
    ]  # fmt: skip
    assert "; the column 'time' is read as iso" in rejected[0].message
    assert rejected[1].raw == b"c3,2026-01-05 10:00:00,buy"
    assert [event["distinct_id"] for event in stored(system)] == ["c1", "c8", "c9"]
    assert stored(system)[1]["channel"] == "two\nlines"
    assert (end.accepted, end.rejected) == (3, 6)
    ledger = await system.ledger()
    assert (ledger["received"], ledger["stored"]) == (9, 3)
    assert ledger["rejected"] == {"invalid_time": 2, "unreadable": 2, "invalid_name": 1, "missing_field": 1}


async def test_the_same_file_again_changes_nothing(system: System, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    row = "c1,2026-01-05 10:00:00,buy,1,a,yes,001,2026/01/02\n"
    path.write_text(HEADER + row + row)
    for _ in range(2):
        end, _ = await import_file(system, path)
        assert end.accepted == 2
    assert (await system.ledger())["received"] == 2
    longer = tmp_path / "longer.csv"
    longer.write_text(HEADER + row + row + row.replace("c1", "c2") + row)
    await import_file(system, longer)
    ledger = await system.ledger()
    assert (ledger["received"], ledger["stored"], ledger["duplicate"]) == (6, 4, 2)


async def test_a_mapping_that_fits_nothing_is_refused_before_it_starts(
    system: System, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "c1,2026-01-05 10:00:00,buy,1,a,yes,001,2026/01/02\n")
    for mapping, message in (
        ('event = "buy"\ndistinct_id = "custmer_no"\ntime = "time"', "did you mean 'customer_no'?"),
        ('event = "buy"\ndistinct = "customer_no"\ntime = "time"', "did you mean 'distinct_id'?"),
        ('event = "buy"\ntime = "time"', "distinct_id ="),
        (NEEDED.replace("event = \"buy", "event_column = \"code") + "[properties]", "none of the first"),
        ('event = "buy"\ndistinct_id = "customer_no"\ntime = "vip"', "'yes' is no time"),
        (
            'event = "buy"\ndistinct_id = "customer_no"\ntime = {column = "time", format = "%d.%m.%Y"}',
            "none of the first 1 times",
        ),
        (NEEDED + '[properties]\nx = {column = "vip", type = "bool"}', "did you mean 'boolean'?"),
    ):  # fmt: skip
        with pytest.raises(ImportRefused, match=message.replace("?", r"\?")):
            await import_file(system, path, mapping)
    assert system.log.position(0).end == 0
    assert (await system.ledger())["received"] == 0


async def test_a_full_log_is_waited_out_where_somebody_empties_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = [f"c{n},2026-01-05 10:00:00,buy,{n * 7919},{n % 9973},yes,{n},\n" for n in range(20_000)]
    path.write_text(HEADER + "".join(lines))
    waits: list[str] = []
    with closing(open_log("memory://", max_bytes=3 << 20)) as log:

        def tell(state: State) -> None:
            if state.waits_for:
                waits.append(state.waits_for)
                end = log.position(IMPORTS).end
                log.commit(IMPORTS, end)
                log.truncate(IMPORTS, end)

        seen = plan_of(path)
        options = ImportOptions(tmp_path / "imports", tell, is_processed=lambda: True)
        target = Target("default", log, KeyedHash(b"k" * 32), POLICY)
        with closing(Importer(*seen, target, options)) as importer:
            assert importer.run().accepted == 20_000
        assert sum(tally.count for tally in log.tallies(IMPORTS)) == 20_000
    assert any("limit" in each for each in waits)


async def test_a_full_log_that_nobody_empties_ends_the_import_which_goes_on_later(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = [f"c{n},2026-01-05 10:00:00,buy,{n * 7919},{n % 9973},yes,{n},\n" for n in range(20_000)]
    path.write_text(HEADER + "".join(lines))
    tries = 0
    with closing(open_log("memory://", max_bytes=3 << 20)) as log:
        while True:
            tries += 1
            target = Target("default", log, KeyedHash(b"k" * 32), POLICY)
            with closing(Importer(*plan_of(path), target, ImportOptions(tmp_path / "imports"))) as importer:
                try:
                    assert importer.run().accepted == 20_000
                    break
                except LogFull:
                    end = log.position(IMPORTS).end
                    log.commit(IMPORTS, end)
                    log.truncate(IMPORTS, end)
        assert sum(tally.count for tally in log.tallies(IMPORTS)) == 20_000
    assert tries > 1


def test_two_imports_at_once_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "c1,2026-01-05 10:00:00,buy,1,a,yes,001,2026/01/02\n")
    with closing(open_log(f"sqlite:///{tmp_path}/log", max_bytes=1 << 30)) as log:
        target = Target("default", log, KeyedHash(b"k" * 32), POLICY)
        options = ImportOptions(tmp_path / "imports")
        with (
            closing(Importer(*plan_of(path), target, options)),
            pytest.raises(ImportRefused, match="another import is running"),
        ):
            Importer(*plan_of(path), target, options)
