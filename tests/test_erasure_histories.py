"""Random histories with erasures in between: everybody else stays who they are, with what they did."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from footfall.events.log_record import Refusal
from footfall.proof.findings import Finding
from footfall.proof.verify import verify
from footfall.rights.desk import ErasureDesk
from footfall.rights.erasure import Eraser
from footfall.rights.opened import ErasureOptions, Opened
from footfall.sealing import Sealer
from footfall.storage.store import QueryLimits, Store
from footfall.workspace import Project, Workspace, open_workspace
from footfall.workspace.erasures import UnknownPerson
from processor.removals import Removals
from processor.restamp import Restamper
from query_api.answers import write_json
from query_api.catalogue import read_catalogue
from query_api.people import find_person, show_person
from query_api.problems import NotFound
from query_api.store_reader import StoreReader
from query_api.timelines import read_profile_history, read_timeline
from tests.processor_world import HASH, KEY, NOON, World
from tests.system import EAGER

DEVICES = ("d0", "d1", "d2", "d3")
LOGINS = ("c0", "c1", "c2", "c3", "c4")
IDS = (*DEVICES, *LOGINS)
_numbers = itertools.count(1)

said = st.one_of(
    st.tuples(st.just("view"), st.sampled_from(IDS)),
    st.tuples(st.just("login"), st.sampled_from(LOGINS), st.sampled_from(DEVICES)),
    st.tuples(st.just("signup"), st.sampled_from(LOGINS), st.sampled_from(DEVICES)),
    st.tuples(st.just("profile"), st.sampled_from(IDS)),
    st.tuples(st.just("refused"), st.sampled_from(IDS)),
)
histories = st.lists(said, min_size=5, max_size=20)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with closing(open_workspace(f"sqlite:///{tmp_path}/workspace.db", lambda: KEY)) as opened:
        yield opened


class Installation:
    """A project of its own, with what can be asked about it."""

    def __init__(self, store: Store, workspace: Workspace) -> None:
        self.store = store
        self.world = World(store, f"erased_{next(_numbers)}")
        self.world.now = NOON
        self.project = Project(self.world.project)
        workspace.create_project(self.project)
        self.restamper = Restamper(store, self.world.processor, clock=lambda: self.world.now, options=EAGER)
        removals = Removals(store, lambda: self.world.now, self.restamper.kept_away)
        self.workspace = workspace
        opened = Opened(store, self.world.log, workspace, HASH, Sealer(KEY), lambda: self.world.now)
        self.desk = ErasureDesk(opened)
        self.eraser = Eraser(
            opened, self.desk, self.world.processor, removals, options=ErasureOptions(settle_seconds=0)
        )

    def say(self, kind: str, who: str, device: str = "") -> None:
        self.world.now += 1_000
        refusals: list[Refusal] = []
        record: dict[str, Any] = {"event": "view", "distinct_id": who, "time": self.world.now}
        if kind == "login":
            record |= {"login_id": who, "anonymous_id": device}
        elif kind == "signup":
            record = {
                "type": "track_signup",
                "distinct_id": who,
                "original_id": device,
                "time": self.world.now,
            }
        elif kind == "profile":
            properties = {"n": self.world.now}
            record = {
                "type": "profile_set",
                "distinct_id": who,
                "properties": properties,
                "time": self.world.now,
            }
        elif kind == "refused":
            refusals = [Refusal(0, "invalid_name", "event", "9")]
        self.world.append(record, received_at=self.world.now, refusals=refusals)

    def restamp(self) -> None:
        self.world.process()
        while self.restamper.turn():
            pass

    def erase(self, who: str) -> set[str]:
        """The ids that are gone with it."""
        self.world.now += 1_000
        asked = self.desk.ask(self.project, who, "test", "test")
        self.eraser.run_open()
        done = self.workspace.erasures.find(asked.id)
        assert done is not None
        assert done.state == "finished", done.waits_for
        return {each for each in IDS if HASH.id_key(self.project.name, each) in done.keys}

    def findings(self) -> list[Finding]:
        rules = self.project.identity.resolution
        return [
            each
            for each in verify(self.store, self.world.log, lambda _: rules)
            if isinstance(each, Finding) and each.project == self.project.name
        ]

    def person(self, who: str, gone: set[str]) -> Any:
        """What is known of the person of an id, but for mentions of those that are gone; None: nobody."""
        reader = StoreReader(self.store, QueryLimits())
        catalogue = read_catalogue(self.store, self.project.name)
        try:
            shown = show_person(reader, self.project, catalogue, HASH, who)
        except NotFound:
            return None
        key = find_person(reader, self.project, HASH, who)
        timeline = read_timeline(reader, self.project, catalogue, key, before=None, limit=1000)
        history = read_profile_history(reader, self.project, key, before=None, limit=1000)
        for event in timeline["events"]:
            for name in ("anonymous_id", "distinct_id"):
                if event[name] in gone:
                    event[name] = None if name == "anonymous_id" else ""
        found: list[Any] = json.loads(write_json([shown, timeline, history]))
        return found


@example(
    first=[
        ("view", "d0"), ("login", "c0", "d0"), ("login", "c1", "d0"), ("profile", "c0"), ("profile", "d0"),
        ("signup", "c2", "d1"), ("login", "c0", "d1"), ("refused", "c2"), ("view", "d2"), ("view", "c3"),
        ("login", "c0", "d3"), ("login", "c1", "d3"), ("login", "c2", "d3"),
        ("login", "c3", "d3"), ("view", "d3"),
    ],
    one="d0",
    restamps=True,
    then=[("view", "d0"), ("login", "c2", "d2"), ("profile", "c2"), ("login", "c0", "d1"), ("view", "c1")],
    other="c2",
)  # fmt: skip
@given(histories, st.sampled_from(IDS), st.booleans(), histories, st.sampled_from(IDS))
@settings(
    max_examples=int(os.environ.get("ERASURE_EXAMPLES", "1")),  # some ten seconds each
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_everybody_else_stays_as_they_were(
    store: Store,
    workspace: Workspace,
    first: list[Any],
    one: str,
    restamps: bool,
    then: list[Any],
    other: str,
) -> None:
    installation = Installation(store, workspace)
    for words, erased in ((first, one), (then, other)):
        for each in words:
            installation.say(*each)
        installation.world.process()
        if restamps:
            installation.restamp()
        before = {who: installation.person(who, set()) for who in IDS}
        try:
            gone = installation.erase(erased)
        except UnknownPerson:
            assert before[erased] is None
            continue
        after = {who: installation.person(who, set()) for who in IDS}
        assert {who: after[who] for who in set(IDS) - gone} == {
            who: known for who, known in _without(before, gone).items() if who not in gone
        }
        assert not any(after[who] for who in gone)
        assert installation.findings() == []


def _without(before: dict[str, Any], gone: set[str]) -> dict[str, Any]:
    for known in before.values():
        for event in known[1]["events"] if known is not None else ():
            if event["anonymous_id"] in gone:
                event["anonymous_id"] = None
            if event["distinct_id"] in gone:
                event["distinct_id"] = ""
    return before
