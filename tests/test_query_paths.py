"""paths, computed by hand: what each rule of spec/query.md counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import query_api.analyses.paths as paths_analysis
from footfall.storage.store import Store
from query_api.scan import TooManyNames, scan_paths
from tests.query_world import Event, World

NOON = 1_780_000_000_000
MINUTE = 60_000
RANGE = {"from": "2026-05-01", "to": "2026-07-01"}


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str], tmp_path: Path) -> Iterator[World]:
    opened = World(store, new_name("paths"), tmp_path)
    yield opened
    opened.close()


def visits(user: str, *names: str, start: int = NOON, every: int = MINUTE) -> list[Event]:
    """Events of one user, one minute after the other."""
    return [Event(name, user, start + i * every) for i, name in enumerate(names)]


def pages(user: str, *urls: str, start: int = NOON, **properties: Any) -> list[Event]:
    """Page views, likewise."""
    return [
        Event("$pageview", user, start + i * MINUTE, {"$url": url, **properties})
        for i, url in enumerate(urls)
    ]


async def ask(world: World, **body: Any) -> Any:
    return (await world.post("/api/v1/query/paths", {"range": RANGE, **body}))["result"]


def links_of(result: Any) -> dict[str, int]:
    """`{"1_a -> 2_b": count}`, in the order of the answer."""
    return {f"{link['source']} -> {link['target']}": link["count"] for link in result["links"]}


def nodes_of(result: Any) -> dict[str, tuple[int, int, int, int]]:
    """`{"1_a": (users, sessions, continuing, exits)}`."""
    return {
        node["id"]: (node["users"], node["sessions"], node["continuing"], node["exits"])
        for node in result["nodes"]
    }


async def test_counts_each_link_by_its_place_in_the_session(world: World) -> None:
    world.put(*visits("a", "home", "list", "home", "buy"), *visits("b", "home", "list"))
    result = await ask(world)
    assert links_of(result) == {
        "1_home -> 2_list": 2,
        "2_list -> 3_home": 1,
        "3_home -> 4_buy": 1,
    }
    assert nodes_of(result) == {
        "1_home": (2, 2, 2, 0),
        "2_list": (2, 2, 1, 1),
        "3_home": (1, 1, 1, 0),
        "4_buy": (1, 1, 0, 1),
    }
    assert result["sessions"] == 2
    assert result["other"] == 0
    assert result["links"][0] == {
        "source": "1_home",
        "target": "2_list",
        "count": 2,
        "users": 2,
        "average_seconds": 60,
    }
    assert result["nodes"][0]["name"] == "home"
    assert result["nodes"][0]["step"] == 1


async def test_a_gap_of_session_gap_seconds_ends_a_session(world: World) -> None:
    world.put(
        *visits("a", "home", "list", every=30 * MINUTE), *visits("b", "home", "list", every=30 * MINUTE - 1)
    )
    assert nodes_of(await ask(world)) == {
        "1_home": (2, 2, 1, 1),
        "1_list": (1, 1, 0, 1),
        "2_list": (1, 1, 0, 1),
    }
    assert (await ask(world, session_gap_seconds=1_801))["sessions"] == 2
    assert (await ask(world, session_gap_seconds=1))["sessions"] == 4


async def test_counts_a_user_once_on_a_link_of_two_sessions(world: World) -> None:
    for hour in range(2):
        world.put(*visits("a", "home", "list", start=NOON + hour * 60 * MINUTE, every=(hour + 1) * MINUTE))
    (link,) = (await ask(world))["links"]
    assert (link["count"], link["users"], link["average_seconds"]) == (2, 1, 90)


async def test_a_run_of_equal_nodes_is_one_with_the_time_of_the_last(world: World) -> None:
    world.put(*visits("a", "home", "home", "home", "list"))
    result = await ask(world)
    assert links_of(result) == {"1_home -> 2_list": 1}
    assert result["links"][0]["average_seconds"] == 60
    assert links_of(await ask(world, collapse=False)) == {
        "1_home -> 2_home": 1,
        "2_home -> 3_home": 1,
        "3_home -> 4_list": 1,
    }


async def test_one_instant_is_taken_in_the_clients_order(world: World) -> None:
    world.put(Event("c", "a", NOON, seq=2), Event("a", "a", NOON, seq=0), Event("b", "a", NOON, seq=1))
    assert links_of(await ask(world)) == {"1_a -> 2_b": 1, "2_b -> 3_c": 1}


async def test_start_trims_what_is_before_its_first_occurrence(world: World) -> None:
    world.put(*visits("a", "home", "list", "buy", "list"), *visits("b", "home"))
    result = await ask(world, start="list")
    assert links_of(result) == {"1_list -> 2_buy": 1, "2_buy -> 3_list": 1}
    assert result["sessions"] == 1


async def test_end_trims_what_is_after_its_first_occurrence(world: World) -> None:
    world.put(*visits("a", "home", "list", "buy", "list"), *visits("b", "home"))
    assert links_of(await ask(world, end="list")) == {"1_home -> 2_list": 1}
    assert links_of(await ask(world, start="list", end="list")) == {
        "1_list -> 2_buy": 1,
        "2_buy -> 3_list": 1,
    }
    assert (await ask(world, start="buy", end="home"))["sessions"] == 0


async def test_with_only_an_end_the_last_nodes_up_to_it_are_kept(world: World) -> None:
    world.put(*visits("a", *"abcdef"))
    assert links_of(await ask(world, end="e", max_steps=3)) == {"1_c -> 2_d": 1, "2_d -> 3_e": 1}
    assert links_of(await ask(world, max_steps=3)) == {"1_a -> 2_b": 1, "2_b -> 3_c": 1}
    assert links_of(await ask(world, start="b", max_steps=3)) == {"1_b -> 2_c": 1, "2_c -> 3_d": 1}


@pytest.mark.parametrize(
    ("max_steps", "path"),
    [
        (6, ["1_b -> 2_c", "2_c -> 3_d", "3_d -> 4_e", "4_e -> 5_f", "5_f -> 6_g"]),
        (5, ["1_b -> 2_c", "2_c -> 3_...", "3_... -> 4_f", "4_f -> 5_g"]),
        (4, ["1_b -> 2_c", "2_c -> 3_...", "3_... -> 4_f", "4_f -> 5_g"]),
        (3, ["1_b -> 2_...", "2_... -> 3_g"]),
        (2, ["1_b -> 2_...", "2_... -> 3_g"]),
        (1, []),
    ],
)
async def test_between_both_points_a_longer_slice_keeps_its_ends_around_one_node(
    world: World, max_steps: int, path: list[str]
) -> None:
    world.put(*visits("a", *"abcdefgh"))
    result = await ask(world, start="b", end="g", max_steps=max_steps)
    assert sorted(links_of(result)) == sorted(path)
    if max_steps == 4:
        times = {link["source"]: link["average_seconds"] for link in result["links"]}
        assert times["2_c"] == 60, "the middle has the time of the first that it hides"
        assert times["3_..."] == 120
    if max_steps == 1:
        assert nodes_of(result) == {"1_...": (1, 1, 0, 1)}


async def test_nodes_are_named_by_the_property_of_the_named_events(world: World) -> None:
    world.put(
        Event("$pageview", "a", NOON, {"$url": "/home/"}),
        Event("login", "a", NOON + 1, {"$url": "/home"}),
        Event("$pageview", "a", NOON + 2, {"$url": "/"}),
        Event("$pageview", "a", NOON + 3),
        Event("$pageview", "a", NOON + 4, {"$url": ""}),
    )
    node = {"property": "$url", "for": ["$pageview"]}
    result = await ask(world, node=node)
    assert list(nodes_of(result)) == ["1_/home", "2_login", "3_/", "4_$pageview", "5_"]
    assert list(nodes_of(await ask(world, node={"property": "$url"})))[:2] == ["1_/home", "2_/"]
    for start in ("/home", "/home/"):
        assert (await ask(world, node=node, start=start))["sessions"] == 1
    assert list(nodes_of(await ask(world, node=node, end="/"))) == ["1_/home", "2_login", "3_/"]


async def test_names_are_cleaned_then_grouped_then_collapsed(world: World) -> None:
    world.put(*pages("a", "/fund/1?x=1", "/fund/1?x=2", "/fund/2/buy", "/me?y", "/me"))
    node = {"property": "$url"}
    clean = [{"pattern": r"\?.*$", "replace": ""}, {"pattern": r"/(\d+)", "replace": r"/n\1"}]
    assert list(nodes_of(await ask(world, node=node, clean=clean))) == [
        "1_/fund/n1",
        "2_/fund/n2/buy",
        "3_/me",
    ]
    groups = ["/fund/*/buy", "/fund/*", "/fund/n1"]
    assert list(nodes_of(await ask(world, node=node, clean=clean, groups=groups))) == [
        "1_/fund/*",
        "2_/fund/*/buy",
        "3_/me",
    ]
    assert (await ask(world, node=node, clean=clean, groups=groups, start="/fund/*/buy"))["sessions"] == 1


async def test_wildcards_of_sql_are_plain_letters_in_groups(world: World) -> None:
    world.put(*pages("a", "/a_b", "/axb", "/50%", "/50x", "/back\\slash"))
    groups = ["/a_b", "/50%", "\\s"]
    assert list(nodes_of(await ask(world, node={"property": "$url"}, groups=groups))) == [
        "1_/a_b", "2_/axb", "3_/50%", "4_/50x", "5_\\s",
    ]  # fmt: skip


async def test_sessions_told_by_a_property(world: World) -> None:
    world.put(
        Event("home", "a", NOON, {"sid": "s1"}),
        Event("list", "a", NOON + 1, {"sid": "s2"}),
        Event("buy", "a", NOON + 600 * MINUTE, {"sid": "s1"}),
        Event("lost", "a", NOON + 3),
        Event("list", "b", NOON + 4, {"sid": "s1"}),
    )
    result = await ask(world, session="sid")
    assert links_of(result) == {"1_home -> 2_buy": 1}
    assert nodes_of(result) == {"1_list": (2, 2, 0, 2), "1_home": (1, 1, 1, 0), "2_buy": (1, 1, 0, 1)}
    assert result["sessions"] == 3


async def test_the_limit_keeps_the_heaviest_links_that_can_be_reached(world: World) -> None:
    world.put(
        *visits("a", "a", "x", "y"),
        *visits("b", "b", "x", "y"),
        *visits("c", "c", "x", "y"),
        *visits("d", "d", "z"),
    )
    result = await ask(world, limit=2)
    assert links_of(result) == {"2_x -> 3_y": 3, "1_a -> 2_x": 1}
    assert result["other"] == 3
    assert nodes_of(result) == {"1_a": (1, 1, 1, 0), "2_x": (3, 3, 3, 0), "3_y": (3, 3, 0, 3)}
    alone = await ask(world, limit=1)
    assert alone["links"] == []
    assert alone["nodes"] == []
    assert alone["other"] == 7


async def test_links_below_min_count_are_other(world: World) -> None:
    world.put(*visits("a", "a", "b"), *visits("b", "a", "b"), *visits("c", "a", "c"))
    result = await ask(world, min_count=2)
    assert links_of(result) == {"1_a -> 2_b": 2}
    assert result["other"] == 1
    assert nodes_of(result)["1_a"] == (3, 3, 3, 0), "over all sessions, before links are cut"


async def test_a_session_of_one_node_keeps_its_node(world: World) -> None:
    world.put(*visits("a", "home"), *visits("b", "list", "buy"))
    result = await ask(world)
    assert nodes_of(result) == {"1_home": (1, 1, 0, 1), "1_list": (1, 1, 1, 0), "2_buy": (1, 1, 0, 1)}


async def test_tied_links_come_by_source_then_target(world: World) -> None:
    world.put(*visits("a", "b", "y"), *visits("b", "b", "x"), *visits("c", "a", "z"), *visits("d", "é", "a"))
    assert list(links_of(await ask(world))) == ["1_a -> 2_z", "1_b -> 2_x", "1_b -> 2_y", "1_é -> 2_a"]


async def test_only_selected_events_make_paths_and_sessions(world: World) -> None:
    world.put(
        *visits("a", "home", "noise", "list", every=20 * MINUTE),
        Event("$SignUp", "a", NOON + 1, type="track_signup"),
    )
    assert (await ask(world))["sessions"] == 1
    selected = [{"event": "home"}, {"event": ["list", "buy"]}]
    assert (await ask(world, events=selected))["sessions"] == 2, "40 minutes between those two"
    assert nodes_of(await ask(world, events=[{"event": "$SignUp"}])) == {"1_$SignUp": (1, 1, 0, 1)}


async def test_conditions_of_selectors_and_of_the_query_choose_events(world: World) -> None:
    world.put(
        *pages("a", "/1", "/2", channel="app"), *pages("a", "/3", start=NOON + 5 * MINUTE, channel="web")
    )
    node = {"property": "$url"}
    app = [{"property": "channel", "op": "eq", "value": "app"}]
    assert list(nodes_of(await ask(world, node=node, where=app))) == ["1_/1", "2_/2"]
    assert list(nodes_of(await ask(world, node=node, events=[{"event": None, "where": app}]))) == [
        "1_/1",
        "2_/2",
    ]
    mixed = [{"event": "login"}, {"event": "$pageview", "where": app}]
    assert list(nodes_of(await ask(world, node=node, events=mixed))) == ["1_/1", "2_/2"]
    first = [{"event": "$pageview", "occurrence": "first_ever"}]
    assert list(nodes_of(await ask(world, node=node, events=first))) == ["1_/1"]


async def test_merged_ids_are_one_actor(world: World) -> None:
    world.put(*visits("phone", "home", "list"), *visits("login", "buy", start=NOON + 2 * MINUTE))
    assert (await ask(world))["sessions"] == 2
    world.bind({"phone": "login"})
    assert links_of(await ask(world)) == {"1_home -> 2_list": 1, "2_list -> 3_buy": 1}


async def test_nobody_has_no_path(world: World) -> None:
    world.put(*visits("guest", "home", "list"))
    assert await ask(world) == {"nodes": [], "links": [], "sessions": 0, "other": 0}


async def test_empty_data_gives_empty_lists(world: World) -> None:
    assert await ask(world) == {"nodes": [], "links": [], "sessions": 0, "other": 0}


async def test_another_actor_has_sessions_of_its_own(world: World) -> None:
    world.put(
        Event("open", "a", NOON, {"account_id": 1}),
        Event("open", "b", NOON + 1, {"account_id": 2}),
        Event("pay", "b", NOON + 2, {"account_id": 1}),
        Event("pay", "b", NOON + 3),
    )
    actor = {"property": "account_id"}
    result = await ask(world, actor=actor)
    assert links_of(result) == {"1_open -> 2_pay": 1}
    assert nodes_of(result)["1_open"] == (2, 2, 1, 1)
    behind = await who(world, {"source": "1_open", "target": "2_pay"}, actor=actor)
    assert behind == ["a", "b"], "the users behind the account"


async def test_a_comparison_is_the_same_over_its_own_range(world: World) -> None:
    week = 7 * 24 * 60 * MINUTE
    world.put(*visits("a", "home", "list"), *visits("b", "home", "buy", start=NOON - week))
    body = {
        "range": {"from": "2026-05-25", "to": "2026-05-31"},
        "compare": {"shift": {"value": 1, "unit": "week"}},
    }
    answer = await world.post("/api/v1/query/paths", body)
    assert links_of(answer["result"]) == {"1_home -> 2_list": 1}
    assert links_of(answer["comparison"]) == {"1_home -> 2_buy": 1}


async def test_a_sample_is_scaled_and_keeps_its_sums(world: World) -> None:
    for user in range(200):
        world.put(*visits(f"user {user}", "home", "list"), committed=False)
    world.commit()
    answer = await world.post("/api/v1/query/paths", {"range": RANGE, "sample": 0.25})
    result = answer["result"]
    assert answer["meta"]["sample"] == 0.25
    assert 100 < result["sessions"] < 300
    assert result["sessions"] % 4 == 0
    assert links_of(result) == {"1_home -> 2_list": result["sessions"]}
    for node in result["nodes"]:
        assert node["sessions"] == node["continuing"] + node["exits"] == result["sessions"]


# ---- who ----


async def who(world: World, cell: dict[str, Any], **body: Any) -> list[str]:
    """The users behind a cell; as many as its total says."""
    answer = await world.post("/api/v1/query/paths/users", {"range": RANGE, "cell": cell, **body})
    assert answer["total"] == len(answer["users"])
    return sorted(user["user_id"] for user in answer["users"])


async def test_lists_who_is_behind_a_node_and_a_link(world: World) -> None:
    world.put(*visits("a", "home", "my_list"), *visits("b", "home"), *visits("c", "home", "buy"))
    assert await who(world, {"node": "1_home"}) == ["a", "b", "c"]
    assert await who(world, {"node": "1_home", "outcome": "reached"}) == ["a", "b", "c"]
    assert await who(world, {"node": "1_home", "outcome": "continued"}) == ["a", "c"]
    assert await who(world, {"node": "1_home", "outcome": "exited"}) == ["b"]
    assert await who(world, {"source": "1_home", "target": "2_my_list"}) == ["a"]
    assert await who(world, {"node": "2_home"}) == []
    assert await who(world, {"node": "7_never seen"}) == []
    assert await who(world, {"node": "2_my_list"}, start="home", end="my_list") == ["a"]


async def test_the_total_of_every_cell_is_its_number(world: World) -> None:
    world.put(*visits("a", *"abcabd"), *visits("b", *"abd"), *visits("b", "c", start=NOON + 99 * MINUTE))
    body = {"start": "a", "max_steps": 4}
    result = await ask(world, **body)
    for node in result["nodes"]:
        assert len(await who(world, {"node": node["id"]}, **body)) == node["users"]
    for link in result["links"]:
        cell = {"source": link["source"], "target": link["target"]}
        assert len(await who(world, cell, **body)) == link["users"]


async def test_pages_of_people_follow_one_another(world: World) -> None:
    for user in range(5):
        world.put(*visits(f"u{user}", "home"))
    found, cursor = [], None
    while True:
        body = {"range": RANGE, "cell": {"node": "1_home"}, "limit": 2, "cursor": cursor}
        page = await world.post("/api/v1/query/paths/users", body)
        found += [user["user_id"] for user in page["users"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(found) == [f"u{user}" for user in range(5)]


async def test_explain_shows_the_queries_and_runs_none(world: World) -> None:
    body = {
        "range": RANGE,
        "node": {"property": "$url", "for": "$pageview"},
        "clean": [{"pattern": "x", "replace": ""}],
    }
    answer = await world.post("/api/v1/query/paths/explain", body)
    assert [query["purpose"].split()[1] for query in answer["queries"]] == ["rows", "nodes'", "texts"]
    assert "$pageview" in answer["queries"][0]["parameters"].values()
    assert "replaceRegexpAll" not in answer["queries"][0]["sql"], "names are cleaned once each, not by row"


# ---- names ----


async def test_too_many_names_are_told_apart_by_their_labels(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(*pages("a", "/fund/1", "/fund/2", "/me/"))
    body = {"node": {"property": "$url"}, "groups": ["/fund/*"], "start": "/fund/*"}
    expected = await ask(world, **body, refresh=True)
    asked = []

    def scan(blocks: Any, plan: Any, read_labels: Any, **limits: Any) -> Any:
        asked.append(plan)
        if len(asked) == 1:
            raise TooManyNames
        return scan_paths(blocks, plan, read_labels, **limits)

    monkeypatch.setattr(paths_analysis, "scan_paths", scan)
    assert await ask(world, **body, refresh=True) == expected
    assert len(asked) == 2
    assert nodes_of(expected) == {"1_/fund/*": (1, 1, 1, 0), "2_/me": (1, 1, 0, 1)}
    asked.clear()
    problem = await world.post(
        "/api/v1/query/paths", {"range": RANGE, "node": {"property": "$url"}, "refresh": True}, status=422
    )
    assert problem["code"] == "too_expensive"
    assert "1,000,000 different names" in problem["detail"]


async def test_an_event_that_the_catalogue_does_not_know_yet_is_found(world: World) -> None:
    world.put(*visits("a", "home"))
    await ask(world)  # the catalogue is read and kept until something more is processed
    world.put(*visits("a", "brand_new", start=NOON + MINUTE), committed=False)
    assert links_of(await ask(world, refresh=True)) == {"1_home -> 2_brand_new": 1}


# ---- refusals ----


REFUSED: list[tuple[dict[str, Any], str, str, str | None]] = [
    ({"session_gap": 1}, "session_gap", "unknown_field", "session_gap_seconds"),
    ({"start_point": "home"}, "start_point", "unknown_field", "start"),
    ({"node": {"propertyy": "$url"}}, "node.propertyy", "unknown_field", "property"),
    ({"node": {"property": "$url", "four": ["x"]}}, "node.four", "unknown_field", "for"),
    ({"max_steps": 0}, "max_steps", "invalid_value", None),
    ({"max_steps": 101}, "max_steps", "invalid_value", None),
    ({"session_gap_seconds": 0}, "session_gap_seconds", "invalid_value", None),
    ({"collapse": "yes"}, "collapse", "invalid_value", None),
    ({"events": []}, "events", "invalid_value", None),
    ({"clean": [{"pattern": "(", "replace": ""}]}, "clean[0].pattern", "invalid_value", None),
    ({"clean": [{"pattern": "(a)", "replace": r"\2"}]}, "clean[0].replace", "invalid_value", None),
    ({"clean": [{"pattern": "a"}]}, "clean[0].replace", "missing_field", None),
    ({"groups": [""]}, "groups[0]", "invalid_value", None),
    ({"breakdown": ["channel"]}, "breakdown", "not_implemented", None),
    ({"limit": 0}, "limit", "invalid_value", None),
]


async def test_refuses_what_it_does_not_know(world: World) -> None:
    for body, field, code, nearest in REFUSED:
        problem = await world.post("/api/v1/query/paths", {"range": RANGE, **body}, status=422)
        assert (problem["field"], problem["code"], problem["nearest"]) == (field, code, nearest), problem


REFUSED_CELLS: list[tuple[dict[str, Any], str]] = [
    ({}, "cell"),
    ({"node": "home"}, "cell.node"),
    ({"node": "0_home"}, "cell.node"),
    ({"node": 2}, "cell.node"),
    ({"node": "1_home", "source": "1_home", "target": "2_list"}, "cell"),
    ({"source": "1_home"}, "cell.target"),
    ({"source": "1_home", "target": "3_list"}, "cell.target"),
    ({"source": "1_home", "target": "2_list", "outcome": "exited"}, "cell.outcome"),
    ({"node": "1_home", "outcome": "stayed"}, "cell.outcome"),
    ({"nodes": "1_home"}, "cell.nodes"),
]


async def test_refuses_cells_that_are_no_numbers_of_the_answer(world: World) -> None:
    for cell, field in REFUSED_CELLS:
        problem = await world.post("/api/v1/query/paths/users", {"range": RANGE, "cell": cell}, status=422)
        assert problem["field"] == field, problem


async def test_a_sampled_query_has_no_users(world: World) -> None:
    body = {"range": RANGE, "cell": {"node": "1_home"}, "sample": 0.5}
    assert (await world.post("/api/v1/query/paths/users", body, status=422))["field"] == "sample"


async def test_warns_of_a_point_that_is_no_node(world: World) -> None:
    world.put(*visits("a", "home"))
    answer = await world.post("/api/v1/query/paths", {"range": RANGE, "start": "hone"})
    assert answer["meta"]["warnings"] == ["start: no event 'hone' was ever seen; did you mean 'home'?"]
