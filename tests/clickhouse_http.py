"""A test server, not ClickHouse: its HTTP interface in front of chDB, in a process of its own.

It has what clickhouse-connect asks of a server: settings and `param_*` in the query string or in a form,
bodies with and without compression, any FORMAT both ways, streamed answers, the headers X-ClickHouse-Summary,
-Query-Id, -Format, -Timezone, -Exception-Code and -Exception-Tag, errors before and within an answer, and it
ends a query whose client hangs up. Without: sessions, progress headers, external tables, several users, other
protocols.

    python -m tests.clickhouse_http DIRECTORY PORT [CLUSTER]

With CLUSTER it is the one node of a cluster of that name: Distributed tables work, over its one shard. What
needs Keeper does not: ON CLUSTER is left out, Replicated tables are plain ones, nothing is waited for.

Prints its port once it answers. chDB lets one process open a directory: a second server on it must wait.
"""

from __future__ import annotations

import gzip
import os
import re
import select
import socket
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import starmap
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame
import orjson
from chdb._exceptions import ChdbError  # what its streams raise; `chdb.ChdbError` is another class

_NOT_SETTINGS = frozenset({
    "query", "database", "query_id", "session_id", "session_timeout", "session_check", "quota_key", "role",
    "user", "password", "compress", "decompress", "buffer_size", "wait_end_of_query", "default_format",
    "client_protocol_version", "stacktrace",
})  # fmt: skip
_INSERT = re.compile(rb"\s*INSERT\s+INTO\s+(?P<into>.+?)\s+FORMAT\s+(?P<format>\w+)[ \t]*\n", re.I | re.S)
_READS = re.compile(rb"\s*(SELECT|WITH|SHOW|DESC|DESCRIBE|EXPLAIN|EXISTS|CHECK|KILL|\()", re.I)
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.I)
_ABOUT_QUERIES = re.compile(r"\s*KILL\s+QUERY|.*\bsystem\.processes\b", re.I | re.S)
_BY_ID = re.compile(r"\bquery_id\s*=\s*'([^']*)'")
_CODE = re.compile(r"Code: (\d+)")
_STATUS = {516: 403, 60: 404, 81: 404, 62: 400, 36: 400, 159: 408}
_LOOK_SECONDS = 0.05


@dataclass
class _Asked:
    """One request, read."""

    sql: bytes
    parameters: dict[str, str]
    settings: dict[str, str]
    database: str
    query_id: str
    waits: bool  # for the whole answer, before any of it is sent
    accepts: str  # a compression, or ""

    @property
    def reads(self) -> bool:
        return _READS.match(self.sql) is not None

    @property
    def ends_with_client(self) -> bool:
        return self.reads and self.settings.get("cancel_http_readonly_queries_on_client_close") == "1"


class _Engine:
    """chDB; each query has a connection of its own, so that none sees another's settings."""

    def __init__(self, directory: Path, cluster: str) -> None:
        self.cluster = cluster
        self._path = str(directory / "chdb")
        if cluster:
            config = directory / "cluster.xml"
            config.write_text(_CLUSTER.replace("NAME", cluster))
            self._path += f"?config-file={config}"
        self._inbox = directory / "inbox"
        self._inbox.mkdir(parents=True, exist_ok=True)
        for file in self._inbox.iterdir():
            file.unlink()  # of an insert that was killed
        self._open = chdb.connect(self._path)  # keeps the engine up
        self._threads = ThreadPoolExecutor(64)
        self.timezone = str(self._open.query("SELECT timezone()", "TabSeparated")).strip()

    @contextmanager
    def connected(self, asked: _Asked) -> Iterator[Any]:
        connection = chdb.connect(self._path)
        try:
            if asked.database:
                connection.query(f"USE `{asked.database}`")
            if asked.settings:
                connection.query(f"SET {', '.join(starmap(_setting, asked.settings.items()))}")
            yield connection
        finally:
            connection.close()

    def insert(self, connection: Any, sql: str, data: bytes, form: str) -> Any:
        """The driver's own way to chDB: through a file."""
        with tempfile.NamedTemporaryFile(dir=self._inbox, suffix=".insert") as file:
            file.write(data)
            file.flush()
            return connection.query(f"{sql} FROM INFILE '{file.name}' FORMAT {form}", "TabSeparated")

    def kill(self, query_id: str) -> None:
        connection = chdb.connect(self._path)
        try:
            connection.query(f"KILL QUERY WHERE startsWith(query, '{_mark(query_id)}') ASYNC")
        finally:
            connection.close()

    def begin(self, work: Callable[[], Any]) -> Future[Any]:
        return self._threads.submit(work)


