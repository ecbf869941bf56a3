"""paths, by the book: every session of every actor as a list of names, and counting by hand.

Nothing is coded, sorted by key or cut in passing: a path is made whole and then told apart, and the links of
the answer are chosen from the list of all of them. `tie` gives the place of an event id among those of one
instant and one place in their requests; it is the product's own, a keyed hash, and cannot be known otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from tests.reference.events import Event
from tests.reference.selection import Body, events_read, exact, selects, value_of

Step = tuple[str, int]  # a node's name, and when
Path = list[Step]


def paths(events: Sequence[Event], body: Body, *, timezone: str, tie: Callable[[str], int]) -> dict[str, Any]:
    """The `result` of the answer; and `people`, who is behind some cells where persons are counted."""
    walked = all_paths(events, body, ZoneInfo(body.get("timezone", timezone)), tie)
    seen_with: dict[
        str, list[tuple[Any, bool]]
    ] = {}  # by node: the actor, and whether the session ends there
    links: dict[tuple[str, str], list[tuple[Any, int]]] = {}
    for actor, path in walked:
        ids = ids_of(path)
        for id_ in ids:
            seen_with.setdefault(id_, []).append((actor, id_ == ids[-1]))
        for source, target, took in links_of(path):
            links.setdefault((source, target), []).append((actor, took))
    heavy = [link for link, seen in links.items() if len(seen) >= body.get("min_count", 1)]
    heavy.sort(key=lambda link: (-len(links[link]), link))
    kept = only_reachable(heavy[: body.get("limit", 50)])
    alone = {ids_of(path)[0] for _, path in walked if len(path) == 1}
    nodes = [node(id_, seen_with[id_]) for id_ in {end for link in kept for end in link} | alone]
    result = {
        "nodes": sorted(nodes, key=lambda n: (n["step"], -n["sessions"], n["name"])),
        "links": [
            {
                "source": link[0],
                "target": link[1],
                "count": len(links[link]),
                "users": len({actor for actor, _ in links[link]}),
                "average_seconds": Fraction(sum(took for _, took in links[link]), 1000 * len(links[link])),
            }
            for link in kept
        ],
        "sessions": len(walked),
        "other": sum(len(seen) for link, seen in links.items() if link not in kept),
    }
    return {
        **result,
        "people": people(result, seen_with, links) if body.get("actor", "user") == "user" else [],
    }


def people(
    result: Body,
    seen_with: Mapping[str, list[tuple[Any, bool]]],
    links: Mapping[tuple[str, str], list[tuple[Any, int]]],
) -> list[tuple[Body, list[str]]]:
    """The persons behind the heaviest link, and those that reach, leave and end at the first nodes."""
    found: list[tuple[Body, set[str]]] = []
    for link in result["links"][:1]:
        source, target = link["source"], link["target"]
        found.append(({"source": source, "target": target}, {who for who, _ in links[source, target]}))
    for outcome, shown in zip(("reached", "continued", "exited"), result["nodes"], strict=False):
        wanted = {"reached": (True, False), "continued": (False,), "exited": (True,)}[outcome]
        behind = {who for who, ends in seen_with[shown["id"]] if ends in wanted}
        found.append(({"node": shown["id"], "outcome": outcome}, behind))
    return [(cell, sorted(behind)) for cell, behind in found]


def node(id_: str, seen: Sequence[tuple[Any, bool]]) -> dict[str, Any]:
    """A node's figures over all sessions that have it."""
    step, _, name = id_.partition("_")
    exits = sum(ends for _, ends in seen)
    return {
        "id": id_,
        "name": name,
        "step": int(step),
        "users": len({actor for actor, _ in seen}),
        "sessions": len(seen),
        "continuing": len(seen) - exits,
        "exits": exits,
    }


