"""The one path of every query: key, spec, project, catalogue, cache, limits, comparison, explanation.

Everything here blocks and runs in a thread: at the desk what is quick, else in the gate, with a ticket.
Nothing but an analysis knows what it computes.
"""

from __future__ import annotations

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from pydantic_core import PydanticCustomError

from footfall.eventlog.log import Log
from footfall.storage.store import Store
from footfall.workspace import Grant
from footfall.workspace.projects import Project
from query_api.access import Access
from query_api.advice import (
    check_patterns,
    check_spans,
    used_virtual_events,
    warn_of_retired,
    warn_of_unknown_names,
)
from query_api.analyses.analysis import Analysis, Page
from query_api.analyses.funnel import FUNNEL
from query_api.analyses.paths import PATHS
from query_api.analyses.retention import RETENTION
from query_api.analyses.trends import TRENDS
from query_api.answer_cache import AnswerCache, Computed
from query_api.answers import instant
from query_api.body import read_json
from query_api.buckets import Calendar, Period, WeekStart
from query_api.catalogue import Catalogues
from query_api.ids_at_rest import IdAtRest, spec_with_ids_at_rest
from query_api.options import QueryOptions
from query_api.people import describe_people
from query_api.problems import Fault, InvalidQuery, TooExpensive, fault_of, field_path, refused
from query_api.retired import Retired
from query_api.scope import Scope
from query_api.small_cells import answering, check_spec, warning
from query_api.spec.conditions import Leaf
from query_api.spec.query import QuerySpec, UsersFields
from query_api.spec.selector import Selector
from query_api.spec.virtual_event import VirtualEvent
from query_api.store_reader import StoreReader
from query_api.ticket import Ticket
from query_api.virtual_events import read_virtual_events
from query_api.walk import walk

ANALYSES: Mapping[str, Analysis] = {
    "trends": TRENDS,
    "funnel": FUNNEL,
    "retention": RETENTION,
    "paths": PATHS,
}
"""Every analysis by the name in its URL."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that may run: the caller may ask this of this project."""

    name: str
    analysis: Analysis
    spec: Any
    project: Project
    virtual_events: Mapping[str, VirtualEvent]  # the project's, by name
    grant: Grant


@dataclass(frozen=True, slots=True)
class Asked:
    """A request at an instant: what its answer depends on is pinned. Times are epoch milliseconds."""

    prepared: Prepared
    periods: tuple[Period, ...]
    now: int
    data_until: int
    key: str  # equal for requests with equal answers
    started: float  # perf_counter


