"""A small world for tests of the query API: rows straight in the store, and an app before them.

Events are written as the processor would write them, without it: a test says what is in the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson

from footfall.eventlog.log import Tally
from footfall.eventlog.opening import open_log
from footfall.events.identity import Binding, ResolutionRules
from footfall.events.keys import NOBODY, KeyedHash
from footfall.events.nobody import identifies_nobody
from footfall.events.persons import resolve
from footfall.storage.columns import PROPERTY_COLUMNS
from footfall.storage.event_rows import Coded, EventRows, Sparse, build_events_table
from footfall.storage.rows import (
    BindingRow,
    EventNameRow,
    OverrideRow,
    ProfileRow,
    PropertyRow,
    TypeConflictRow,
    build_table,
)
from footfall.treatment.policy import Policies
from footfall.workspace import open_workspace
from footfall.workspace.projects import Project
from query_api.app import build_app
from query_api.options import QueryOptions

SECRET = "ff_sk_" + "5" * 40
WRITE = "ff_wk_" + "5" * 40
NOW = 1_796_000_000_000  # 2026-11-30T00:53:20Z
_tokens = count(1)


@dataclass(frozen=True)
class Event:
    """What a client sent, as it ends up in a row; `time` is ISO 8601 with an offset, or epoch ms."""

    event: str
    user: str
    time: str | int
    properties: Mapping[str, Any] = field(default_factory=dict)
    type: str = "track"
    seq: int = 0

    @property
    def ms(self) -> int:
        if isinstance(self.time, int):
            return self.time
        return round(datetime.fromisoformat(self.time).timestamp() * 1000)


class World:
    """One project in the shared store."""

    def __init__(
        self,
        store: Any,  # a Store, or what stands before one
        project: str,
        directory: Path,
        *,
        options: QueryOptions | None = None,
    ) -> None:
        self.store = store
        self.project = project
        self.keyed_hash = KeyedHash(b"k" * 32)
        self.workspace = open_workspace(
            f"sqlite:///{directory}/{project}.db", lambda: b"k" * 32, clock=lambda: self.now
        )
        self.workspace.bootstrap(WRITE, SECRET)
        self.keys = self.workspace.create_project(Project(project, "Asia/Shanghai"))
        self.log = open_log("memory://", max_bytes=1 << 24)
        self._writer = self.log.open_writer(0)
        self.now = NOW
        self.types: dict[tuple[str, str], str] = {}
        self.app = build_app(
            store,
            self.workspace,
            self.log,
            lambda: self.now,
            self.keyed_hash,
            policy_of=Policies(self.workspace, b"k" * 32),
            clock=lambda: self.now,
            options=options,
        )
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://test",
            headers={"Authorization": f"Bearer {SECRET}"},
        )

    def close(self) -> None:
        """Ends the app's threads, each of which keeps three descriptors of the engine's, and the files."""

        async def end() -> None:
            async with self.app.router.lifespan_context(self.app):
                await self.client.aclose()

        asyncio.run(end())
        self.log.close()
        self.workspace.close()

    def metrics(self) -> str:
        """What Prometheus reads."""

        async def read() -> str:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return (await client.get("/metrics")).text

        return asyncio.run(read())

    def key(self, distinct_id: str) -> int:
        if identifies_nobody(distinct_id):
            return NOBODY
        return self.keyed_hash.id_key(self.project, distinct_id)

    def put(self, *events: Event, bindings: Mapping[str, str] | None = None, committed: bool = True) -> None:
        """Stores events; those of ids in `bindings` are stamped with the login at once."""
        logins = bindings or {}
        columns: dict[str, dict[int, Any]] = {}
        tail: dict[str, dict[int, str]] = {}
        conflicts: list[TypeConflictRow] = []
        for row, event in enumerate(events):
            for name, value in event.properties.items():
                self._place(name, value, row, columns, tail, conflicts)
        ids = [self.key(event.user) for event in events]
        persons = [
            self.key(logins[event.user]) if event.user in logins else self.key(event.user) for event in events
        ]
        table = build_events_table(
            EventRows(
                project=Coded([self.project], np.zeros(len(events), np.int32)),
                event=[event.event for event in events],
                type=[event.type for event in events],
                time=np.array([event.ms for event in events], np.int64),
                user_key=np.array(persons, np.uint64),
                alias_key=np.array(
                    [0 if a == b else a for a, b in zip(ids, persons, strict=True)], np.uint64
                ),
                seq=[event.seq for event in events],
                event_key=[next(_tokens) for _ in events],
                distinct_id=[event.user for event in events],
                anonymous_id=[""] * len(events),
                login_id=[""] * len(events),
                received_at=np.array([event.ms for event in events], np.int64),
                door=Coded(["native"], np.zeros(len(events), np.int32)),
                log_partition=0,
                log_offset=[next(_tokens) for _ in events],
                columns={name: _sparse(values) for name, values in columns.items()},
                tail=[(name, _sparse(values)) for name, values in tail.items()],
            )
        )
        self._insert("events", table)
        self._insert(
            "event_catalogue",
            build_table([EventNameRow(self.project, e.event, e.type, 1, e.ms, e.ms) for e in events]),
        )
        self._insert_types("event")
        if conflicts:
            self._insert("type_conflicts", build_table(conflicts))
        if committed:
            self.commit()

    def put_profiles(self, profiles: Mapping[str, Mapping[str, Any]], *, version: int = 1) -> None:
        """Profiles by the person's id."""
        rows = []
        for user, properties in profiles.items():
            texts = {}
            for name, value in properties.items():
                type_, texts[name] = _type_and_text(value)
                self.types.setdefault(("user", name), type_)
            rows.append(ProfileRow(self.project, self.key(user), user, texts, False, version))
        self._insert("profiles", build_table(rows))
        self._insert_types("user")
        self.commit()

    def bind(self, bindings: Mapping[str, str]) -> None:
        """Anonymous id -> login, after their events: overrides."""
        rows = [
            BindingRow(
                self.project,
                self.key(a),
                self.key(b),
                a,
                b,
                next(_tokens),
                0,
                next(_tokens),
                False,
                0,
                next(_tokens),
            )
            for a, b in bindings.items()
        ]
        self._insert("bindings", build_table(rows))
        claims = [
            Binding(r.anonymous_key, r.login_key, r.trusted, r.received_at, r.seq, r.event_key) for r in rows
        ]
        moved = resolve(claims, ResolutionRules())
        if moved:
            overrides = [OverrideRow(key, person, next(_tokens)) for key, person in moved.items()]
            self._insert("overrides", build_table(overrides))
            self.store.command("SYSTEM RELOAD DICTIONARY overrides_map")
        self.commit()

    async def post(self, path: str, body: Any, *, status: int = 200, **headers: str) -> Any:
        """POSTs JSON; the answer's JSON, with decimals as Decimal."""
        if isinstance(body, dict) and "project" not in body and "/query/" in path:
            body = {"project": self.project, **body}
        response = await self.client.post(path, content=orjson.dumps(body), headers=headers)
        assert response.status_code == status, response.text
        return response.json(parse_float=Decimal)

    async def trends(self, body: dict[str, Any]) -> Any:
        return (await self.post("/api/v1/query/trends", body))["result"]

    async def funnel(self, body: dict[str, Any]) -> Any:
        return (await self.post("/api/v1/query/funnel", body))["result"]

    async def get(self, path: str, *, status: int = 200, **headers: str) -> Any:
        response = await self.client.get(path, headers=headers)
        assert response.status_code == status, response.text
        return response.json(parse_float=Decimal)

    def _place(
        self,
        name: str,
        value: Any,
        row: int,
        columns: dict[str, dict[int, Any]],
        tail: dict[str, dict[int, str]],
        conflicts: list[TypeConflictRow],
    ) -> None:
        type_, text = _type_and_text(value)
        column = PROPERTY_COLUMNS.get(name)
        known = column.type if column else self.types.setdefault(("event", name), type_)
        if column is not None:
            self.types.setdefault(("event", name), column.type)
        fits = type_ == known or (known in ("number", "decimal") and type_ == "number")
        if not fits:
            conflicts.append(TypeConflictRow(self.project, "event", name, type_, 1))
        if column is not None and fits:
            columns.setdefault(name, {})[row] = Decimal(text) if known == "decimal" else value
        else:
            tail.setdefault(name, {})[row] = text

    def _insert_types(self, source: str) -> None:
        rows = [
            PropertyRow(self.project, source, name, type_, 1, 0, 0, 0)
            for (of, name), type_ in self.types.items()
            if of == source
        ]
        if rows:
            self._insert("property_catalogue", build_table(rows))

    def commit(self) -> None:
        """Something was processed: answers and catalogues that were kept may be old."""
        offset = self._writer.append(b"{}", Tally(self.project, "native", 0, 0)).result()
        self.log.commit(0, offset + 1)

    def _insert(self, table: str, rows: Any) -> None:
        self.store.insert(table, rows, f"world:{next(_tokens)}")


def _sparse(values: Mapping[int, Any]) -> Sparse:
    return Sparse(np.array(list(values), np.int32), list(values.values()))


def _type_and_text(value: Any) -> tuple[str, str]:
    match value:
        case bool():
            return "boolean", "true" if value else "false"
        case int() | float() | Decimal():
            return "number", str(value)
        case list():
            return "list", orjson.dumps(value).decode()
        case str() if len(value) == 23 and value[4] == "-" and value[13] == ":":
            return "datetime", value
        case _:
            return "string", str(value)


def keys_of(entries: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The groups' keys of an answer."""
    return [entry["key"] for entry in entries]
