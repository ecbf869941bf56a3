"""Files of every kind, and files that are not what they should be: a word to each row, and no crash."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.importing.faults import ImportRefused
from footfall.importing.opening import Reading
from footfall.importing.plan import guess_type
from footfall.importing.source import LONGEST_LINE, look_at
from footfall.importing.values import epoch_ms, moment_reader, read_number
from tests.importing import ZONE, import_file, stored
from tests.system import System

TEN = 1_767_578_400_000  # 2026-01-05T10:00:00+08:00
ROW = "c{n},2026-01-05 10:00:00,buy,x\n"
HEADER = "customer_no,time,event,note\n"
NEEDED = 'event = "buy"\ndistinct_id = "customer_no"\ntime = "time"\n'


async def notes(
    system: System, path: Path, mapping: str | None = None, **options: Any
) -> tuple[list[str], list[Any]]:
    """The property `note` of the stored events, and (line, reason) of the rejected rows."""
    _, rejected = await import_file(system, path, mapping, **options)
    found = [event["properties"].get("note", "") for event in stored(system)]
    return found, [(row.line, row.reason) for row in rejected]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
async def test_packed_files(system: System, tmp_path: Path, pack: Any) -> None:
    path = tmp_path / "packed"
    path.write_bytes(pack((HEADER + ROW.format(n=1)).encode()))
    assert await notes(system, path) == (["x"], [])


async def test_chinese_encodings(system: System, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    text = "客户号,交易时间,事件,note\r\nc1,2026年1月5日,buy,理财\r\nc2,2026年1月6日,buy,€\r\n"
    path.write_bytes(text.encode("gb18030"))
    with pytest.raises(ImportRefused, match="try --encoding gb18030"):
        await import_file(system, path)
    assert await notes(system, path, encoding="gb18030") == (["理财", "€"], [])
    assert stored(system)[0]["time"] == epoch_ms(date(2026, 1, 5), ZONE)
    marked = tmp_path / "marked.csv"
    marked.write_bytes(text.encode("utf-8-sig"))
    assert len((await notes(system, marked))[0]) == 2  # the same rows: known already
    assert (await system.ledger())["duplicate"] == 2


async def test_a_mapping_in_chinese(system: System, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        '客户号;交易时间;金额;开户日;风险 等级\nc1;20260105 100000;"1,234.50";20200131;R2\n'
        "c2;20260105 100001;多;x;\n"
    )
    mapping = (
        'event = "purchase"\ndistinct_id = "客户号"\ntime = {column = "交易时间", format = "%Y%m%d %H%M%S"}\n'
        '[properties]\namount = {column = "金额", type = "number"}\nrisk = "风险 等级"\n'
        'opened = {column = "开户日", type = "datetime", format = "%Y%m%d"}\nchannel = {value = "branch"}\n'
    )
    end, _ = await import_file(system, path, mapping)
    assert end.accepted == 2
    one, two = stored(system)
    assert (one["time"], one["amount"], one["channel"]) == (TEN, "1234.5", "branch")
    assert one["properties"] == {"risk": "R2", "opened": "2020-01-31 00:00:00.000"}
    assert two["properties"] == {"amount": "多", "opened": "x"}  # kept as text


async def test_hostile_rows_cost_only_themselves(system: System, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        HEADER.encode()
        + b"c2,2026-01-05 10:00:00,buy,nul\x00byte\n"
        + b"c3,2026-01-05 10:00:00,buy," + b"x" * (10 << 20) + b"\n"
        + b'c4,2026-01-05 10:00:00,buy,"' + b"y" * 200_000 + b'"\n'
        + b"c5,2026-01-05 10:00:00,buy,\xff\xfe\n"
        + b"c6,2026-01-05 10:00:00,buy," + b"z" * 20_000 + b"\n"
        + b'c7,2026-01-05 10:00:00,buy,"open\n'
        + b"c8,2026-01-05 10:00:00,buy,ok\r\n"
        + b"c9,99999-01-05 10:00:00,buy,ok\n"
        + b"c10,2026-01-05 10:00:00,buy,last"
    )  # fmt: skip
    found, rejected = await notes(system, path)
    assert sorted(found) == ["last", "nul\x00byte", "ok"]
    assert rejected == [
        (3, "unreadable"), (4, "unreadable"), (5, "invalid_utf8"), (6, "string_too_long"), (7, "unreadable"),
        (9, "invalid_time"),
    ]  # fmt: skip
    ledger = await system.ledger()
    assert (ledger["received"], ledger["stored"], sum(ledger["rejected"].values())) == (9, 3, 6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n  \n", "the file is empty"),
        (b"\xef\xbb\xbf", "no rows"),
        (HEADER.encode(), "no rows"),
        (HEADER.encode("utf-16"), "UTF-16"),
        (b"a,b,a\n1,2,3\n", "more than once"),
        (b"customer_no,time,event\n" + b"\x80\x81," * 5 + b"\n", "none of the first"),
        (b"a,b\n1,2\n", "distinct_id"),
        (b"[1, 2]", "an object a line"),
        (b"PAR1 but not really", "no readable Parquet"),
        (gzip.compress(HEADER.encode(), mtime=0)[:-12], "damaged"),
        (b"\x1f\x8bxx", "damaged|cannot|not"),
        (HEADER.encode() + b"c1,2026-01-05,9 lives,x\n", "none of the first 1 rows can be imported"),
    ],
)
async def test_a_file_that_cannot_be_is_refused(
    system: System, tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ImportRefused, match=message):
        await import_file(system, path)
    assert (await system.ledger())["received"] == 0


async def test_a_cut_off_gzip_file_gives_what_is_there(system: System, tmp_path: Path) -> None:
    rows = HEADER + "".join(f"c{n},2026-01-05 10:00:00,buy,{n * 7919 % 10007}\n" for n in range(200_000))
    packed = gzip.compress(rows.encode())
    path = tmp_path / "a.csv.gz"
    path.write_bytes(packed[: len(packed) // 2 + 512 * 1024])
    end, rejected = await import_file(system, path)
    assert end.accepted > 50_000
    assert "damaged from here on" in rejected[-1].message


async def test_jsonl_with_objects_in_objects(system: System, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [
        {"customer_no": 7, "time": TEN, "more": {"note": "a", "n": 1.50, "tags": ["x"], "deep": [{"k": 1}]}},
        {"customer_no": "8", "time": "2026-01-05T10:00:00+08:00", "flag": True, "gone": None},
    ]
    path.write_text("\n".join([*map(json.dumps, lines), "{broken", "[]", '{"customer_no": 1e999}', ""]))
    mapping = NEEDED + (
        '[properties]\nnote = "more.note"\nn = "more.n"\ntags = "more.tags"\n'
        'deep = "more.deep"\nflag = "flag"\n'
    )
    end, rejected = await import_file(system, path, mapping)
    assert end.accepted == 2
    assert [(row.line, row.reason) for row in rejected] == [
        (3, "unreadable"), (4, "not_an_object"), (5, "invalid_time"),
    ]  # fmt: skip
    one, two = stored(system)
    assert (one["distinct_id"], one["time"]) == ("7", TEN)
    assert one["properties"] == {"note": "a", "n": "1.5", "tags": '["x"]', "deep": '[{"k":1}]'}
    assert (two["distinct_id"], two["properties"]) == ("8", {"flag": "true"})


async def test_parquet_with_types_of_every_kind(system: System, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    moment = datetime(2026, 1, 5, 2, tzinfo=UTC)
    table = pa.table(
        {
            "customer_no": pa.array([1, 2]),
            "time": pa.array([moment, None], pa.timestamp("ns", "UTC")),
            "amount": pa.array([Decimal("12.340001"), None], pa.decimal128(20, 6)),
            "ratio": [0.5, float("nan")],
            "born": pa.array([date(2000, 1, 31), None]),
            "seen": pa.array([moment.replace(hour=10, tzinfo=None), None], pa.timestamp("us")),
            "tags": [["a", "b"], None],
            "nested": [{"k": [1, 2]}, None],
            "matrix": [[[1]], None],
            "raw": [b"\xff", b"ok"],
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "nothing": pa.nulls(2),
        }
    )
    pq.write_table(table, path)
    end, rejected = await import_file(system, path, NEEDED)
    assert [(row.line, row.reason) for row in rejected] == [(2, "invalid_time")]
    (event,) = stored(system)
    assert end.accepted == 1
    assert (event["distinct_id"], event["time"], event["amount"]) == ("1", TEN, "12.340001")
    assert event["properties"] == {
        "ratio": "0.5", "born": "2000-01-31 00:00:00.000", "seen": "2026-01-05 10:00:00.000",
        "tags": '["a","b"]', "nested": '{"k": [1, 2]}', "matrix": "[[1]]", "raw": "/w==", "kind": "x",
    }  # fmt: skip


async def test_parquet_goes_on_in_the_middle_of_a_row_group(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": list(range(10_000))}), path, row_group_size=3_000)
    reading = Reading(look_at(path), format_=None, encoding=None, delimiter=None)
    for skip in (0, 1, 2_999, 3_000, 7_500, 9_999, 10_000):
        with reading.opened() as opened:
            rows = list(opened.rows(skip))
        assert [row.line for row in rows] == list(range(skip + 1, 10_001))
        assert [row.cells["n"] for row in rows if row.cells] == list(range(skip, 10_000))


async def test_sensors_exports_of_events_and_profiles(system: System, tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    event = {
        "_track_id": 42, "time": TEN, "type": "track", "event": "buy", "distinct_id": "ann", "user_id": 123,
        "project": "production", "ver": 2, "map_id": "ann", "lib": {"$lib": "js"},
        "properties": {"note": "old", "$lib": "js"},
    }  # fmt: skip
    profile = {
        "type": "profile_set",
        "distinct_id": "ann",
        "time": TEN,
        "project": "production",
        "properties": {"city": "x"},
    }
    path.write_text("\n".join(map(json.dumps, [event, profile, event | {"event": "9 lives"}])))
    end, rejected = await import_file(system, path)
    assert (end.accepted, [row.reason for row in rejected]) == (2, ["invalid_name"])
    assert [(each["event"], each["time"]) for each in stored(system)] == [("buy", TEN)]
    assert system.rows("SELECT properties FROM profiles")[0][0] == {"city": "x"}
    sent = {key: event[key] for key in ("_track_id", "time", "type", "event", "distinct_id")}
    await system.send({**sent, "properties": {}, "time_free": True})
    await system.settle()
    assert (await system.ledger())["duplicate"] == 1  # as the SDK sent it


async def test_records_of_another_project_are_refused(system: System, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    record = {"event": "buy", "distinct_id": "ann", "time": TEN, "properties": {}}
    path.write_text("\n".join(map(json.dumps, [record, record | {"project": "other"}, record | {"evnt": 1}])))
    _, rejected = await import_file(system, path)
    assert [(row.line, row.reason) for row in rejected] == [(2, "wrong_project"), (3, "unknown_field")]


async def test_profiles_and_items_from_tables(system: System, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("customer_no,city,level\nann,Xi'an,3\nbob,,4\n")
    end, _ = await import_file(system, path, 'type = "profile_set"\ndistinct_id = "customer_no"\n')
    assert end.accepted == 2
    found = system.rows("SELECT user_id, properties FROM profiles ORDER BY user_id")
    assert list(found) == [("ann", {"city": "Xi'an", "level": "3"}), ("bob", {"level": "4"})]
    await import_file(system, path, 'type = "item_set"\nitem_type = "person"\nitem_id = "customer_no"\n')
    assert system.rows("SELECT item_id FROM items ORDER BY item_id") == [("ann",), ("bob",)]


def test_types_are_guessed_from_what_all_values_are() -> None:
    for texts, expected in (
        (["1", "-2.5", "3e2"], "number"),
        (["007", "8"], "string"),
        (["6222020200112233445"], "string"),  # a card, not a number to calculate with
        (["1", "0"], "number"),
        (["yes", "No"], "boolean"),
        (["是", "否"], "boolean"),
        (["2026-01-05", "2026-01-06"], "datetime"),
        (["2026-01-05", "soon"], "string"),
        (["20260105"], "number"),
        ([], "string"),
    ):
        assert guess_type(texts)[0] == expected, texts


@given(
    st.integers(0, 4 * 10**9).map(lambda second: datetime.fromtimestamp(second, UTC).replace(tzinfo=None)),
    st.sampled_from(("%Y/%m/%d %H:%M:%S", "%Y%m%d%H%M%S", "%d.%m.%Y %H:%M:%S", "%d %b %Y %H:%M:%S")),
)
@settings(max_examples=100)
def test_a_time_is_read_as_strptime_reads_it(moment: datetime, format_: str) -> None:
    assert moment_reader(format_)(moment.strftime(format_)) == moment.replace(microsecond=0)


@given(st.text(max_size=20) | st.decimals(allow_nan=False, allow_infinity=False).map(str))
@settings(max_examples=200)
def test_a_number_is_json_or_none(text: str) -> None:
    found = read_number(text)
    if found is not None:
        assert Decimal(json.loads(bytes(found), parse_int=str, parse_float=str)) == Decimal(
            text.replace(",", "")
        )


def test_the_longest_line_is_a_records_longest() -> None:
    assert LONGEST_LINE == 1 << 20
