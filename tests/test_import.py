"""`footfall import`: what comes out of files of every kind, broken ones too."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from footfall.importing.faults import ImportRefused
from tests.importing import import_file, stored
from tests.system import System

HEADER = "customer_no,time,event,amount,channel,vip,code,opened\n"
NEEDED = 'event = "buy"\ndistinct_id = "customer_no"\ntime = "time"\n'
TEN = 1_767_578_400_000  # 2026-01-05T10:00:00+08:00


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
