"""`footfall export`: asks the engine that runs on this home, or opens its store, and writes what comes.

Under its name there is only a whole file.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol
from urllib.parse import quote, urlencode

from pydantic import ValidationError
from pydantic_core import PydanticCustomError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from starlette.datastructures import QueryParams

from footfall.cli.engines import opened_store, opened_workspace
from footfall.cli.home import hold_home, is_held
from footfall.cli.local_engine import EngineUnreachable, LocalEngine
from footfall.events.keys import KeyedHash
from footfall.settings import Settings, read_installation_key
from footfall.workspace import COMMAND_LINE, Project
from query_api.catalogue import read_catalogue
from query_api.export import Export, count_rows, stream_records
from query_api.problems import Problem, problem_of
from query_api.routes.export import ROWS_HEADER, read_export

_FORMATS: Final = (".jsonl", ".jsonl.gz", ".parquet")


class ExportFailed(Exception):  # noqa: N818 - reads as what it is
    """Nothing was written; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for."""

    file: Path
    subject: str = "events"
    project: str = "default"
    from_: str | None = None
    to: str | None = None
    events: tuple[str, ...] = ()
    force: bool = False

    def parameters(self) -> list[tuple[str, str]]:
        """As the API takes them."""
        given = [("subject", self.subject), *(("event", name) for name in self.events)]
        given += [
            (name, value) for name, value in (("from", self.from_), ("to", self.to)) if value is not None
        ]
        return given


def export_file(settings: Settings, wanted: Wanted) -> None:
    """ExportFailed, StoreError, HomeUnusable."""
    path = wanted.file
    if not path.name.endswith(_FORMATS):
        raise ExportFailed(f"{path}: the name must end in one of {', '.join(_FORMATS)}: it says the format")
    if path.exists() and not wanted.force:
        raise ExportFailed(f"{path} exists: --force overwrites it")
    draft = path.with_name(f"{path.name}.part")
    console = Console(highlight=False)
    ask = _from_engine if is_held(settings.home) else _from_store
    try:
        with ask(settings, wanted) as (expected, blocks):
            rows = _write(draft, path.name, blocks, expected, console)
        draft.replace(path)
    except OSError as error:
        raise ExportFailed(f"{path}: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)
    console.print(f"[bold]{rows:,} {wanted.subject}[/bold] in {path}", soft_wrap=True)


def _write(draft: Path, name: str, blocks: Iterator[bytes], expected: int, console: Console) -> int:
    columns = (
        TextColumn("{task.percentage:>3.0f} %"), BarColumn(), TextColumn("{task.completed:,.0f} rows"),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    rows = 0
    with Progress(*columns, console=console, transient=True) as bar, _opened(draft, name) as sink:
        task = bar.add_task("", total=expected)
        for block in blocks:
            sink.write(block)
            rows += block.count(b"\n")
            bar.update(task, completed=rows)
    return rows


class _Sink(Protocol):
    """Takes whole lines."""

    def write(self, lines: bytes, /) -> object: ...


@contextmanager
def _opened(draft: Path, name: str) -> Iterator[_Sink]:
    """A file that only its owner can read."""
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if name.endswith(".parquet"):
            with _ParquetSink(file) as sink:
                yield sink
        elif name.endswith(".gz"):
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as packed:
                yield packed
        else:
            yield file
        file.flush()
        os.fsync(file.fileno())


class _ParquetSink:
    """Records as rows: a column for each field, `properties` as JSON."""

    def __init__(self, file: BinaryIO) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        from footfall.importing.parquet_records import SCHEMA, rows_of

        self._rows_of = rows_of
        self._pa = pa
        self._schema = SCHEMA
        self._writer = pq.ParquetWriter(file, SCHEMA, compression="zstd")

    def __enter__(self) -> _ParquetSink:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, lines: bytes) -> None:
        self._writer.write_table(self._pa.Table.from_pylist(self._rows_of(lines), schema=self._schema))


@contextmanager
def _from_store(settings: Settings, wanted: Wanted) -> Iterator[tuple[int, Iterator[bytes]]]:
    """While Footfall is down."""
    home = hold_home(settings.home)
    try:
        with opened_workspace(settings) as workspace, opened_store(settings) as store:
            project = workspace.project(wanted.project)
            if project is None:
                names = ", ".join(each.name for each in workspace.projects())
                raise ExportFailed(f"there is no project {wanted.project!r} (there are {names})")
            asked = _read(wanted, project)
            keyed_hash = KeyedHash(read_installation_key(settings))
            blocks = stream_records(store, asked, read_catalogue(store, project.name), keyed_hash)
            rows = count_rows(store, asked)
            workspace.audit.record(COMMAND_LINE, f"export.{asked.subject}", project.name, "", {"rows": rows})
            yield rows, blocks
    finally:
        home.release()


def _read(wanted: Wanted, project: Project) -> Export:
    try:
        return read_export(QueryParams(wanted.parameters()), project, time.time_ns() // 1_000_000)
    except (ValidationError, PydanticCustomError, Problem) as error:
        raise ExportFailed(problem_of(error).detail) from None


@contextmanager
def _from_engine(settings: Settings, wanted: Wanted) -> Iterator[tuple[int, Iterator[bytes]]]:
    """While Footfall runs: it holds the store."""
    try:
        engine = LocalEngine.of(settings.home)
    except EngineUnreachable as error:
        raise ExportFailed(str(error)) from error
    connection = http.client.HTTPConnection(engine.host, engine.port, timeout=600)
    path = f"/api/v1/projects/{quote(wanted.project, safe='')}/export?{urlencode(wanted.parameters())}"
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {engine.key}"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise ExportFailed(_detail(answer.read()))
        yield int(answer.headers.get(ROWS_HEADER, "0")), _whole_lines(answer)
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise ExportFailed(
            f"the engine stopped answering ({error!r}): nothing was written, try again"
        ) from error
    finally:
        connection.close()


def _whole_lines(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """What is read, cut at the ends of lines."""
    rest = b""
    while chunk := answer.read(1 << 20):
        lines, newline, rest_of_chunk = (rest + chunk).rpartition(b"\n")
        rest = rest_of_chunk
        if newline:
            yield lines + newline
    if rest:
        raise http.client.IncompleteRead(rest)


def _detail(body: bytes) -> str:
    try:
        found: Any = json.loads(body)
        return str(found["detail"])
    except (ValueError, KeyError, TypeError):
        return body[:500].decode(errors="replace")
