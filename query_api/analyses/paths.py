"""paths: what do they do, step by step, from where to where?

Unit of observation: the session of an actor, by default of the person after all merges: their selected
events in order, cut where nothing happens for `session_gap_seconds`, or by a property's value. A node is an
event's name or a property's value, cleaned and grouped; its place in the session is part of it
(`2_fund_list`). Denominators: none; `count` and `sessions` count sessions, `users` actors, each once however
many of their sessions go that way. Edge rules: events at one instant are taken in the client's order within
its request, then by event id; the range cuts sessions; a path ends at `max_steps`, so what is its last node
there counts as an exit. What it does not answer: which share of those who set out arrived (a funnel does).

The SQL only filters and projects: actor, time, what orders ties, the hash of the node's name. query_api.scan
walks each actor's events. Names become labels once each: a second query streams, in the labels' order, which
label each name has; a third reads the texts of the few that the answer shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from query_api.analyses.analysis import Analysis, Explained, Page, People, read_persons
from query_api.analyses.paths_figures import keep_heaviest, result_of
from query_api.problems import Busy, TooExpensive
from query_api.scan import (
    MAX_NAMES,
    Cell,
    Labels,
    PathBlock,
    PathsPlan,
    TooManyNames,
    find_actors,
    scan_paths,
)
from query_api.scope import Scope
from query_api.spec.paths import NodeId, PathsSpec, PathsUsersSpec
from query_api.sql.events import PERSON, TIME, EventSql
from query_api.sql.node_names import MIDDLE, NodeNameSql, hash_of, point_names
from query_api.store_reader import StoreReader

MAX_KNOWN = 5_000
_TRIES = 3
_START, _END, _MIDDLE, _SOURCE, _TARGET = (1 << bit for bit in range(5))

# ------------------------------------------------------------------------------------------- SQL


def rows_sql(names: NodeNameSql) -> str:
    """What the scanner reads: actor, ms, the order of ties, the name's hash and, if told, the session's."""
    sql, spec = names.sql, names.spec
    columns = [f"{sql.actor} AS actor", f"{TIME} AS ms", "seq", "event_key", f"{names.hash()} AS name"]
    if spec.session is not None:
        value = sql.property(spec.session.property)
        session = hash_of(f"ifNull({value.canonical}, '')")
        columns.append(f"CAST(if({value.present}, {session}, 0), 'UInt64') AS session")
    return f"SELECT {_joined(',', columns)}\n{_rows(names)}"


def labels_sql(names: NodeNameSql, cell: Sequence[NodeId] = ()) -> str:
    """Each name's hash, its label's, and what the label is for, a bit each; in the order of the labels."""
    spec, parameters = names.spec, names.sql.parameters
    meant = [point_names(spec.start), point_names(spec.end), [MIDDLE], *([node.name] for node in cell)]
    bits = [
        f"if(label IN {parameters.one_of(texts)}, {1 << bit}, 0)" for bit, texts in enumerate(meant) if texts
    ]
    middle = parameters.text(MIDDLE)
    return f"""SELECT {hash_of("name")} AS name_hash, {hash_of("label")} AS label_hash,
    toUInt8({" + ".join(bits)}) AS role
FROM (
    {_labels(names)}
    UNION ALL
    SELECT {middle} AS name, {middle} AS label
)
ORDER BY label"""


def texts_sql(names: NodeNameSql, hashes: Sequence[int]) -> str:
    """The texts of labels by their hashes."""
    return f"""SELECT {hash_of("label")} AS label_hash, any(label) AS text