def _alone(sql: str) -> str:
    """What a node does by itself of a statement for a cluster."""
    if sql.startswith("SYSTEM SYNC REPLICA"):
        return "SET max_threads = DEFAULT"
    for pattern, become in _OF_CLUSTERS:
        sql = pattern.sub(become, sql)
    return sql


_OF_CLUSTERS = tuple(
    (re.compile(pattern), become)
    for pattern, become in (
        (r" ON CLUSTER `\w+`", ""),
        (r"\bReplicated(\w*MergeTree)\('[^']*', '[^']*'(?:, )?(\w*)\)", r"\1(\2)"),
        (r"\breplicated_deduplication_window = ", "non_replicated_deduplication_window = "),
        (r"system\.zookeeper WHERE path = '/'", "system.one"),
    )
)
_CLUSTER = """<clickhouse>
<tcp_port>9000</tcp_port>
<macros><shard>1</shard><replica>1</replica></macros>
<remote_servers><NAME><shard><internal_replication>true</internal_replication>
<replica><host>127.0.0.1</host><port>9000</port></replica></shard></NAME></remote_servers>
</clickhouse>"""
"""The port is no one's: it says that the shard is this very process."""


def _setting(name: str, value: str) -> str:
    if not name.isidentifier():
        raise ChdbError(f"Code: 115. DB::Exception: Unknown setting '{name}'.")
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name} = '{quoted}'"


def _mark(query_id: str) -> str:
    """chDB gives its queries ids of its own: ours stands in the text."""
    return f"/* query_id: {query_id} */"


def _by_mark(found: re.Match[str]) -> str:
    return f"startsWith(query, '{_mark(found[1])}')"


