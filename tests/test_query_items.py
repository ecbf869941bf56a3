"""Items in conditions and breakdowns: through the whole system, against a model written by the book."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall.storage.store import Store
from footfall.workspace import Project
from tests.reference.events import read_events
from tests.reference.funnel import funnel
from tests.reference.items import about_events, items_after, with_items
from tests.reference.retention import retention
from tests.reference.trends import trends
from tests.system import System
from tests.truth import TIMEZONE, Footfall, assert_equal, running

Record = dict[str, Any]
NOON = 1_775_016_000_000  # 2026-04-01T12:00:00+08:00
RANGE = {"from": "2026-04-01", "to": "2026-04-01"}
FUNDS = ("F1", "F2", "F3", "基金四", "")


def of_item(property_: str, item_type: str = "fund", by: str = "fund_id", **more: Any) -> dict[str, Any]:
    return {"property": property_, "of": "item", "item_type": item_type, "by": by, **more}


@pytest.fixture(scope="module")
def footfall(store: Store, store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Footfall]:
    with running(store_url, tmp_path_factory.mktemp("items")) as whole:
        yield whole


_properties = st.fixed_dictionaries(
    {},
    optional={
        "risk": st.sampled_from(("R1", "R2", "高", "")),
        "nav": st.sampled_from((0, 1, 1.05, 12.340001, -3)),
        "open": st.booleans(),
    },
)
_item_records = st.lists(
    st.tuples(
        st.sampled_from(("item_set", "item_set", "item_set", "item_delete")),
        st.sampled_from(("fund", "fund", "account")),
        st.sampled_from([each for each in FUNDS if each]),
        _properties,
    ),
    max_size=12,
)
_events = st.lists(
    st.tuples(
        st.integers(0, 3),  # user
        st.integers(0, 5),  # minutes after noon
        st.sampled_from(("view", "buy")),
        st.sampled_from((*FUNDS, None, "F9")),  # column fund_id
        st.sampled_from((*FUNDS, None)),  # in the map
    ),
    min_size=1,
    max_size=20,
)
_leaves = st.sampled_from(
    (
        of_item("risk", op="eq", value="R2"),
        of_item("risk", op="ne", value="R2"),
        of_item("risk", op="in", value=["R1", ""]),
        of_item("risk", op="not_in", value=["R1", "高"]),
        of_item("risk", op="contains", value="R"),
        of_item("risk", op="is_set"),
        of_item("risk", op="is_not_set"),
        of_item("nav", op="gte", value=1.05),
        of_item("nav", op="between", value=[0, 1]),
        of_item("open", op="is_true"),
        of_item("risk", by="other", op="eq", value="R1"),
        of_item("risk", "account", op="eq", value="R1"),
        of_item("nav", "account", "other", op="lt", value=1),
    )
)
_conditions = st.lists(
    st.one_of(
        _leaves,
        _leaves.map(lambda leaf: {"not": leaf}),
        st.lists(_leaves, max_size=2).map(lambda leaves: {"any": leaves}),
    ),
    max_size=2,
)
_breakdowns = st.sampled_from(
    (
        [of_item("risk")],
        [of_item("nav")],
        [of_item("risk"), "fund_id"],
        [of_item("open", by="other"), of_item("risk", "account")],
    )
)


def _records(items: Sequence[Any], events: Sequence[Any]) -> tuple[list[Record], list[Record]]:
    """An item's records never have one time: which wins is then told by the event id."""
    of_items = [
        {
            "type": type_, "item_type": item_type, "item_id": id_, "time": NOON + 1000 * n, "time_free": True,
            "properties": properties if type_ == "item_set" else {}, "event_id": f"item-{n}",
        }
        for n, (type_, item_type, id_, properties) in enumerate(items)
    ]  # fmt: skip
    of_events = [
        {
            "event": name, "distinct_id": f"user-{user}", "time": NOON + 60_000 * minute, "time_free": True,
            "event_id": f"event-{n}",
            "properties": {k: v for k, v in (("fund_id", fund), ("other", other)) if v is not None},
        }
        for n, (user, minute, name, fund, other) in enumerate(events)
    ]  # fmt: skip
    return of_items, of_events


