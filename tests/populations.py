"""Generated populations: what a few dozen persons' devices send, made so that the hard cases are common.

A person's records depend on their own seed alone, so a failing example shrinks to the one person it needs.
Times come from few instants around the edges that matter: the range's, a window's, a change of the clock.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

Record = dict[str, Any]
Body = dict[str, Any]

RANGE = {"from": "2026-03-27", "to": "2026-03-31"}
ZONES = ("Europe/Berlin", "Asia/Shanghai", "America/New_York", "Asia/Kolkata", "UTC")
NAMES = ("register", "bind_card", "purchase")
PAGES = (
    *["/home", "/home/", "/fund/1"] * 4,
    "/",
    "/fund/1/",
    "/fund/2?from=/home/",
    "/理财",
    "//",
    "purchase",
    "",
)
SECOND, HOUR, DAY = 1_000, 3_600_000, 86_400_000


def _at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOON = _at("2026-03-28T12:00:00")
ANCHORS = (
    _at("2026-03-26T23:00:00"),  # the range begins in Berlin
    _at("2026-03-26T16:00:00"),  # and in Shanghai
    _at("2026-03-31T22:00:00"),  # it ends in Berlin
    _at("2026-03-29T01:00:00"),  # the clock goes forward in Berlin
    NOON,
)
UNITS = (SECOND, 60 * SECOND, HOUR, DAY)  # windows that funnels have


@dataclass(frozen=True)
class Person:
    """One person's records, by the delivery that brings them: what comes in the second comes late."""

    deliveries: tuple[tuple[Record, ...], tuple[Record, ...]]
    traits: frozenset[str]


def make_person(seed: int, size: int, *, comes_back: bool = False) -> Person:
    """A person of `size` events; some are merged, some tied, some repeated, some sent again."""
    rng = random.Random(seed)
    identity = rng.choice(
        ("anonymous", "login", "signup", "signup", "both_ids", "two_devices", "shared", "nobody")
    )
    device, login = f"device-{seed}", f"login-{seed}"
    instants = _make_visits(rng) if comes_back else _make_instants(rng)
    records = [_make_event(rng, instants, identity, device, login) for _ in range(size)]
    records += _make_links(rng, instants, identity, device, login)
    for n, record in enumerate(records):
        record["event_id"] = f"{seed}-{n}"
        record["time_free"] = True
    late = rng.choice((0.0, 0.5))
    deliveries: tuple[list[Record], list[Record]] = ([], [])
    for record in records:
        deliveries[rng.random() < late].append(record)
        if rng.random() < 0.1:
            deliveries[1].append(record)
    return Person((tuple(deliveries[0]), tuple(deliveries[1])), _traits(records, identity))


def tell(id_: str, *events: tuple[str, int]) -> Person:
    """A person whose history is told: names and times."""
    records = tuple(
        {"event": name, "time": time, "distinct_id": id_, "event_id": f"{id_}-{n}", "time_free": True}
        for n, (name, time) in enumerate(events)
    )
    return Person((records, ()), frozenset())


def _make_instants(rng: random.Random) -> list[int]:
    """Mostly a window apart, give or take a millisecond, around one anchor."""
    anchor, unit = rng.choice(ANCHORS), rng.choice(UNITS)
    offsets = (-unit, -1, 0, 0, 0, 1, unit, unit, unit + 1)
    instants = [anchor + rng.choice(offsets) for _ in range(rng.randint(1, 4))]
    return [*instants, rng.choice(ANCHORS)] if rng.random() < 0.2 else instants


def _make_visits(rng: random.Random) -> list[int]:
    """Hours or days after one anchor, give or take a millisecond."""
    anchor, unit = rng.choice(ANCHORS), rng.choice((HOUR, DAY, DAY))
    return [anchor + rng.randint(-1, 4) * unit + rng.choice((-1, 0, 0, 1)) for _ in range(rng.randint(2, 5))]


def _make_event(
    rng: random.Random, instants: Sequence[int], identity: str, device: str, login: str
) -> Record:
    properties: dict[str, Any] = {"step_value": rng.choice(("x", "y", "z"))}
    if rng.random() < 0.8:
        properties["channel"] = rng.choice(("app_store", "branch", "qr", "Branch", "理财", ""))
    if rng.random() < 0.7:
        properties["amount"] = rng.choice((0, 12.34, 0.1, 0.2, 100, -5.5, 12.340001, 999999999.99))
    if rng.random() < 0.5:
        properties["vip"] = rng.random() < 0.5
    return {
        "type": "track",
        "event": rng.choice(NAMES),
        "time": rng.choice(instants),
        "properties": properties,
        **_make_ids(rng, identity, device, login),
    }