class _HungUp(Exception):  # noqa: N818 - reads as what it is
    """The client does not wait any more."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    engine: _Engine

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/ping":
            return self._send(200, b"Ok.\n", {})
        return self.do_POST()

    def do_POST(self) -> None:
        query_id = ""
        self._begun = False
        try:
            body = self._body()
            asked = self._read(body)
            query_id = asked.query_id
            with self.engine.connected(asked) as connection:
                self._answer(connection, asked)
        except (_HungUp, ConnectionError):
            self.close_connection = True
        except Exception as error:
            self._fail(str(error) or repr(error), query_id)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self._exactly(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(pieces)
        else:
            body = self._exactly(int(self.headers.get("Content-Length", 0)))
        return _decompress(body, self.headers.get("Content-Encoding", ""))

    def _exactly(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            raise _HungUp
        return data

    def _read(self, body: bytes) -> _Asked:
        values = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):
            values |= _form(body, kind)
            body = b""
        sql = values.get("query", "").encode()
        sql = sql + b"\n" + body if sql and body else sql or body
        accepted = (
            self.headers.get("Accept-Encoding", "") if values.get("enable_http_compression") == "1" else ""
        )
        return _Asked(
            sql,
            {name[6:]: value for name, value in values.items() if name.startswith("param_")},
            {
                name: value
                for name, value in values.items()
                if name not in _NOT_SETTINGS and not name.startswith("param_")
            },
            values.get("database", ""),
            values.get("query_id") or str(uuid.uuid4()),
            values.get("wait_end_of_query") == "1",
            next((one for one in ("lz4", "gzip") if one in accepted), ""),
        )

    def _answer(self, connection: Any, asked: _Asked) -> None:
        mark = _mark(asked.query_id)
        if insert := _INSERT.match(asked.sql):
            into, form = f"{mark} INSERT INTO {insert['into'].decode()}", insert["format"].decode()
            data = asked.sql[insert.end() :]
            self._whole(asked, lambda: self.engine.insert(connection, into, data, form), None)
            return
        sql = _alone(asked.sql.decode().strip()) if self.engine.cluster else asked.sql.decode()
        found = _FORMAT.search(sql)
        form = found[1] if found else "TabSeparated"
        sql = f"{mark} {_BY_ID.sub(_by_mark, sql) if _ABOUT_QUERIES.match(sql) else sql}"
        if asked.reads and form == "Native" and not asked.waits:
            self._stream(asked, lambda: connection.send_query(sql, form, asked.parameters))
        else:
            self._whole(
                asked, lambda: connection.query(sql, form, asked.parameters), form if asked.reads else None
            )

    def _whole(self, asked: _Asked, work: Callable[[], Any], form: str | None) -> None:
        result = self._wait(asked, work)
        read, wrote = (result.storage_rows_read(), result.storage_bytes_read()), result.rows_written()
        headers = self._headers(asked, form) | {"X-ClickHouse-Summary": _summary(*read, wrote)}
        body = result.bytes() or b""
        if asked.accepts:
            headers["Content-Encoding"] = asked.accepts
            body = lz4.frame.compress(body) if asked.accepts == "lz4" else gzip.compress(body, 1)
        self._send(200, body, headers)

    def _stream(self, asked: _Asked, work: Callable[[], Any]) -> None:
        """Chunk by chunk, not compressed: a server may choose that."""
        chunks = self._wait(asked, work)
        try:
            chunk = self._wait(asked, lambda: next(chunks, None))  # what fails before it has its own status
            self._begun, tag = True, uuid.uuid4().hex[:16]
            self.send_response(200)
            told = {"X-ClickHouse-Summary": _summary(0, 0, 0), "X-ClickHouse-Exception-Tag": tag}
            for name, value in (self._headers(asked, "Native") | told).items():
                self.send_header(name, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                while chunk is not None:
                    self._chunk(chunk.bytes())
                    chunk = self._wait(asked, lambda: next(chunks, None))
            except ChdbError as error:
                self._chunk(_within(_plain(str(error)), tag))
            self.wfile.write(b"0\r\n\r\n")
        finally:
            chunks.close()

    def _wait(self, asked: _Asked, work: Callable[[], Any]) -> Any:
        """What the engine gives; _HungUp when the client of a query does not wait for it any more."""
        future = self.engine.begin(work)
        while True:
            wait([future], _LOOK_SECONDS)
            if future.done():
                return future.result()
            if asked.ends_with_client and self._is_hung_up():
                while not future.done():  # one that has not begun yet would not be found
                    self.engine.kill(asked.query_id)
                    wait([future], 0.2)
                raise _HungUp

    def _is_hung_up(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except ConnectionError:
            return True

    def _headers(self, asked: _Asked, form: str | None) -> dict[str, str]:
        headers = {"X-ClickHouse-Query-Id": asked.query_id, "X-ClickHouse-Timezone": self.engine.timezone}
        return headers if form is None else headers | {"X-ClickHouse-Format": form}

    def _fail(self, message: str, query_id: str) -> None:
        if self._begun:
            self.close_connection = True  # a cut answer: there is no other way to say it now
            return
        message = _plain(message)
        found = _CODE.search(message)
        code = int(found[1]) if found else 1001
        headers = {"X-ClickHouse-Exception-Code": str(code), "X-ClickHouse-Query-Id": query_id}
        self._send(_STATUS.get(code, 500), f"{message}\n".encode(), headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _chunk(self, data: bytes) -> None:
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Says nothing."""


def _plain(message: str) -> str:
    """From the engine's own words on."""
    start = message.find("Code: ")
    return message[start:].strip() if start > 0 else message.strip()


def _within(message: str, tag: str) -> bytes:
    """As servers since 25.11 say in the middle of an answer that it failed."""
    text = f"{message}\n".encode()
    return b"\r\n__exception__\r\n%s\r\n%s%d %s\r\n__exception__\r\n" % (
        tag.encode(), text, len(text), tag.encode(),
    )  # fmt: skip


def _summary(rows: int, size: int, written: int) -> str:
    counts = {"read_rows": rows, "read_bytes": size, "written_rows": written}
    return orjson.dumps({name: str(count) for name, count in counts.items()}).decode()


def _decompress(body: bytes, encoding: str) -> bytes:
    if encoding == "lz4":
        return bytes(lz4.frame.decompress(body))
    return gzip.decompress(body) if encoding == "gzip" else body


def _form(body: bytes, kind: str) -> dict[str, str]:
    """The fields of a form; files are not among them."""
    boundary = b"--" + kind.partition("boundary=")[2].strip('"').encode()
    found = {}
    for part in body.split(boundary)[1:-1]:
        head, _, value = part[2:-2].partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        if name:
            found[name[1].decode()] = value.decode()
    return found


def _end_with_parent() -> None:
    """Whoever started this holds its standard input, and is gone when that ends."""
    sys.stdin.buffer.read()
    os._exit(0)


def main(directory: Path, port: int, cluster: str = "") -> None:
    class Handler(_Handler):
        engine = _Engine(directory, cluster)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

    server = Server(("127.0.0.1", port), Handler)
    print(server.server_address[1], flush=True)
    Thread(target=_end_with_parent, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:4])