class Queries:
    """Answers queries. Safe to use from several threads."""

    def __init__(
        self,
        store: Store,
        access: Access,
        log: Log,
        *,
        at_rest: IdAtRest,
        data_until: Callable[[], int],
        clock: Callable[[], int],
        options: QueryOptions,
    ) -> None:
        """`clock` and `data_until` give epoch milliseconds; `log` tells what is processed, for the cache."""
        self._store = store
        self._access = access
        self._at_rest = at_rest
        self._log = log
        self._data_until = data_until
        self._clock = clock
        self._options = options
        self._cache = AnswerCache(options.cached_answers, options.cached_bytes)
        self._catalogues = Catalogues(store)
        self._retired = Retired(store, refresh_seconds=options.retired_seconds)

    def prepare(self, name: str, body: bytes, authorization: str | None, *, users: bool = False) -> Prepared:
        """Checks key, body and project, in this order."""
        grant = self._access.grant(authorization, hides_small_cells=not users)
        analysis = ANALYSES[name]
        given = read_json(body)
        if not isinstance(given, dict):
            raise InvalidQuery("the body is a JSON object", code="invalid_value")
        form = analysis.users_spec if users else analysis.spec
        spec = form.model_validate(given)
        if grant.min_cell is not None:
            check_spec(spec, grant.min_cell)
        project = self._access.project(grant, spec.project)
        rewritten = spec_with_ids_at_rest(given, lambda id_: self._at_rest(project.name, id_))
        if rewritten != given:
            spec = form.model_validate(rewritten)
        virtual = read_virtual_events(self._access.workspace, project.name)
        return Prepared(name, analysis, spec, project, virtual, grant)

    def ask(self, prepared: Prepared) -> Asked:
        """The request, now."""
        started = time.perf_counter()
        # In this order: what is processed in between is in the answer and not yet promised.
        data_until, version, now = self._data_until(), self._version(), self._clock()
        periods = _periods(prepared.spec, _calendar(prepared.spec, prepared.project), now)
        retired = self._retired.version()
        self._cache.keep_only(retired)
        key = _cache_key(prepared, periods, now, (version, retired))
        return Asked(prepared, periods, now, data_until, key, started)

    def known(self, asked: Asked) -> Computed | None:
        """The answer, if it was computed before and would be the same now."""
        return None if asked.prepared.spec.refresh else self._cache.get(asked.key, asked.now)

    def compute(self, asked: Asked, ticket: Ticket | None = None) -> Computed:
        """The answer, which is kept."""
        reader = StoreReader(self._store, self._options.limits, ticket)
        with _saying_what_to_narrow(asked.prepared.spec), reader.within_budget():
            computed = self._compute(asked, reader)
        self._cache.put(asked.key, computed)
        return computed

    def show(self, asked: Asked, computed: Computed, *, cached: bool) -> dict[str, Any]:
        """`{"result", "comparison", "meta"}`."""
        meta = self._meta(asked, computed, cached=cached)
        return {"result": computed.result, "comparison": computed.comparison, "meta": meta}

    def answer(self, prepared: Prepared) -> dict[str, Any]:
        """All of it at once, for callers without a gate."""
        asked = self.ask(prepared)
        computed = self.known(asked)
        if computed is not None:
            return self.show(asked, computed, cached=True)
        return self.show(asked, self.compute(asked), cached=False)

    def people(self, prepared: Prepared, ticket: Ticket | None = None) -> dict[str, Any]:
        """`{"users": [...], "total", "next_cursor", "meta"}`."""
        asked = self.ask(prepared)
        reader = StoreReader(self._store, self._options.limits, ticket)
        with _saying_what_to_narrow(prepared.spec), reader.within_budget():
            return self._people(asked, reader)

    def _people(self, asked: Asked, reader: StoreReader) -> dict[str, Any]:
        prepared, spec = asked.prepared, asked.prepared.spec
        scope = self._scope(prepared, asked.periods, asked.now, reader)
        page = Page(_read_cursor(spec.cursor), spec.limit)
        keys, total = prepared.analysis.select_people(spec, scope, reader, page)
        people = describe_people(reader, prepared.project, scope.catalogue, keys, spec.properties)
        computed = Computed(None, None, reader.rows_read, reader.bytes_read, tuple(reader.warnings))
        project = prepared.project.name
        asked_for = self._access.hashed(project, repr((prepared.name, spec)))
        self._access.record(
            prepared.grant, f"users.{prepared.name}", project, rows=len(people), query=asked_for
        )
        return {
            "users": people,
            "total": total,
            "next_cursor": _write_cursor(keys[-1]) if len(keys) == spec.limit and keys else None,
            "meta": self._meta(asked, computed, cached=False),
        }

    def explain(self, prepared: Prepared) -> dict[str, Any]:
        """`{"analysis", "queries": [{"purpose", "sql", "parameters"}], "notes"}`: none of them is run."""
        now = self._clock()
        reader = StoreReader(self._store, self._options.limits)
        periods = _periods(prepared.spec, _calendar(prepared.spec, prepared.project), now)
        scope = self._scope(prepared, periods, now, reader)
        queries = [
            {"purpose": purpose, "sql": query.sql, "parameters": dict(query.parameters)}
            for purpose, query in prepared.analysis.explain(prepared.spec, scope)
        ]
        notes = []
        if prepared.analysis.scanned:
            notes.append(
                "The rows are streamed into the query process, which scans each actor's events there."
            )
        if prepared.spec.compare is not None:
            notes.append("The comparison runs the same queries over its own period.")
        return {"analysis": prepared.name, "queries": queries, "notes": notes + reader.warnings}

    def _compute(self, asked: Asked, reader: StoreReader) -> Computed:
        prepared, periods = asked.prepared, asked.periods
        scope = self._scope(prepared, periods, asked.now, reader)
        answer = answering(prepared.analysis, prepared.grant.min_cell)
        result = answer(prepared.spec, scope, reader)
        comparison, scopes = None, [scope]
        if len(periods) > 1:
            scopes.append(replace(scope, period=periods[1]))
            reader.check()
            comparison = answer(prepared.spec, scopes[1], reader)
        changes = [prepared.analysis.changes_at(prepared.spec, each) for each in scopes]
        return Computed(
            result,
            comparison,
            reader.rows_read,
            reader.bytes_read,
            tuple(reader.warnings),
            changes_at=min((change for change in changes if change is not None), default=None),
        )

    def _scope(self, prepared: Prepared, periods: tuple[Period, ...], now: int, reader: StoreReader) -> Scope:
        spec, project = prepared.spec, prepared.project
        check_patterns(spec, reader)
        check_spans(spec, Calendar(ZoneInfo(project.timezone)), now)
        catalogue = self._catalogues.read(project.name, self._version())
        warn_of_unknown_names(spec, catalogue, prepared.virtual_events, reader)
        warn_of_retired(project, min(period.start for period in periods), self._retired, reader)
        return Scope(
            project=project.name,
            period=periods[0],
            periods=periods,
            calendar=_calendar(spec, project),
            project_calendar=Calendar(ZoneInfo(project.timezone)),
            catalogue=catalogue,
            now=now,
            where=spec.where,
            actor=None if isinstance(spec.actor, str) else spec.actor,
            sample=spec.sample,
            virtual_events=prepared.virtual_events,
        )

    def _meta(self, asked: Asked, computed: Computed, *, cached: bool) -> dict[str, Any]:
        prepared, sample = asked.prepared, asked.prepared.spec.sample
        k = prepared.grant.min_cell
        return {
            "elapsed_ms": round((time.perf_counter() - asked.started) * 1000, 3),
            # To the row, they would be a count that nothing hides.
            "rows_read": computed.rows_read if k is None else None,
            "bytes_read": computed.bytes_read if k is None else None,
            "data_until": instant(asked.data_until),
            "cached": cached,
            "sample": None if sample is None else float(sample),
            "timezone": prepared.spec.timezone or prepared.project.timezone,
            "warnings": [*computed.warnings, *([] if k is None else [warning(k)])],
            **({} if k is None else {"min_cell": k}),
        }

    def _version(self) -> tuple[tuple[int, int], ...]:
        """How far each partition of the log is in the store: answers can only change when this does."""
        return tuple((part, position.committed) for part, position in self._log.positions().items())