def _make_ids(rng: random.Random, identity: str, device: str, login: str) -> Record:
    match identity:
        case "nobody":
            return {"distinct_id": rng.choice(("guest", "NULL", "0"))}
        case "login":
            return {"distinct_id": login, "login_id": login}
        case "both_ids" if rng.random() < 0.4:
            return {"distinct_id": login, "login_id": login, "anonymous_id": device}
        case "signup" if rng.random() < 0.3:
            return {"distinct_id": login}
        case "two_devices":
            return {"distinct_id": rng.choice((device, f"{device}-2"))}
        case "shared":
            return {"distinct_id": rng.choice((device, login, f"{login}-2"))}
        case _:
            return {"distinct_id": device}


def _make_links(
    rng: random.Random, instants: Sequence[int], identity: str, device: str, login: str
) -> list[Record]:
    """The sign-ups: in `shared` a second login claims the device, and must not get it."""
    pairs = {
        "signup": [(device, login)],
        "two_devices": [(device, login), (f"{device}-2", login)],
        "shared": [(device, login), (device, f"{login}-2")],
    }.get(identity, [])
    return [
        {
            "type": "track_signup",
            "event": "$SignUp",
            "time": rng.choice(instants),
            "distinct_id": owner,
            "original_id": anonymous,
            "properties": {"channel": "sign_up"},
        }
        for anonymous, owner in pairs
    ]


def _traits(records: Sequence[Record], identity: str) -> frozenset[str]:
    traits = {"merges"} if identity in ("signup", "both_ids", "two_devices", "shared") else set()
    if max(Counter(record["time"] for record in records).values()) > 1:
        traits.add("ties")
    if max(Counter(record["event"] for record in records).values()) > 1:
        traits.add("repeated steps")
    return frozenset(traits)


def on_pages(person: Person) -> Person:
    """The person with pages and session ids in the events, as each event's id has it."""

    def place(record: Record) -> Record:
        rng = random.Random(record["event_id"])
        properties = dict(record.get("properties", {}))
        if rng.random() < 0.9:
            properties["page"] = rng.choice(PAGES)
        if rng.random() < 0.8:
            properties["sid"] = rng.choice(("s1", "s2", ""))
        return {**record, "properties": properties}

    first, second = (tuple(map(place, records)) for records in person.deliveries)
    return Person((first, second), person.traits)


populations = st.integers(1, 40).flatmap(
    lambda n: st.lists(st.tuples(st.integers(0, 2**32), st.integers(1, 9)), min_size=n, max_size=n)
)
"""Up to 40 persons, each as what `make_person` takes; two with one seed are one person twice, sent again."""


returners = st.integers(8, 40).flatmap(
    lambda n: st.lists(st.tuples(st.integers(0, 2**32), st.integers(3, 9)), min_size=n, max_size=n)
)
"""Persons for `make_person(..., comes_back=True)`: enough of them that some really do."""


def delivered(people: Sequence[Person]) -> tuple[list[Record], list[Record]]:
    """The records of the two deliveries, in the order in which they are sent."""
    first = [record for person in people for record in person.deliveries[0]]
    second = [record for person in people for record in person.deliveries[1]]
    return first, second


# ---- what is asked ----

