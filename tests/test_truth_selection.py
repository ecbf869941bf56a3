"""Hypothesis: what is selected and who is counted equals a model, through the whole system.

Every operator on every kind of property, of events and of users, nested; lists of names, any event, virtual
events, occurrences; users, sessions and values as actors.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from footfall.storage.store import Store
from tests.populations import ANCHORS, NAMES, RANGES, ZONES, Body, Record
from tests.reference.asked import asked
from tests.reference.events import read_events
from tests.reference.funnel import funnel
from tests.reference.trends import trends
from tests.truth import TIMEZONE, Footfall, assert_equal, running, told

EXAMPLES = 30
MINUTE = 60_000

TEXTS = ("gold", "silver", "Gold", "", "理财")
NUMBERS = (0, 0.1, 0.3, 12.34, -5.5, 100, 9007199254740993)
LISTS = (["a", "b"], ["ab"], ["b"], [])
TIMES = ("2026-03-28 08:00:00.000", "2026-03-28 23:59:59.999", "2026-03-29 00:00:00.000")
MOMENTS = ("2026-03-28", "2026-03-29", "2026-03-28T08:00:00+08:00", "2026-03-28T16:00:00Z")
VIRTUAL: dict[str, list[Body]] = {
    "any_step": [{"event": ["register", "bind_card"]}],
    "rich": [
        {"event": "purchase", "where": [{"any": [{"property": "n", "op": "gte", "value": 12.34}]}]},
        {"event": None, "where": [{"property": "plan", "of": "user", "op": "eq", "value": "gold"}]},
    ],
    "unset": [{"event": "register", "where": [{"not": {"property": "text", "op": "is_set"}}]}],
}


def make_records(seed: int) -> list[Record]:
    """A person: some minutes and half hours between their events, never two at one instant."""
    rng = random.Random(seed)
    device, login = f"device-{seed}", f"login-{seed}"
    time = rng.choice(ANCHORS) - rng.randint(0, 60) * MINUTE
    records: list[Record] = []
    is_nobody = rng.random() < 0.1
    for _ in range(rng.randint(1, 7)):
        time += rng.choice((1, MINUTE, 10 * MINUTE, 30 * MINUTE - 1, 30 * MINUTE, 40 * MINUTE))
        is_login = rng.random() < 0.4
        ids = {"distinct_id": "guest" if is_nobody else login if is_login else device}
        records.append(
            {"type": "track", "event": rng.choice(NAMES), "time": time, **ids, "properties": draw(rng)}
        )
        if rng.random() < 0.2 and not is_nobody:
            sign_up = {"distinct_id": login, "original_id": device, "properties": {}}
            records.append({"type": "track_signup", "event": "$SignUp", "time": time + 1, **sign_up})
            time += 1
    if rng.random() < 0.7 and not is_nobody:
        own = {"plan": rng.choice(TEXTS), "score": rng.choice(NUMBERS), "tags": rng.choice(LISTS)}
        records.append(
            {
                "type": "profile_set",
                "distinct_id": rng.choice((device, login)),
                "time": time,
                "properties": own,
            }
        )
    return [{**record, "event_id": f"{seed}-{n}", "time_free": True} for n, record in enumerate(records)]


def draw(rng: random.Random) -> dict[str, Any]:
    choices: dict[str, Sequence[Any]] = {
        "text": TEXTS, "n": NUMBERS, "amount": NUMBERS[:6], "vip": (True, False), "labels": LISTS,
        "at": TIMES, "session": ("s1", "s2"), "account": ("a1", "a2", "a3"),
    }  # fmt: skip
    return {name: rng.choice(values) for name, values in choices.items() if rng.random() < 0.7}


def leaf(name: str, ops: Sequence[str], values: Sequence[Any], of: str = "event") -> st.SearchStrategy[Body]:
    """A condition on a property with one of the operators, and what goes with it."""

    def build(op: str, drawn: list[Any]) -> Body:
        of_field = {} if of == "event" else {"of": of}
        value: Any = drawn[0]
        if op in ("in", "not_in"):
            value = drawn
        elif op == "between":
            value = sorted((drawn[0], drawn[-1]))
        elif op.startswith("is_"):
            return {"property": name, "op": op, **of_field}
        return {"property": name, "op": op, "value": value, **of_field}

    return st.builds(build, st.sampled_from(ops), st.lists(st.sampled_from(values), min_size=1, max_size=3))


SET = ("is_set", "is_not_set")
EQUAL = ("eq", "ne", "in", "not_in", *SET)
ORDER = ("gt", "gte", "lt", "lte", "between")
leaves = st.one_of(
    leaf(
        "text", (*EQUAL, *ORDER, "contains", "not_contains", "starts_with", "ends_with"), (*TEXTS, "ol", "G")
    ),
    leaf("text", ("matches",), ("^gold$", "^$", "(?i)GOLD", "财")),
    leaf("n", (*EQUAL, *ORDER), NUMBERS),
    leaf("amount", (*EQUAL, *ORDER), NUMBERS[:6]),
    leaf("vip", ("is_true", "is_false", *EQUAL), (True, False)),
    leaf("labels", ("contains", "not_contains", "starts_with", "ends_with", *SET), ("a", "b", "ab")),
    leaf("labels", ("eq", "ne"), [x for x in LISTS if x]),
    leaf("at", ("before", "after"), MOMENTS),
    leaf("plan", (*EQUAL, "contains", "starts_with"), TEXTS, "user"),
    leaf("score", (*EQUAL, *ORDER), NUMBERS, "user"),
    leaf("tags", ("contains", "not_contains"), ("a", "b"), "user"),
    leaf("event", ("eq", "ne", "in"), NAMES),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda c: {"any": c}, st.lists(inner, max_size=3)),
        st.builds(lambda c: {"all": c}, st.lists(inner, max_size=3)),
        st.builds(lambda c: {"not": c}, inner),
    ),
    max_leaves=4,
)
names = st.sampled_from(
    [*NAMES, "$SignUp", None, *VIRTUAL, ["register", "purchase"], ["any_step", "purchase"], ["rich", "unset"]]
)
selectors = st.fixed_dictionaries(
    {
        "event": names,
        "where": st.lists(conditions, max_size=1),
        "label": st.just("x"),
        "occurrence": st.sampled_from(("any", "any", "first_ever", "first_matching")),
    }
)
ACTORS = ("user", "user", "session", "session", {"session": "session"}, {"property": "account"})
common = {
    "range": st.sampled_from(RANGES),
    "timezone": st.sampled_from(ZONES),
    "where": st.lists(conditions, max_size=1),
    "actor": st.sampled_from(ACTORS),
}
trends_bodies = st.fixed_dictionaries(
    {
        **common,
        "series": st.lists(
            st.builds(lambda s, m: {**s, "measure": m}, selectors, st.sampled_from(("events", "users"))),
            min_size=1,
            max_size=2,
        ),
        "interval": st.sampled_from(("hour", "day", "total")),
        "breakdown": st.sampled_from(([], ["vip"])),
    }
)
funnel_bodies = st.fixed_dictionaries(
    {
        **common,
        "steps": st.lists(selectors, min_size=2, max_size=3),
        "exclude": st.lists(st.builds(lambda s: {**s, "from_step": 0, "to_step": 1}, selectors), max_size=1),
        "window": st.sampled_from(({"value": 1, "unit": "hour"}, {"value": 14, "unit": "day"})),
        "order": st.sampled_from(("ordered", "strict", "any")),
        "complete_after_range": st.booleans(),
    }
)


@pytest.fixture(scope="module")
def footfall(store: Store, store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Footfall]:
    with running(store_url, tmp_path_factory.mktemp("selection")) as whole:
        yield whole


@pytest.mark.timeout(900)  # a difference takes its time to shrink
def test_what_is_selected_and_counted_equals_the_model(footfall: Footfall) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    @given(
        seeds=st.lists(st.integers(0, 2**32), min_size=1, max_size=15, unique=True),
        of_trends=st.lists(trends_bodies, min_size=2, max_size=5),
        of_funnel=st.lists(funnel_bodies, min_size=1, max_size=3),
    )
    def compare(seeds: list[int], of_trends: list[Body], of_funnel: list[Body]) -> None:
        records = [record for seed in seeds for record in make_records(seed)]
        project, write_key = footfall.new_project()
        footfall.send(write_key, records)
        for name, sources in VIRTUAL.items():
            footfall.save_virtual_event(project, {"name": name, "events": sources})
        events = read_events(records)
        note(f"{events}")
        for body in of_trends:
            with told(f"trends of {project}", body):
                found = footfall.ask("trends", {**body, "project": project})["result"]
                counted, resolved = asked(events, body, VIRTUAL)
                assert_equal(
                    found["series"], trends(counted, resolved, timezone=TIMEZONE)["series"], "series"
                )
        for body in of_funnel:
            with told(f"funnel of {project}", body):
                found = footfall.ask("funnel", {**body, "project": project})["result"]
                counted, resolved = asked(events, body, VIRTUAL)
                assert_equal(found["steps"], funnel(counted, resolved, timezone=TIMEZONE)["steps"], "steps")

    compare()