def only_reachable(links: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Drops what no chain of the links leads to, until nothing more goes."""
    kept = list(links)
    while True:
        targets = {target for _, target in kept}
        following = [link for link in kept if link[0].startswith("1_") or link[0] in targets]
        if following == kept:
            return kept
        kept = following


def ids_of(path: Path) -> list[str]:
    return [f"{step}_{name}" for step, (name, _) in enumerate(path, start=1)]


def links_of(path: Path) -> list[tuple[str, str, int]]:
    """Source, target and the milliseconds between them."""
    ids = ids_of(path)
    return [(ids[i], ids[i + 1], path[i + 1][1] - path[i][1]) for i in range(len(path) - 1)]


def all_paths(
    events: Sequence[Event], body: Body, zone: ZoneInfo, tie: Callable[[str], int]
) -> list[tuple[Any, Path]]:
    """Each session that has the wanted points, with its actor."""
    selectors = body.get("events") or [{"event": None}]
    read = [e for e in events_read(events, body, zone) if any(selects(one, e) for one in selectors)]
    read.sort(key=lambda e: (e.time, e.seq, tie(e.event_id)))
    actors: dict[Any, list[Event]] = {}
    for event in read:
        actor = actor_of(event, body)
        if actor is not None:
            actors.setdefault(actor, []).append(event)
    found = []
    for actor, own in actors.items():
        for session in sessions_of(own, body):
            path = path_of(session, body)
            if path:
                found.append((actor, path))
    return found


def actor_of(event: Event, body: Body) -> Any:
    actor = body.get("actor", "user")
    return event.person if actor == "user" else exact(value_of(event, actor["property"]))


def sessions_of(events: Sequence[Event], body: Body) -> list[list[Event]]:
    """An actor's events, in order, by session."""
    if body.get("session") is not None:
        values = [value_of(event, body["session"]) for event in events]
        known = dict.fromkeys(value for value in values if value is not None)
        return [[e for e, own in zip(events, values, strict=True) if own == value] for value in known]
    gap = body.get("session_gap_seconds", 1800) * 1000
    breaks = [i for i in range(1, len(events)) if events[i].time - events[i - 1].time >= gap]
    edges = [0, *breaks, len(events)]
    return [list(events[a:b]) for a, b in pairwise(edges)]


def path_of(session: Sequence[Event], body: Body) -> Path:
    """What is kept of a session, by name."""
    path = [(name_of(event, body), event.time) for event in session]
    if body.get("collapse", True):
        path = [step for i, step in enumerate(path) if i + 1 == len(path) or path[i + 1][0] != step[0]]
    names = [name for name, _ in path]
    start, end = without_slash(body.get("start")), without_slash(body.get("end"))
    first = 0
    if start is not None:
        if start not in names:
            return []
        first = names.index(start)
    last = len(path) - 1
    if end is not None:
        after = first + 1 if start is not None else 0
        if end not in names[after:]:
            return []
        last = names.index(end, after)
    return cut(path[first : last + 1], body, start is not None, end is not None)


def cut(path: Path, body: Body, has_start: bool, has_end: bool) -> Path:
    most = body.get("max_steps", 10)
    if len(path) <= most:
        return path
    if has_start and has_end:
        half = most // 2
        hidden = path[half : len(path) - half]
        return [*path[:half], ("...", hidden[0][1]), *path[len(path) - half :]]
    return path[len(path) - most :] if has_end else path[:most]


def name_of(event: Event, body: Body) -> str:
    """A node's name: cleaned, then grouped."""
    name = raw_name(event, body)
    for rule in body.get("clean", []):
        name = re.sub(rule["pattern"], rule["replace"], name)
    for group in body.get("groups", []):
        if re.search(".*".join(re.escape(part) for part in group.split("*")), name, re.DOTALL):
            return str(group)
    return name


def raw_name(event: Event, body: Body) -> str:
    node = body.get("node")
    if node is None or event.name not in node.get("for", [event.name]):
        return event.name
    value = value_of(event, node["property"])
    if value is None:
        return event.name
    return without_slash(text_of(value)) or ""


def without_slash(name: str | None) -> str | None:
    return name[:-1] if name is not None and len(name) > 1 and name.endswith("/") else name


def text_of(value: Any) -> str:
    """As a value is written: numbers without zeros at their end."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        text = format(Decimal(str(value)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return str(value)