SELECTORS: Sequence[Mapping[str, Any]] = (
    {"event": "register"},
    {"event": "bind_card"},
    {"event": "purchase"},
    {"event": "$SignUp"},
    {"event": None, "label": "anything"},
    {"event": ["register", "purchase"], "label": "one of two"},
    {"event": "purchase", "where": [{"property": "amount", "op": "gte", "value": 12.34}]},
    {"event": "register", "where": [{"property": "channel", "op": "ne", "value": "branch"}]},
    {"event": "bind_card", "where": [{"property": "channel", "op": "in", "value": ["branch", "qr"]}]},
    {"event": "purchase", "where": [{"property": "amount", "op": "between", "value": [0.1, 12.34]}]},
    {"event": "purchase", "where": [{"not": {"property": "vip", "op": "is_true"}}]},
    {"event": "register", "where": [{"property": "channel", "op": "not_contains", "value": "branch"}]},
)
WHERE: Sequence[list[Body]] = (
    [],
    [],
    [{"property": "channel", "op": "is_set"}],
    [{"any": [{"property": "vip", "op": "is_true"}, {"property": "amount", "op": "lt", "value": 1}]}],
    [{"property": "channel", "op": "contains", "value": "branch"}],
)
RANGES = (
    RANGE,
    {"from": "2026-03-28T12:00:00Z", "to": "2026-03-29T01:00:00.001Z"},
    {"from": "2026-03-29", "to": "2026-03-29"},
)
WINDOWS = ((1, "second"), (1, "minute"), (1, "hour"), (1, "day"), (14, "day"))
MEASURES: Sequence[Any] = (
    "events", "users", "users", "events_per_user",
    {"sum": "amount"}, {"average": "amount"}, {"min": "amount"}, {"max": "amount"}, {"median": "amount"},
    {"p90": "amount"}, {"distinct": "channel"}, {"sum_per_user": "amount"},
)  # fmt: skip
FUNNEL_BREAKDOWNS: Sequence[Any] = (
    None,
    ["channel"],
    {"properties": ["channel"], "attribution": "last_touch"},
    {"properties": ["channel"], "attribution": "step", "step": 0},
    {"properties": ["step_value"], "attribution": "step", "step": 1},
    {"properties": ["channel"], "attribution": "all_steps"},
    {"properties": ["vip"], "attribution": "first_touch"},
)
INTERVALS = (
    ("hour", 2), ("hour", 30), ("day", 0), ("day", 2), ("day", 3), ("day", 4), ("day", 7), ("day", 66),
    ("week", 2), ("week", 11), ("month", 1), ("month", 3),
)  # fmt: skip


@st.composite
def funnel_bodies(draw: st.DrawFn) -> Body:
    """Funnels of 2 to 4 steps, often with one selector twice."""
    steps = [draw(st.sampled_from(SELECTORS)) for _ in range(draw(st.integers(2, 4)))]
    if draw(st.booleans()):
        steps[-1] = steps[0]
    value, unit = draw(st.sampled_from(WINDOWS))
    body = {
        "steps": steps,
        "window": {"value": value, "unit": unit},
        "range": draw(st.sampled_from(RANGES)),
        "where": draw(st.sampled_from(WHERE)),
        "complete_after_range": draw(st.booleans()),
        "breakdown": draw(st.sampled_from(FUNNEL_BREAKDOWNS)),
        "breakdown_limit": draw(st.sampled_from((2, 25))),
        "timezone": draw(st.sampled_from(ZONES)),
        "order": draw(st.sampled_from(("ordered", "ordered", "strict", "any"))),
    }
    last = len(steps) - 1
    if draw(st.booleans()):
        gaps = [(first, to) for first in range(last) for to in range(first + 1, last + 1)]
        body["exclude"] = [
            {**draw(st.sampled_from(SELECTORS)), "from_step": first, "to_step": to}
            for first, to in draw(st.lists(st.sampled_from(gaps), min_size=1, max_size=2))
        ]
    if draw(st.booleans()):
        from_step, to_step = draw(st.sampled_from(((0, None), (0, 1), (1, None), (0, 0))))
        interval = draw(st.sampled_from(("hour", "day", "week")))
        body["trend"] = {"interval": interval, "from_step": from_step, "to_step": to_step}
    if draw(st.booleans()):
        body["histogram"] = {"from_step": 0, "to_step": None, "bins": draw(st.sampled_from((None, 3)))}
    return body


@st.composite
def trends_bodies(draw: st.DrawFn) -> Body:
    """One or two series."""
    series = [
        {**draw(st.sampled_from(SELECTORS)), "measure": draw(st.sampled_from(MEASURES))}
        for _ in range(draw(st.integers(1, 2)))
    ]
    return {
        "series": series,
        "interval": draw(st.sampled_from(("hour", "day", "day", "week", "month", "quarter", "total"))),
        "range": draw(st.sampled_from(RANGES)),
        "where": draw(st.sampled_from(WHERE)),
        "breakdown": draw(st.sampled_from(([], ["channel"], ["channel", "vip"], ["event"], ["step_value"]))),
        "breakdown_limit": draw(st.sampled_from((2, 25))),
        "timezone": draw(st.sampled_from(ZONES)),
        "week_start": draw(st.sampled_from(("monday", "sunday"))),
    }


