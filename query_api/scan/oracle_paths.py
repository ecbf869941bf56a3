"""The path scanner's meaning, spelled out: session by session, in plain Python.

Slow on purpose and obvious on purpose. The native scanner is compared with it on thousands of random
histories (tests/test_scan_paths.py); no query runs on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from query_api.scan.paths_plan import (
    MAX_NAMES,
    Cell,
    Labels,
    Links,
    Nodes,
    PathBlock,
    PathsPlan,
    PathsScan,
    ReadLabels,
    TooManyNames,
)


class Visit(NamedTuple):
    """A node of a path: the code of its label, and when."""

    time: int
    label: int


class Event(NamedTuple):
    """One event; its place among the actor's others is that of these fields."""

    session: int
    time: int
    seq: int
    event_key: int
    name: int


Path = tuple[int, list[Visit]]
"""The actor, and the nodes of one session."""


def scan_paths(blocks: Iterable[PathBlock], plan: PathsPlan, read_labels: ReadLabels) -> PathsScan:
    """The same answer as `query_api.scan.native_paths.scan_paths`."""
    actors, names, events = _read_actors(blocks, plan)
    paths = list(find_paths(actors, plan, read_labels(names)))
    nodes: defaultdict[tuple[int, int], list[tuple[int, bool]]] = defaultdict(list)
    links: defaultdict[tuple[int, int, int], list[tuple[int, int]]] = defaultdict(list)
    for actor, path in paths:
        for step, here in enumerate(path, start=1):
            nodes[step, here.label].append((actor, step == len(path)))
        for step, (here, following) in enumerate(pairwise(path), start=1):
            links[step, here.label, following.label].append((actor, following.time - here.time))
    return PathsScan(
        len(paths),
        Nodes(*_columns([(*id_, *_figures(seen)) for id_, seen in nodes.items()], 5)),
        Links(*_columns([(*id_, *_figures(seen)) for id_, seen in links.items()], 6)),
        events,
    )


def find_actors(
    blocks: Iterable[PathBlock],
    plan: PathsPlan,
    read_cell: Callable[[NDArray[np.uint64]], tuple[Labels, Cell | None]],
) -> NDArray[np.uint64]:
    """The same answer as `query_api.scan.native_paths.find_actors`."""
    actors, names, _ = _read_actors(blocks, plan)
    labels, cell = read_cell(names)
    if cell is None:
        return np.zeros(0, np.uint64)
    behind = {actor for actor, path in find_paths(actors, plan, labels) if is_behind(cell, path)}
    return np.array(sorted(behind), np.uint64)


def find_paths(actors: dict[int, list[Event]], plan: PathsPlan, labels: Labels) -> Iterator[Path]:
    """Every session that has the wanted points, as the nodes that are kept of it."""
    for actor, events in actors.items():
        for session in split_sessions(sorted(events), plan):
            visits = [Visit(event.time, int(labels.of_names[event.name])) for event in session]
            path = trim(collapse(visits) if plan.collapse else visits, plan, labels)
            if path:
                yield actor, path


def split_sessions(events: Sequence[Event], plan: PathsPlan) -> list[list[Event]]:
    """An actor's events in order, cut where a session ends."""
    sessions: list[list[Event]] = []
    for event in events:
        last = sessions[-1][-1] if sessions else None
        if last is None or _is_between_sessions(last, event, plan):
            sessions.append([])
        sessions[-1].append(event)
    return sessions


def _is_between_sessions(last: Event, event: Event, plan: PathsPlan) -> bool:
    if plan.by_session:
        return last.session != event.session
    return event.time - last.time >= plan.gap_ms


def collapse(visits: Sequence[Visit]) -> list[Visit]:
    """A run of equal nodes is one, with the time of the last."""
    return [
        visit
        for visit, following in zip(visits, [*visits[1:], None], strict=True)
        if following is None or following.label != visit.label
    ]


def trim(visits: list[Visit], plan: PathsPlan, labels: Labels) -> list[Visit]:
    """From the first start to the first end behind it, at most `max_steps` nodes; without a point none."""
    if plan.with_start:
        starts = [place for place, visit in enumerate(visits) if labels.starts[visit.label]]
        if not starts:
            return []
        visits = visits[starts[0] :]
    if plan.with_end:
        behind = 1 if plan.with_start else 0
        ends = [place for place, visit in enumerate(visits) if place >= behind and labels.ends[visit.label]]
        if not ends:
            return []
        visits = visits[: ends[0] + 1]
    if len(visits) <= plan.max_steps:
        return visits
    if plan.with_start and plan.with_end:
        half = plan.max_steps // 2
        return [*visits[:half], Visit(visits[half].time, labels.middle), *visits[len(visits) - half :]]
    return visits[-plan.max_steps :] if plan.with_end else visits[: plan.max_steps]


def is_behind(cell: Cell, path: Sequence[Visit]) -> bool:
    """Whether the number of this cell counts this path."""
    here, following = path[cell.step - 1 : cell.step], path[cell.step : cell.step + 1]
    if not here or here[0].label != cell.source:
        return False
    if cell.target is not None:
        return bool(following) and following[0].label == cell.target
    return {"reached": True, "continued": bool(following), "exited": not following}[cell.outcome]


def _figures(seen: Sequence[tuple[int, int]]) -> tuple[int, int, int]:
    """Sessions, actors, and the sum of what was noted of each."""
    return len(seen), len({actor for actor, _ in seen}), sum(noted for _, noted in seen)


def _columns(rows: Sequence[tuple[int, ...]], columns: int) -> list[NDArray[np.int64]]:
    table = np.array(rows, np.int64).reshape(-1, columns)
    return [table[:, place] for place in range(columns)]


def _read_actors(
    blocks: Iterable[PathBlock], plan: PathsPlan
) -> tuple[dict[int, list[Event]], NDArray[np.uint64], int]:
    """Each actor's events, the names' hashes by code, and how many events were read."""
    actors: defaultdict[int, list[Event]] = defaultdict(list)
    codes: dict[int, int] = {}
    read = 0
    for block in blocks:
        if len(block) != plan.columns:
            raise ValueError(f"a block has {len(block)} columns, this plan reads {plan.columns}")
        for actor, time, seq, event_key, name, *session in zip(*(c.tolist() for c in block), strict=True):
            read += 1
            if actor == 0 or session == [0]:
                continue
            code = codes.setdefault(name, len(codes))
            actors[actor].append(Event(session[0] if session else 0, time, seq, event_key, code))
    if len(codes) > MAX_NAMES:
        raise TooManyNames(f"the nodes have more than {MAX_NAMES} different names")
    return actors, np.array(list(codes), np.uint64), read
