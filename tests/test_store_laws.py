"""The laws of footfall.storage.store, on every engine: chDB in this process, and a server over HTTP.

The server is ClickHouse where CLICKHOUSE_URL names one, else the test server that speaks its interface in
front of chDB.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.storage.clickhouse_store import _store_error
from footfall.storage.opening import open_store
from footfall.storage.store import (
    Query,
    QueryCancelled,
    QueryLimits,
    QueryRefused,
    QueryTooExpensive,
    Store,
    StoreError,
    StoreUnavailable,
)
from footfall.storage.topology import Topology

NASTY = (
    "",
    "a\tb",
    "x\ny",
    "q'\\",
    "\0z",
    "{a:String}",
    "`; DROP TABLE x",
    "\r",
    "中文😀",
    "\\N",
    "NULL",
    "%s",
    '"',
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(NASTY)


@pytest.fixture(scope="module", params=["chdb", "http"], name="store")
def every_store(request: pytest.FixtureRequest, store: Store) -> Store:
    if request.param == "chdb":
        return store
    over_http: Store = request.getfixturevalue("http_store")
    return over_http


def make_numbers(store: Store, table: str) -> None:
    window = Topology().ddl()["deduplication"]
    store.command(f"CREATE TABLE {table} (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS {window}")


def numbers(*values: int) -> pa.Table:
    return pa.table({"n": pa.array(values, pa.uint64())})


def count(store: Store, table: str) -> int:
    return int(store.rows(Query(f"SELECT count() FROM {table}")).rows[0][0])


def test_an_insert_whose_token_was_used_changes_nothing(store: Store, new_name: Callable[[str], str]) -> None:
    table = new_name("numbers")
    make_numbers(store, table)
    store.insert(table, numbers(1, 2), "0:0:9")
    store.insert(table, numbers(1, 2), "0:0:9")
    store.insert(table, numbers(7), "0:0:9")
    assert count(store, table) == 2


def test_equal_rows_under_another_token_are_kept(store: Store, new_name: Callable[[str], str]) -> None:
    table = new_name("numbers")
    make_numbers(store, table)
    store.insert(table, numbers(1, 2), "0:0:9")
    store.insert(table, numbers(1, 2), "0:10:19")
    assert count(store, table) == 4


def test_a_token_is_remembered_by_table(store: Store, new_name: Callable[[str], str]) -> None:
    first, second = new_name("numbers"), new_name("numbers")
    for table in (first, second):
        make_numbers(store, table)
        store.insert(table, numbers(1), "0:0:9")
    assert (count(store, first), count(store, second)) == (1, 1)


def test_an_insert_without_a_token_is_refused(store: Store, new_name: Callable[[str], str]) -> None:
    with pytest.raises(ValueError, match="needs a token"):
        store.insert(new_name("numbers"), numbers(1), "")


def test_a_token_may_be_any_text(store: Store, new_name: Callable[[str], str]) -> None:
    table = new_name("numbers")
    make_numbers(store, table)
    for token in (text for text in NASTY if text):
        store.insert(table, numbers(1), token)
        store.insert(table, numbers(1), token)
    assert count(store, table) == len(NASTY) - 1


_INSERT_AND_DIE = """
    import os, signal, sys
    from pathlib import Path
    import pyarrow as pa
    from footfall.storage.opening import open_store
    from footfall.storage.store import Query

    root, ending = Path(sys.argv[1]), sys.argv[2]
    store = open_store(f"chdb://{root / 'chdb'}", scratch=root / "scratch")
    store.command(
        "CREATE TABLE IF NOT EXISTS n (n UInt64) ENGINE = MergeTree ORDER BY n "
        "SETTINGS non_replicated_deduplication_window = 10, fsync_after_insert = 1"
    )
    (root / "scratch" / "left-over").write_text("a customer's rows")
    store.insert("n", pa.table({"n": pa.array([1, 2, 3], pa.uint64())}), "0:0:2")
    print(store.rows(Query("SELECT count() FROM n")).rows[0][0], flush=True)
    if ending == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    store.close()