@pytest.mark.timeout(600)
def test_answers_equal_the_model(footfall: Footfall) -> None:
    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    @given(items=_item_records, events=_events, where=_conditions, own=_conditions, breakdown=_breakdowns)
    def compare(
        items: Sequence[Any], events: Sequence[Any], where: list[Any], own: list[Any], breakdown: list[Any]
    ) -> None:
        project, key = footfall.new_project()
        of_items, of_events = _records(items, events)
        footfall.send(key, [*of_events[:5], *of_items[::-1], *of_events[5:]])
        stored = with_items(read_events(of_events), items_after(of_items))
        common = {"range": RANGE, "where": where, "breakdown_limit": 25}
        asked = {
            **common, "series": [{"event": None, "where": own, "measure": "events"}],
            "interval": "day", "breakdown": breakdown,
        }  # fmt: skip
        found = footfall.ask("trends", {**asked, "project": project})["result"]
        expected = trends(stored, about_events(asked), timezone=TIMEZONE)
        assert_equal(
            [(one["key"], one["total"]) for one in found["series"]],
            [(one["key"], one["total"]) for one in expected["series"]],
            "series",
        )
        for attribution in ("first_touch", "all_steps"):
            asked = {
                **common, "steps": [{"event": "view", "where": own}, {"event": "buy"}],
                "breakdown": {"properties": breakdown, "attribution": attribution},
            }  # fmt: skip
            found = footfall.ask("funnel", {**asked, "project": project})["result"]
            expected = funnel(stored, about_events(asked), timezone=TIMEZONE)
            assert_equal(found["steps"], expected["steps"], "steps")
            assert_equal(found["groups"], expected["groups"], f"groups by {attribution}")
        asked = {
            **common, "start": {"event": "view", "where": own}, "return": {"event": "buy"},
            "interval": "hour", "periods": 2, "breakdown": breakdown,
        }  # fmt: skip
        with footfall.asked_at(None) as now:
            found = footfall.ask("retention", {**asked, "project": project})["result"]
            expected = retention(stored, about_events(asked), timezone=TIMEZONE, now=now)
        assert_equal(found["rows"], expected["rows"], "retention")
        assert_equal(found["groups"], expected["groups"], "groups of retention")

    compare()


async def test_an_item_is_found_by_a_number_and_changes_answers_when_it_changes(system: System) -> None:
    now = system.clock()
    item = {"type": "item_set", "item_type": "account", "item_id": "1001"}
    await system.send(
        {"event": "pay", "distinct_id": "ann", "time": now, "properties": {"account": 1001}},
        {**item, "time": now, "properties": {"level": "gold"}},
    )
    await system.settle()
    asked = {
        "range": {"last": {"value": 1, "unit": "day"}},
        "series": [{"event": "pay", "measure": "events"}],
        "breakdown": [of_item("level", "account", "account")],
    }
    assert (await system.ask("trends", asked))["series"][0]["key"] == ["gold"]
    await system.send({**item, "time": now + 1, "properties": {"level": "silver"}})
    await system.settle()
    assert (await system.ask("trends", asked))["series"][0]["key"] == ["silver"]


async def test_another_projects_items_do_not_count(system: System) -> None:
    other = system.create_project(Project("other"))
    now = system.clock()
    item = {
        "type": "item_set",
        "item_type": "fund",
        "item_id": "F1",
        "time": now,
        "properties": {"risk": "R1"},
    }
    await system.send(item, key=other)
    await system.send({"event": "buy", "distinct_id": "ann", "time": now, "properties": {"fund_id": "F1"}})
    await system.settle()
    asked = {
        "range": {"last": {"value": 1, "unit": "day"}},
        "series": [{"event": "buy", "measure": "events"}],
        "where": [of_item("risk", op="is_set")],
    }
    assert (await system.ask("trends", asked))["series"][0]["total"] == 0
