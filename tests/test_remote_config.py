"""Remote configuration: set over the API, the kill switch by two, every change in the audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from footfall.storage.store import Store
from footfall.workspace import Project
from footfall.workspace.audit import AuditFilter
from footfall.workspace.remote_config import MOST_APPS, PROPOSAL_MS, RemoteConfig, publish
from tests.query_world import SECRET, World

DEFAULTS: dict[str, Any] = {
    "auto_track_mode": -1,
    "disable_sdk": False,
    "disable_debug_mode": False,
    "event_blacklist": [],
    "effect_mode": 0,
    "support_transport_encrypt": False,
}


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str], tmp_path: Path) -> Iterator[World]:
    with closing(World(store, new_name("remote"), tmp_path)) as made:
        yield made


async def ask(
    world: World, method: str, path: str = "", body: Any = None, *, key: str = SECRET, status: int = 200
) -> Any:
    answer = await world.client.request(
        method,
        f"/api/v1/projects/{world.project}/remote-config{path}",
        json=body,
        headers={"Authorization": f"Bearer {key}"},
    )
    assert answer.status_code == status, answer.text
    return answer.json()


def told(world: World) -> dict[str, RemoteConfig]:
    """What a collector would tell."""
    return world.workspace.remote_config.of(world.project)


def actions(world: World) -> list[str]:
    return [row.action for row in world.workspace.audit.rows(AuditFilter(action="remote_config."))]


async def test_nothing_is_set_at_first(world: World) -> None:
    assert await ask(world, "GET") == {"configs": [], "proposals": [], "keys": {}}


async def test_what_is_set_is_in_force_at_once_and_what_is_left_out_is_as_by_default(world: World) -> None:
    shown = await ask(world, "PUT", body={"auto_track_mode": 12, "event_blacklist": ["$AppClick"]})
    ((only,), proposals) = shown["configs"], shown["proposals"]
    config = RemoteConfig(auto_track_mode=12, event_blacklist=("$AppClick",))
    assert only["config"] == DEFAULTS | {"auto_track_mode": 12, "event_blacklist": ["$AppClick"]}
    assert (only["app_id"], only["version"], proposals) == ("", publish(config, {}).version, [])
    assert told(world) == {"": config}
    assert await ask(world, "GET") == shown
    await ask(world, "PUT", body={"effect_mode": 1})
    assert told(world) == {"": RemoteConfig(effect_mode=1)}
    assert actions(world) == ["remote_config.change", "remote_config.change"]


async def test_the_kill_switch_takes_two_keys(world: World) -> None:
    await ask(world, "PUT", body={"effect_mode": 1})
    shown = await ask(world, "PUT", body={"effect_mode": 1, "disable_sdk": True})
    (proposal,) = shown["proposals"]
    assert proposal["config"]["disable_sdk"] is True
    assert told(world) == {"": RemoteConfig(effect_mode=1)}, "nobody is told of a proposal"

    own = await ask(world, "POST", "/approve", {"proposal": proposal["proposal"]}, status=422)
    assert own["field"] == "proposal"
    assert "another secret key" in own["detail"]
    assert told(world) == {"": RemoteConfig(effect_mode=1)}

    second = world.keys.secret_key
    after = await ask(world, "POST", "/approve", {"proposal": proposal["proposal"]}, key=second)
    assert after["proposals"] == []
    assert told(world) == {"": RemoteConfig(effect_mode=1, disable_sdk=True)}
    assert actions(world) == ["remote_config.change", "remote_config.propose", "remote_config.approve"]
    rows = list(world.workspace.audit.rows(AuditFilter(action="remote_config.")))
    assert rows[1].actor != rows[2].actor, "each key's own word"
    assert (rows[2].as_json()["detail"]["proposed_by"], rows[2].subject) == (rows[1].actor, "every app")


async def test_a_second_key_that_one_has_made_is_no_second_person(world: World) -> None:
    url = f"/api/v1/projects/{world.project}/keys"
    made = (await world.client.post(url, json={"kind": "secret", "name": "another"})).json()["key"]
    for_own = (await ask(world, "PUT", body={"disable_sdk": True}))["proposals"][0]["proposal"]
    refused = await ask(world, "POST", "/approve", {"proposal": for_own}, key=made, status=422)
    assert (refused["field"], "installation" in refused["detail"]) == ("proposal", True)
    refused = await ask(world, "PUT", body={"disable_sdk": True, "app_id": "a"}, key=made, status=422)
    assert refused["field"] == "disable_sdk"
    assert told(world) == {}
    await ask(world, "PUT", body={"effect_mode": 1}, key=made)
    await killed(world)
    await ask(world, "PUT", body={"disable_sdk": True, "effect_mode": 1}, key=made)
    assert told(world) == {"": RemoteConfig(disable_sdk=True, effect_mode=1)}, "it was on already"


async def test_turning_it_off_takes_one(world: World) -> None:
    await killed(world)
    await ask(world, "PUT", body={})
    assert told(world) == {"": RemoteConfig()}


async def test_what_is_killed_can_be_changed_by_one(world: World) -> None:
    await killed(world)
    await ask(world, "PUT", body={"disable_sdk": True, "effect_mode": 1})
    assert told(world) == {"": RemoteConfig(disable_sdk=True, effect_mode=1)}


async def test_one_app_s_switch_is_its_own(world: World) -> None:
    await killed(world, "com.bank.card")
    shown = await ask(world, "PUT", body={"disable_sdk": True})
    assert [each["app_id"] for each in shown["proposals"]] == [""], "all apps are another matter"
    shown = await ask(world, "PUT", body={"disable_sdk": True, "app_id": "com.bank.other"})
    assert [each["app_id"] for each in shown["proposals"]] == ["", "com.bank.other"]


async def killed(world: World, app_id: str = "") -> None:
    shown = await ask(world, "PUT", body={"disable_sdk": True, "app_id": app_id})
    proposal = {"proposal": shown["proposals"][0]["proposal"]}
    await ask(world, "POST", "/approve", proposal, key=world.keys.secret_key)
    assert told(world)[app_id].disable_sdk


async def test_an_approval_is_of_what_was_seen(world: World) -> None:
    seen = (await ask(world, "PUT", body={"disable_sdk": True}))["proposals"][0]["proposal"]
    await ask(world, "PUT", body={"disable_sdk": True, "event_blacklist": ["buy"]})
    await ask(world, "POST", "/approve", {"proposal": seen}, key=world.keys.secret_key, status=422)
    assert told(world) == {}


async def test_a_proposal_expires(world: World) -> None:
    seen = (await ask(world, "PUT", body={"disable_sdk": True}))["proposals"][0]["proposal"]
    world.now += PROPOSAL_MS
    assert (await ask(world, "GET"))["proposals"] == []
    await ask(world, "POST", "/approve", {"proposal": seen}, key=world.keys.secret_key, status=422)
    assert told(world) == {}


async def test_a_proposal_can_be_taken_back(world: World) -> None:
    await ask(world, "PUT", body={"disable_sdk": True})
    assert (await ask(world, "POST", "/withdraw", {}))["proposals"] == []
    problem = await ask(world, "POST", "/withdraw", {}, status=422)
    assert problem["field"] == "app_id"
    assert actions(world) == ["remote_config.propose", "remote_config.withdraw"]


async def test_a_proposal_of_another_project_cannot_be_approved(world: World) -> None:
    other = world.workspace.create_project(Project(f"{world.project}_2"))
    seen = (await ask(world, "PUT", body={"disable_sdk": True}))["proposals"][0]["proposal"]
    answer = await world.client.post(
        f"/api/v1/projects/{other.name}/remote-config/approve",
        json={"proposal": seen},
        headers={"Authorization": f"Bearer {other.secret_key}"},
    )
    assert answer.status_code == 422
    assert told(world) == {}


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"autoTrackMode": 3}, "autoTrackMode", "auto_track_mode"),
        ({"disableSDK": True}, "disableSDK", "disable_sdk"),
        ({"auto_track_mode": 16}, "auto_track_mode", "4 app_click"),
        ({"auto_track_mode": "3"}, "auto_track_mode", ""),
        ({"effect_mode": 2}, "effect_mode", "at once"),
        ({"event_blacklist": ["ok", "no name"]}, "event_blacklist[1]", "no name"),
        ({"event_blacklist": "buy"}, "event_blacklist", ""),
        ({"app_id": "a\nb"}, "app_id", "characters"),
        ({"app_id": "a" * 256}, "app_id", ""),
        ({"disable_sdk": 1}, "disable_sdk", ""),
    ],
)
async def test_what_cannot_be_is_refused_with_the_field(
    world: World, body: dict[str, Any], field: str, says: str
) -> None:
    problem = await ask(world, "PUT", body=body, status=422)
    assert problem["field"] == field
    assert says in problem["detail"] + str(problem["nearest"])
    assert told(world) == {}
    assert actions(world) == []


async def test_a_project_has_so_many_apps_and_no_more(world: World) -> None:
    for number in range(MOST_APPS):
        world.workspace.remote_config.put(
            world.project, f"app-{number}", RemoteConfig(), actor="somebody", now=1
        )
    problem = await ask(world, "PUT", body={"app_id": "one-more"}, status=422)
    assert problem["field"] == "app_id"
    await ask(world, "PUT", body={"app_id": "app-7", "effect_mode": 1})


async def test_keys_of_other_projects_and_write_keys_may_not(world: World) -> None:
    other = world.workspace.create_project(Project(f"{world.project}_2"))
    for key in (other.secret_key, world.keys.write_key):
        await ask(world, "GET", key=key, status=403)
        await ask(world, "PUT", body={"effect_mode": 1}, key=key, status=403)
        await ask(world, "POST", "/approve", {"proposal": "x"}, key=key, status=403)
    assert told(world) == {}