"""


@pytest.mark.parametrize("ending", ["close", "kill"])
def test_a_token_survives_a_restart(tmp_path: Path, ending: str) -> None:
    command = [sys.executable, "-c", textwrap.dedent(_INSERT_AND_DIE), str(tmp_path), ending]
    for _ in range(2):
        process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert process.stdout.strip() == "3", process.stderr
        assert process.returncode == (-signal.SIGKILL if ending == "kill" else 0), process.stderr


@given(text=texts, texts_=st.lists(texts, max_size=4))
@settings(max_examples=150, deadline=None)
def test_text_comes_back_from_parameters_as_it_was(store: Store, text: str, texts_: list[str]) -> None:
    query = Query(
        "SELECT {text:String}, {texts:Array(String)}, {text:String}", {"text": text, "texts": texts_}
    )
    assert store.rows(query).rows[0] == (text, texts_, text)


@given(
    integer=st.integers(-(2**63), 2**63 - 1),
    natural=st.integers(0, 2**64 - 1),
    number=st.floats(allow_nan=False),
    flag=st.booleans(),
    naturals=st.lists(st.integers(0, 2**64 - 1), max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_numbers_come_back_from_parameters_as_they_were(
    store: Store, integer: int, natural: int, number: float, flag: bool, naturals: list[int]
) -> None:
    query = Query(
        "SELECT {i:Int64}, {n:UInt64}, {x:Float64}, {b:Bool}, {ns:Array(UInt64)}",
        {"i": integer, "n": natural, "x": number, "b": flag, "ns": tuple(naturals)},
    )
    assert store.rows(query).rows[0] == (integer, natural, number, flag, naturals)


def test_a_parameter_without_a_placeholder_is_refused(store: Store) -> None:
    with pytest.raises(QueryRefused, match="no placeholder"):
        store.rows(Query("SELECT '%(name)s'", {"name": "x"}))


def test_text_that_is_no_text_is_refused(store: Store) -> None:
    for value in ("\ud800", ["ok", "\udfff"]):
        kind = "String" if isinstance(value, str) else "Array(String)"
        with pytest.raises(QueryRefused, match="surrogate"):
            store.rows(Query(f"SELECT {{name:{kind}}}", {"name": value}))


@given(
    rows=st.lists(
        st.tuples(
            texts,
            st.none() | texts,
            st.integers(-(10**12), 4 * 10**12),
            st.integers(0, 2**64 - 1),
            st.none() | st.decimals(-(10**31), 10**31, allow_nan=False, places=6),
            st.none() | st.booleans(),
            st.none() | st.floats(allow_nan=False),
            st.dictionaries(texts, texts, max_size=4),
        ),
        min_size=1,
        max_size=5,
    ),
)
@settings(max_examples=40, deadline=None)
def test_values_come_back_from_inserts_as_they_were(store: Store, rows: list[tuple[object, ...]]) -> None:
    store.command(
        "CREATE OR REPLACE TABLE round_trip (place UInt32, label LowCardinality(String), "
        "text LowCardinality(Nullable(String)), time DateTime64(3, 'UTC'), natural UInt64, "
        "money Nullable(Decimal(38, 6)), flag Nullable(Bool), number Nullable(Float64), "
        "map Map(LowCardinality(String), String)) ENGINE = MergeTree ORDER BY place"
    )
    label, text, time, natural, money, flag, number, maps = (
        list(column) for column in zip(*rows, strict=True)
    )
    table = pa.table(
        {
            "place": pa.array(range(len(rows)), pa.uint32()),
            "label": pa.array(label).dictionary_encode(),
            "text": pa.array(text, pa.string()).dictionary_encode(),
            "time": pa.array(time, pa.timestamp("ms", "UTC")),
            "natural": pa.array(natural, pa.uint64()),
            "money": pa.array(money, pa.decimal128(38, 6)),
            "flag": pa.array(flag, pa.bool_()),
            "number": pa.array(number, pa.float64()),
            "map": pa.array([list(pairs.items()) for pairs in maps], pa.map_(pa.string(), pa.string())),
        }
    )
    store.insert("round_trip", table, "a token")
    sql = (
        "SELECT label, text, reinterpretAsInt64(time), natural, money, flag, number, map "
        "FROM round_trip ORDER BY place"
    )
    assert [tuple(row) for row in store.rows(Query(sql)).rows] == rows


def test_money_keeps_all_its_digits(store: Store) -> None:
    amount = Decimal("12345678901234567890123456789012.123456")
    answer = store.rows(Query("SELECT toDecimal128({amount:String}, 6)", {"amount": str(amount)}))
    assert answer.rows[0][0] == amount


def test_a_stream_gives_the_rows_of_the_query(store: Store) -> None:
    sql = (
        "SELECT number AS n, toInt64(number) - 5 AS i, toUInt32(number % 7) AS m, toUInt8(number % 2) AS p, "
        "number / 8 AS x FROM numbers({count:UInt64}) WHERE n % 3 = 0"
    )
    query = Query(sql, {"count": 300_000})
    blocks = list(store.stream(query))
    columns = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
    assert [column.dtype.name for column in columns] == ["uint64", "int64", "uint32", "uint8", "float64"]
    assert sorted(zip(*(column.tolist() for column in columns), strict=True)) == sorted(
        store.rows(query).rows
    )
    assert len(blocks) > 1


def test_a_stream_of_rows_gives_the_rows_of_the_query(store: Store) -> None:
    sql = (
        "SELECT toString(number) AS t, if(number % 2 = 0, NULL, number) AS n, "
        "map('k', toString(number)) AS m, [('a', toNullable('b'))] AS pairs "
        "FROM numbers({count:UInt64}) ORDER BY number"
    )
    query = Query(sql, {"count": 50_000})
    blocks = list(store.stream_rows(query))
    assert len(blocks) > 1
    assert [tuple(row) for block in blocks for row in block] == list(store.rows(query).rows)
    unfinished = store.stream_rows(query)
    next(unfinished)
    unfinished.close()  # type: ignore[attr-defined]
    assert store.rows(Query("SELECT 1")).rows == [(1,)]


def test_an_empty_stream_has_no_rows(store: Store) -> None:
    assert sum(len(block[0]) for block in store.stream(Query("SELECT number FROM numbers(0)"))) == 0


def test_a_stream_holds_few_blocks_in_memory(store: Store) -> None:
    process = psutil.Process()
    blocks = store.stream(Query("SELECT number, number * 2 FROM numbers(20_000_000)"), QueryLimits(threads=1))
    next(blocks)
    before = process.memory_info().rss
    highest = max(process.memory_info().rss for _ in blocks)
    assert highest - before < 100 << 20  # the answer has 320 MB


def test_a_stream_of_text_is_refused(store: Store) -> None:
    for column in ("toString(number)", "toNullable(number)", "toDateTime(number)"):
        with pytest.raises(QueryRefused, match="column 2"):
            list(store.stream(Query(f"SELECT number, {column} FROM numbers(3)")))


def test_other_queries_run_within_an_open_stream(store: Store) -> None:
    blocks = store.stream(Query("SELECT number FROM numbers(1_000_000)"))
    next(blocks)
    assert store.rows(Query("SELECT 1")).rows == [(1,)]
    assert sum(len(block[0]) for block in store.stream(Query("SELECT number FROM numbers(10)"))) == 10
    blocks.close()  # type: ignore[attr-defined]
    assert store.rows(Query("SELECT 2")).rows == [(2,)]


def test_an_error_within_a_stream_is_raised(store: Store) -> None:
    with pytest.raises(StoreError, match="throwIf"):
        list(store.stream(Query("SELECT throwIf(number = 900_000) FROM numbers(1_000_000)")))


def test_several_threads_use_a_store_at_once(store: Store, new_name: Callable[[str], str]) -> None:
    table = new_name("numbers")
    make_numbers(store, table)
    start = threading.Barrier(8)

    def work(worker: int) -> int:
        start.wait()
        for place in range(5):
            store.insert(table, numbers(worker * 10 + place), f"{worker}:{place}")
        query = Query("SELECT number + {worker:UInt64} FROM numbers(100_000)", {"worker": worker})
        return sum(int(block[0].sum()) for block in store.stream(query))

    with ThreadPoolExecutor(8) as pool:
        sums = list(pool.map(work, range(8)))
    assert sums == [100_000 * worker + sum(range(100_000)) for worker in range(8)]
    assert count(store, table) == 40


def test_says_how_much_a_query_read(store: Store, new_name: Callable[[str], str]) -> None:
    table = new_name("numbers")
    make_numbers(store, table)
    store.insert(table, numbers(*range(1000)), "t")
    answer = store.rows(Query(f"SELECT sum(n) AS total FROM {table}"))
    assert answer.names == ("total",)
    assert (answer.rows_read, answer.bytes_read) == (1000, 8000)


def test_a_query_ends_at_its_time_limit(store: Store) -> None:
    query = Query("SELECT count() FROM numbers(100_000_000_000) WHERE sipHash64(number) = 7")
    with pytest.raises(QueryTooExpensive, match="TIMEOUT"):
        store.rows(query, QueryLimits(seconds=0.2))
    with pytest.raises(QueryTooExpensive, match="TIMEOUT"):
        list(store.stream(query, QueryLimits(seconds=0.2)))


def test_a_query_ends_at_its_memory_limit(store: Store) -> None:
    query = Query("SELECT length(groupArray(number)) FROM numbers(50_000_000)")
    with pytest.raises(QueryTooExpensive, match="MEMORY_LIMIT"):
        store.rows(query, QueryLimits(memory_bytes=50 << 20))


def test_a_query_ends_when_it_has_read_its_rows(store: Store, new_name: Callable[[str], str]) -> None:
    table = new_name("numbers")
    make_numbers(store, table)
    store.insert(table, numbers(*range(1000)), "t")
    query = Query(f"SELECT sum(n) FROM {table}")
    with pytest.raises(QueryTooExpensive) as caught:
        store.rows(query, QueryLimits(rows=999))
    assert caught.value.budget == "rows"
    assert store.rows(query, QueryLimits(rows=1000)).rows == [(499_500,)]


def test_a_query_ends_when_it_has_put_aside_what_it_may(store: Store) -> None:
    groups = "SELECT number % 3_000_000 AS k, groupArray(number) FROM numbers(6_000_000) GROUP BY k"
    query = Query(f"SELECT count() FROM ({groups})")
    limits = QueryLimits(memory_bytes=200 << 20, threads=2)
    assert store.rows(query, limits).rows == [(3_000_000,)]
    with pytest.raises(QueryTooExpensive) as caught:
        store.rows(query, replace(limits, disk_bytes=1 << 20))
    assert caught.value.budget == "disk_bytes"


ENDLESS = Query("SELECT number FROM numbers(100_000_000_000) WHERE sipHash64(number) = 7")


@pytest.mark.parametrize("way", ["rows", "stream"])
def test_cancel_ends_the_queries_of_its_tag_and_no_others(store: Store, way: str) -> None:
    def run(tag: str) -> StoreError | None:
        try:
            limits = QueryLimits(threads=1, tag=tag)
            list(store.stream(ENDLESS, limits)) if way == "stream" else store.rows(ENDLESS, limits)
        except StoreError as error:
            return error
        return None

    def tags() -> set[str]:
        found = store.rows(Query("SELECT Settings['log_comment'] FROM system.processes")).rows
        return {row[0] for row in found}

    with ThreadPoolExecutor(2) as pool:
        futures = {tag: pool.submit(run, tag) for tag in ("tag1", "tag2")}
        while not {"tag1", "tag2"} <= tags():
            time.sleep(0.01)
        store.cancel("none")
        store.cancel("tag1")
        assert isinstance(futures["tag1"].result(timeout=60), QueryCancelled)
        assert "tag2" in tags()
        store.cancel("tag2")
        assert isinstance(futures["tag2"].result(timeout=60), QueryCancelled)
    with pytest.raises(ValueError, match="letters and digits"):
        store.cancel("x' OR 1 --")


@pytest.mark.parametrize("way", ["rows", "blocks"])
def test_a_stream_that_is_left_ends_its_query(store: Store, way: str) -> None:
    query = Query("SELECT number FROM numbers(1_000_000_000_000)")
    limits = QueryLimits(seconds=600, tag="left")
    stream = store.stream_rows(query, limits) if way == "rows" else store.stream(query, limits)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    running = Query("SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'left'")
    while store.rows(running).rows != [(0,)]:
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Code: 241. DB::Exception: Query memory limit exceeded: would use 1 GiB", QueryTooExpensive),
        ("Code: 241. DB::Exception: (total) memory limit exceeded: would use 9 GiB", StoreUnavailable),
        ("Code: 241. DB::Exception: User memory limit exceeded: would use 9 GiB", StoreUnavailable),
        ("Code: 394. DB::Exception: Query was cancelled. (QUERY_WAS_CANCELLED)", QueryCancelled),
        ("Code: 62. DB::Exception: Syntax error", QueryRefused),
        ("connection reset", StoreUnavailable),
    ],
)
def test_what_all_queries_use_together_is_not_one_querys_fault(message: str, kind: type[StoreError]) -> None:
    assert type(_store_error(message, None)) is kind


def test_a_big_group_by_goes_on_on_disk(store: Store) -> None:
    query = Query("SELECT count() FROM (SELECT number, count() FROM numbers(5_000_000) GROUP BY number)")
    assert store.rows(query, QueryLimits(memory_bytes=400 << 20, threads=2)).rows == [(5_000_000,)]


def test_wrong_sql_is_refused(store: Store) -> None:
    for sql in ("SELECT", "SELECT x", "SELECT 1 FROM nowhere"):
        with pytest.raises(QueryRefused):
            store.rows(Query(sql))
    with pytest.raises(QueryRefused):
        store.command("CREATE TABLE")
    with pytest.raises(QueryRefused):
        store.insert("nowhere", numbers(1), "t")


def test_an_insert_leaves_no_file_behind(store: Store, new_name: Callable[[str], str]) -> None:
    import tempfile

    table = new_name("numbers")
    make_numbers(store, table)
    store.insert(table, numbers(1), "t")
    assert list(Path(tempfile.gettempdir()).iterdir()) == []
    assert Path(tempfile.gettempdir()).stat().st_mode & 0o077 == 0


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    script = """
        import sys
        from pathlib import Path
        from footfall.storage.opening import open_store
        from footfall.storage.store import Query, StoreUnavailable

        store = open_store(f"chdb://{sys.argv[1]}/chdb", scratch=Path(sys.argv[1]) / "scratch")
        store.close()
        try:
            store.rows(Query("SELECT 1"))
        except StoreUnavailable as error:
            print(error)
    """
    process = run_python(script, str(tmp_path))
    assert process.stdout.strip() == "the store was closed", process.stderr


def test_a_url_that_means_nothing_is_refused(tmp_path: Path) -> None:
    for url in ("postgres://x/y", "store", "chdb://relative/path", "chdb:store", "clickhouse://h/x?bogus=1"):
        with pytest.raises(ValueError, match="store URL"):
            open_store(url, scratch=tmp_path / "scratch")


def test_a_server_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        open_store("clickhouse://user:hush@127.0.0.1:1/footfall", scratch=tmp_path / "scratch")
    assert "hush" not in str(caught.value)


def test_a_store_of_another_process_is_unavailable(store: Store, tmp_path: Path) -> None:
    directory = store.rows(Query("SELECT path FROM system.disks WHERE name = 'default'")).rows[0][0]
    script = """
        import sys
        from pathlib import Path
        from footfall.storage.opening import open_store
        from footfall.storage.store import StoreUnavailable
        try:
            open_store(f"chdb://{sys.argv[1]}", scratch=Path(sys.argv[2]))
        except StoreUnavailable as error:
            print("unavailable", error)
    """
    process = run_python(script, str(directory), str(tmp_path / "scratch"))
    assert process.stdout.startswith("unavailable"), process.stdout + process.stderr


def run_python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=dict(os.environ)
    )


def test_times_come_back_with_their_zone(store: Store) -> None:
    answer = store.rows(Query("SELECT toDateTime64('2026-01-02 03:04:05.678', 3, 'UTC')"))
    assert answer.rows[0][0].replace(tzinfo=UTC) == datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
