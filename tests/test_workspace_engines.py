"""What the workspace does is the same on both engines: texts, numbers, order, and who comes first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from footfall.privacy.settings import read_settings
from footfall.workspace import (
    AuditFilter,
    IdentityRules,
    KeyTerms,
    Project,
    SavedVirtualEvent,
    TooManyKeys,
    VirtualEventRefused,
    Workspace,
    open_workspace,
)
from footfall.workspace.erasures import Erasure, Hold
from footfall.workspace.keep_rules import KeepRule
from footfall.workspace.remote_config import InvalidRemoteConfig, Proposal, RemoteConfig

KEY = bytes(32)
NOW = 1_796_000_000_000
AWKWARD = [
    "nul\0inside", "\0", "\ufdd0", "\ufdd00", "\ufdd0\0", "a\u0301", "á", "客户", "\U0001f600",
    "' OR 1 = 1 --", "100%", "under_score", "back\\slash", "new\nline", "x" * 255,
]  # fmt: skip


@pytest.fixture
def workspace(workspace_url: str, tmp_path: Path) -> Iterator[Workspace]:
    with closing(open_workspace(workspace_url, lambda: KEY, home=tmp_path)) as opened:
        opened.create_project(Project("bank"))
        yield opened


@pytest.fixture
def other(workspace: Workspace, workspace_url: str, tmp_path: Path) -> Iterator[Workspace]:
    """The same place, opened by somebody else."""
    with closing(open_workspace(workspace_url, lambda: KEY, home=tmp_path)) as opened:
        yield opened


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each gives or raises when all begin together."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        gate.wait()
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_texts_come_back_as_they_were(workspace: Workspace) -> None:
    ids = IdentityRules(nobody_ids=tuple(AWKWARD))
    workspace.create_project(Project("texts", identity=ids))
    found = workspace.project("texts")
    assert found is not None
    assert found.identity.nobody_ids == tuple(AWKWARD)
    for number, text in enumerate(AWKWARD):
        hold = Hold("bank", number, text, text, NOW)
        workspace.holds.put(hold)
        assert hold in workspace.holds.of_project("bank")
        workspace.keep_rules.replace("bank", [KeepRule("event", text or "x", 30)])
        assert [rule.name for rule in workspace.keep_rules.of_project("bank")] == [text]
        _, listed = workspace.create_key("bank", "write", KeyTerms(text))
        assert listed.terms.name == text
        assert text in [key.terms.name for key in workspace.keys.of_project("bank")]


@pytest.mark.parametrize("name", AWKWARD)
def test_a_name_that_nothing_has_is_not_found(workspace: Workspace, name: str) -> None:
    assert workspace.project(name) is None
    assert workspace.grant(name) is None
    assert workspace.plans.current(name) is None
    assert workspace.virtual_events(name) == []
    assert not workspace.delete_virtual_event("bank", name)
    assert not workspace.keys.revoke("bank", name)
    assert list(workspace.audit.rows(AuditFilter(actor=name))) == []


def test_case_and_accents_tell_names_apart_and_order_is_by_code_points(workspace: Workspace) -> None:
    names = ["B", "a", "b", "A", "_c", "1", "aa", "á", "a\u0301", "客", "Ω"]
    for name in names:
        workspace.save_virtual_event("bank", SavedVirtualEvent(name, "{}", NOW), most=50)
    assert [each.name for each in workspace.virtual_events("bank")] == sorted(names)
    workspace.create_project(Project("Bank"))
    workspace.create_project(Project("a-b"))
    assert [project.name for project in workspace.projects()] == ["Bank", "a-b", "bank"]
    for action in ("Export.x", "export.y", "export_z"):
        workspace.audit.record("command line", action, "", "")
    assert [row.action for row in workspace.audit.rows(AuditFilter(action="export."))] == ["export.y"]


def test_numbers_and_bytes_come_back_as_they_were(workspace: Workspace) -> None:
    erasure = Erasure("e", "bank", "asked", "r", "a", 2**53, sealed=bytes(range(256)), keys=(0, 2**64 - 1))
    erasure = replace(erasure, backups=[])
    workspace.erasures.save(erasure)
    assert workspace.erasures.find("e") == erasure
    workspace.erasures.save(replace(erasure, state="finished"))
    assert [each.state for each in workspace.erasures.cut()] == ["finished"]
    assert workspace.erasures.open() == []
    workspace.holds.put(Hold("bank", 2**64 - 1, "court", "ann", 2**53))
    assert [hold.id_key for hold in workspace.holds.all()] == [2**64 - 1]
    assert workspace.holds.release("bank", 2**64 - 1)
    assert not workspace.holds.release("bank", 2**64 - 1)
    _, key = workspace.create_key("bank", "secret", KeyTerms("k", 2**53, 2**31))
    assert workspace.keys.of_project("bank")[-1] == key


def test_of_two_that_make_a_project_one_is_told(workspace: Workspace, other: Workspace) -> None:
    made = at_once(*[lambda each=each: each.create_project(Project("new")) for each in (workspace, other)])
    assert sorted(type(each).__name__ for each in made) == ["ProjectExists", "ProjectKeys"]


def test_what_replaces_replaces_whole_whoever_else_does(workspace: Workspace, other: Workspace) -> None:
    both = (workspace, other) * 3

    def rules(number: int) -> list[KeepRule]:
        return [KeepRule("event", f"{number}-{each}", 30) for each in range(20)]

    calls = [lambda n=n, w=w: w.keep_rules.replace("bank", rules(n)) for n, w in enumerate(both)]
    assert at_once(*calls) == [None] * 6
    kept = workspace.keep_rules.of_project("bank")
    assert len({rule.name.partition("-")[0] for rule in kept}) == 1
    assert len(kept) == 20
    calls = [lambda w=w: w.privacy.save("bank", read_settings({}), by="a", now=NOW) for w in both]
    calls += [lambda w=w: w.holds.put(Hold("bank", 1, "r", "a", NOW)) for w in both]
    calls += [lambda w=w: w.keep("bank", 30) for w in both]
    calls += [lambda w=w: w.erasures.save(Erasure("e", "bank", "asked", "", "", NOW)) for w in both]
    assert at_once(*calls) == [None] * 24
    assert len(workspace.holds.all()) == 1


def test_limits_hold_whoever_else_adds(workspace: Workspace, other: Workspace, monkeypatch: Any) -> None:
    both = (workspace, other) * 3

    def add(number: int, there: Workspace) -> None:
        there.save_virtual_event("bank", SavedVirtualEvent(f"v{number}", "{}", NOW), most=2)

    said = at_once(*[lambda n=n, w=w: add(n, w) for n, w in enumerate(both)])
    assert [type(each) for each in said].count(VirtualEventRefused) == 4
    assert len(workspace.virtual_events("bank")) == 2
    monkeypatch.setattr("footfall.workspace.project_keys.MAX_KEYS", 4)  # it was made with two
    said = at_once(*[lambda w=w: w.create_key("bank", "write", KeyTerms()) for w in both])
    assert [type(each) for each in said].count(TooManyKeys) == 4
    assert len(workspace.keys.of_project("bank")) == 4


def test_the_kill_switch_takes_two_whoever_else_sets_something(
    workspace: Workspace, other: Workspace
) -> None:
    off = RemoteConfig(disable_sdk=True)
    proposed = workspace.remote_config.put("bank", "app", off, actor="ann", now=NOW)
    assert isinstance(proposed, Proposal)
    with pytest.raises(InvalidRemoteConfig, match="yourself"):
        other.remote_config.approve("bank", proposed.id, actor="ann", now=NOW)
    said = at_once(
        lambda: workspace.remote_config.approve("bank", proposed.id, actor="bob", now=NOW),
        lambda: other.remote_config.approve("bank", proposed.id, actor="eve", now=NOW),
    )
    assert [type(each) for each in said].count(InvalidRemoteConfig) == 1
    assert workspace.remote_config.of("bank")["app"] == off
    assert workspace.remote_config.proposals("bank", NOW) == []


def test_one_chain_of_all_that_record_at_once(workspace: Workspace, other: Workspace) -> None:
    said = at_once(
        *[
            lambda n=n, w=w: w.audit.record("a", "b.c", "", str(n))
            for n, w in enumerate((workspace, other) * 6)
        ]
    )
    assert sorted(row.sequence for row in said) == list(range(1, 13))
    assert workspace.audit.verify().findings == ()


def test_a_write_that_fails_leaves_nothing(workspace: Workspace) -> None:
    for _ in range(2):
        with pytest.raises(VirtualEventRefused):
            workspace.save_virtual_event("bank", SavedVirtualEvent("v", "{}", NOW), most=0)
    assert workspace.virtual_events("bank") == []