def _cache_key(prepared: Prepared, periods: tuple[Period, ...], now: int, version: object) -> str:
    virtual = used_virtual_events(prepared.spec, prepared.virtual_events)
    leaves = (model for part in (prepared.spec, *virtual.values()) for _, model in walk(part))
    relative = any(isinstance(model, Leaf) and model.op == "within_last" for model in leaves)
    spec = prepared.spec.model_dump(exclude={"refresh", "range", "compare"})
    # repr, not JSON: it tells the number 1.5 from the text "1.5".
    seen = (prepared.project, prepared.grant.min_cell)
    return repr((prepared.name, spec, virtual, seen, periods, now if relative else None, version))


@contextmanager
def _saying_what_to_narrow(spec: QuerySpec) -> Iterator[None]:
    """A query over its budget is told which of its fields would make it cheaper."""
    try:
        yield
    except TooExpensive as problem:
        problem.narrow = tuple(_narrowable(spec))
        raise


def _narrowable(spec: QuerySpec) -> Iterator[str]:
    yield "range"
    if spec.compare is not None:
        yield "compare"
    for path, model in walk(spec):
        if isinstance(model, Selector) and model.event is None:
            yield field_path((*path, "event"))
    if getattr(spec, "breakdown", None):
        yield "breakdown"
    if spec.sample is None and not isinstance(spec, UsersFields):
        yield "sample"


def _calendar(spec: QuerySpec, project: Project) -> Calendar:
    week_start: WeekStart = "sunday" if (spec.week_start or project.week_start) == "sunday" else "monday"
    return Calendar(ZoneInfo(spec.timezone or project.timezone), week_start)


def _periods(spec: QuerySpec, calendar: Calendar, now: int) -> tuple[Period, ...]:
    """The query's period, and its comparison's."""
    field = "range"
    try:
        period = calendar.period(spec.range, now)
        if spec.compare is None:
            return (period,)
        field = "compare"
        return period, calendar.compared(spec.range, spec.compare, now)
    except PydanticCustomError as error:
        raise refused([fault_of(error, field)]) from None


def _write_cursor(after: int) -> str:
    return urlsafe_b64encode(after.to_bytes(8, "big")).decode().rstrip("=")


def _read_cursor(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    except ValueError:
        raw = b""
    if len(raw) != 8:
        raise refused(
            [Fault("cursor", "invalid_value", "give next_cursor as it came, or leave it out", cursor)]
        )
    return int.from_bytes(raw, "big")