FROM (
    {_labels(names)}
)
WHERE label_hash IN {names.sql.parameters.keys(hashes)}
GROUP BY label_hash"""


def people_sql(names: NodeNameSql, actors: Sequence[int]) -> str:
    """The persons behind actors that are no persons."""
    keys = names.sql.parameters.keys(actors)
    return (
        f"SELECT DISTINCT {PERSON} AS person\n{_rows(names, f'person != 0 AND {names.sql.actor} IN {keys}')}"
    )


def _labels(names: NodeNameSql) -> str:
    """A row a different name, with its label; names of events are known without reading rows."""
    if names.known is not None:
        known = names.sql.parameters.texts(names.known)
        return (
            f"SELECT name, toString({names.label('name')}) AS label FROM (SELECT arrayJoin({known}) AS name)"
        )
    rows = _rows(names).replace("\n", "\n        ")
    return f"""SELECT name, toString({names.label("name")}) AS label FROM (
        SELECT DISTINCT toString({names.name()}) AS name
        {rows}
    )"""


def _rows(names: NodeNameSql, *also: str) -> str:
    """FROM and WHERE of the selected events."""
    sql, selectors, period = names.sql, names.spec.selectors, names.sql.scope.period
    tests = [sql.reads(selectors, period)]
    if any(sql.narrows(selector) for selector in selectors):
        tests.append(f"({' OR '.join(sql.selects(selector) for selector in selectors)})")
    return f"FROM {sql.source(selectors, period)}\nWHERE {_joined(' AND', [*tests, *also])}"


def _joined(separator: str, parts: Sequence[str]) -> str:
    return f"{separator}\n    ".join(parts)


# ----------------------------------------------------------------------------------------- result


class NamesMovedError(Exception):
    """A name that was there when the rows were read has gone before its label was read."""


@dataclass(frozen=True, slots=True)
class Names:
    """The labels of a query's names. Their codes are in the order of their texts."""

    labels: Labels
    hashes: NDArray[np.uint64]  # by label
    roles: NDArray[np.uint8]  # by label

    def code_for(self, role: int) -> int | None:
        """The label that is for something."""
        codes = np.flatnonzero(self.roles & role)
        return int(codes[0]) if len(codes) else None


def read_names(
    sql: NodeNameSql, reader: StoreReader, scanned: NDArray[np.uint64], cell: Sequence[NodeId] = ()
) -> Names:
    """What the scanned names mean, from their hashes by code. Raises NamesMovedError."""
    blocks = list(reader.stream(sql.sql.parameters.query(labels_sql(sql, cell))))
    names, labels, roles = (np.concatenate(column) for column in zip(*blocks, strict=True))
    is_first = np.concatenate([np.ones(1, np.bool_), labels[1:] != labels[:-1]])
    codes = (np.cumsum(is_first) - 1).astype(np.uint32)
    order = np.argsort(names)
    places = np.minimum(np.searchsorted(names[order], scanned), len(names) - 1)
    if (names[order][places] != scanned).any():
        raise NamesMovedError
    roles = roles[is_first]
    middle = int(np.flatnonzero(roles & _MIDDLE)[0])
    of_names = codes[order][places]
    of_labels = Labels(of_names, (roles & _START) > 0, (roles & _END) > 0, middle)
    return Names(of_labels, labels[is_first], roles)


def read_texts(sql: NodeNameSql, reader: StoreReader, names: Names, codes: Sequence[int]) -> dict[int, str]:
    """The texts of some labels by code. Raises NamesMovedError."""
    hashes = {int(names.hashes[code]): code for code in codes}
    found: dict[int, str] = {names.labels.middle: MIDDLE}
    for hash_, text in reader.rows(sql.sql.parameters.query(texts_sql(sql, list(hashes)))).rows:
        found[hashes[hash_]] = text
    if not set(codes) <= set(found):
        raise NamesMovedError
    return found


def _read_blocks(sql: NodeNameSql, reader: StoreReader) -> Iterator[PathBlock]:
    return reader.stream(sql.sql.parameters.query(rows_sql(sql)))


def _plan(spec: PathsSpec) -> PathsPlan:
    return PathsPlan(
        gap_ms=spec.session_gap_seconds * 1_000,
        max_steps=spec.max_steps,
        by_session=spec.session is not None,
        collapse=spec.collapse,
        with_start=spec.start is not None,
        with_end=spec.end is not None,
    )


T = TypeVar("T")