@st.composite
def retention_bodies(draw: st.DrawFn) -> tuple[Body, int | None]:
    """Every option, and when it is asked (None: when all is over): intervals begin and end with no data."""
    interval, periods = draw(st.sampled_from(INTERVALS))
    anything = {"event": None}
    start = draw(st.sampled_from((*SELECTORS[:3], anything, *SELECTORS)))
    body = {
        "start": start,
        "return": draw(st.sampled_from((start, anything, anything, *SELECTORS[:3], *SELECTORS))),
        "interval": interval,
        "periods": periods,
        "entry": draw(st.sampled_from(("recurring", "first_in_range", "first_matching", "first_ever"))),
        "mode": draw(st.sampled_from(("on", "on_or_after"))),
        "min_occurrences": draw(st.sampled_from((1, 1, 1, 2, 3))),
        "range": draw(st.sampled_from((RANGE, RANGE, *RANGES))),
        "where": draw(st.sampled_from(([], [], *WHERE))),
        "breakdown": draw(st.sampled_from(([], [], ["channel"], ["channel", "vip"], ["amount"], ["event"]))),
        "breakdown_limit": draw(st.sampled_from((2, 25))),
        "timezone": draw(st.sampled_from(ZONES)),
        "week_start": draw(st.sampled_from(("monday", "sunday"))),
    }
    if interval == "day" and draw(st.booleans()):
        body["day_mode"] = "rolling_24h"
    if draw(st.integers(0, 5)) == 0:
        body["actor"] = {"property": "step_value"}
    days, edge = draw(st.integers(0, 9)), draw(st.sampled_from((-1, 0, 1, 12 * HOUR)))
    return body, draw(st.sampled_from((None, None, draw(st.sampled_from(ANCHORS)) + days * DAY + edge)))


PATH_NODES: Sequence[Any] = (
    None,
    None,
    {"property": "page"},
    {"property": "page"},
    {"property": "page", "for": ["register", "purchase"]},
    {"property": "channel", "for": ["purchase"]},
    {"property": "amount"},
    {"property": "vip"},
)
CLEANINGS: Sequence[list[Body]] = (
    [],
    [{"pattern": r"\?.*$", "replace": ""}],
    [{"pattern": r"^/fund/([0-9]+)", "replace": r"/f/\1\1"}, {"pattern": "[0-9]", "replace": "n"}],
)
GROUPINGS = ([], [], ["/fund/*"], ["*/f*", "r*s", "理"], ["register", "*"])
POINTS: Sequence[tuple[str | None, str | None]] = (
    (None, None),
    (None, None),
    ("register", None),
    (None, "purchase"),
    ("register", "purchase"),
    ("purchase", "purchase"),
    ("never", "purchase"),
)
PAGE_POINTS: Sequence[tuple[str | None, str | None]] = (
    *POINTS[:2],
    ("/home/", None),
    (None, "/fund/1/"),
    ("/home", "/fund/1"),
    ("/home", "/home"),
    ("/fund/*", "/home"),
    ("register", "/home"),
)
walkers = st.builds(
    lambda seed, sizes: [(seed + i, size) for i, size in enumerate(sizes)],
    st.integers(0, 2**32),
    st.lists(st.integers(4, 16), min_size=3, max_size=25),
)
"""Persons with more events, no two alike, as what `make_person` takes."""


def make_paths_body(seed: int) -> Body:
    """Paths with every option, most of them left as they are most of the time."""
    rng = random.Random(seed)
    node = rng.choice(PATH_NODES)
    start, end = rng.choice(PAGE_POINTS if node and node["property"] == "page" else POINTS)
    body: Body = {
        "node": node,
        "session_gap_seconds": rng.choice((1, 60, 3600, 86_400, *[10 * 86_400] * 4)),
        "start": start,
        "end": end,
        "max_steps": rng.choice((1, 2, 2, 3, 4, 5, 10)),
        "collapse": rng.random() < 0.5,
        "clean": rng.choice(CLEANINGS),
        "groups": rng.choice(GROUPINGS),
        "limit": rng.choice((1, 3, 50, 50, 50)),
        "min_count": rng.choice((1, 1, 1, 2)),
        "range": rng.choice((RANGE, RANGE, *RANGES)),
        "where": rng.choice(([], [], *WHERE)),
        "timezone": rng.choice(ZONES),
        "actor": rng.choice(("user", "user", "user", {"property": "channel"})),
    }
    if rng.random() < 0.25:
        body["events"] = [rng.choice(SELECTORS) for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.2:
        body["session"] = "sid"
    return body


paths_bodies = st.integers(0, 2**32).map(lambda seed: [make_paths_body(seed * 8 + i) for i in range(6)])
"""Six at a time and by a seed: drawn option by option, most bodies would ask for what nobody does."""