def _asked(spec: PathsSpec, scope: Scope, ask: Callable[[NodeNameSql], T]) -> T:
    """An answer by names or, where there are too many and cleaning makes them fewer, by labels.

    By labels each row's name is cleaned. Where rows go away meanwhile, it is asked again.
    """
    by_label, known = False, _known_names(spec, scope)
    for _ in range(_TRIES):
        try:
            return ask(NodeNameSql(EventSql(scope), spec, by_label, known))
        except NamesMovedError:
            known = None
        except TooManyNames:
            if by_label or not (spec.clean or spec.groups):
                break
            by_label = True
    else:
        raise Busy("events are being removed at the moment")
    raise TooExpensive(
        f"the nodes have more than {MAX_NAMES:,} different names: clean or group them, or read fewer events"
    )


def _known_names(spec: PathsSpec, scope: Scope) -> tuple[str, ...] | None:
    """All names that nodes can have, where nodes are events, as of when the catalogue was read."""
    events = scope.catalogue.events
    return tuple(sorted(events)) if spec.node is None and 0 < len(events) <= MAX_KNOWN else None


def answer(spec: PathsSpec, scope: Scope, reader: StoreReader) -> dict[str, Any]:
    """`{"nodes", "links", "sessions", "other"}`."""

    def ask(sql: NodeNameSql) -> dict[str, Any]:
        read: list[Names] = []

        def read_labels(scanned: NDArray[np.uint64]) -> Labels:
            read.append(read_names(sql, reader, scanned))
            return read[0].labels

        scan = scan_paths(
            _read_blocks(sql, reader),
            _plan(spec),
            read_labels,
            memory_bytes=reader.memory_bytes,
            threads=reader.threads,
        )
        _warn_of_points(spec, scope, read[0].labels, reader)
        kept = keep_heaviest(scan, spec, scope, reader)
        return result_of(scan, kept, scope, read_texts(sql, reader, read[0], kept.labels(scan)))

    return _asked(spec, scope, ask)


def _warn_of_points(spec: PathsSpec, scope: Scope, labels: Labels, reader: StoreReader) -> None:
    """Says which point is no node at all, so that no session has it."""
    for field, name, meant in (("start", spec.start, labels.starts), ("end", spec.end, labels.ends)):
        if name is not None and not meant.any():
            unknown = scope.catalogue.unknown_event(name) if spec.node is None else None
            reader.warn(f"{field}: {unknown or f'no node is called {name!r} here'}")


# -------------------------------------------------------------------------------------------- who


def select_people(spec: PathsUsersSpec, scope: Scope, reader: StoreReader, page: Page) -> People:
    """The persons behind a cell: found by the same walk."""
    cell = spec.cell
    nodes = [node for node in (cell.node, cell.source, cell.target) if node is not None]

    def ask(sql: NodeNameSql) -> NDArray[np.uint64]:
        def read_cell(scanned: NDArray[np.uint64]) -> tuple[Labels, Cell | None]:
            names = read_names(sql, reader, scanned, nodes)
            codes = [names.code_for(role) for role, _ in zip((_SOURCE, _TARGET), nodes, strict=False)]
            if codes[0] is None or codes[-1] is None:
                return names.labels, None
            target = codes[1] if len(codes) > 1 else None
            return names.labels, Cell(nodes[0].step, codes[0], target, cell.outcome or "reached")

        actors = find_actors(
            _read_blocks(sql, reader),
            _plan(spec),
            read_cell,
            memory_bytes=reader.memory_bytes,
            threads=reader.threads,
        )
        if scope.actor is None:
            return actors
        return read_persons(reader, actors, lambda keys: sql.sql.parameters.query(people_sql(sql, keys)))

    return People.on_page(_asked(spec, scope, ask), page)


def explain(spec: PathsSpec, scope: Scope) -> list[Explained]:
    """The query that feeds the scanner, and those that name the nodes."""
    names = NodeNameSql(EventSql(scope), spec, known=_known_names(spec, scope))
    query = names.sql.parameters.query
    return [
        Explained("the rows that are scanned", query(rows_sql(names))),
        Explained(
            "the nodes' labels by their hashes, once for each different name", query(labels_sql(names))
        ),
        Explained("the texts of the labels that the answer shows", query(texts_sql(names, []))),
    ]


PATHS = Analysis(PathsSpec, PathsUsersSpec, answer, select_people, explain, scanned=True)
