"""Projects and keys: who may do what, what a project may be, and that several processes agree on it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from footfall.workspace import (
    Grant,
    IdentityRules,
    InvalidProject,
    Project,
    ProjectExists,
    Workspace,
    open_workspace,
)


@pytest.fixture
def workspace(workspace_url: str) -> Iterator[Workspace]:
    opened = open_workspace(workspace_url)
    yield opened
    opened.close()


def test_the_first_start_makes_the_default_project_and_its_keys(workspace: Workspace) -> None:
    keys = workspace.bootstrap(None, None)
    assert keys.generated
    assert keys.write_key is not None
    assert keys.secret_key is not None
    assert keys.write_key.startswith("ff_wk_")
    assert keys.secret_key.startswith("ff_sk_")
    assert workspace.grant(keys.write_key) == Grant("write", "default")
    assert workspace.grant(keys.secret_key) == Grant("secret", None)
    assert workspace.projects() == [Project("default")]


def test_generated_keys_are_shown_once(workspace: Workspace) -> None:
    first = workspace.bootstrap(None, None)
    second = workspace.bootstrap(None, None)
    assert (second.write_key, second.secret_key, second.generated) == (None, None, False)
    assert workspace.grant(first.write_key or "") == Grant("write", "default")


def test_given_keys_are_taken_as_they_are(workspace: Workspace) -> None:
    keys = workspace.bootstrap("write", "secret")
    assert (keys.write_key, keys.secret_key, keys.generated) == ("write", "secret", False)
    assert workspace.bootstrap("write", "secret") == keys
    assert workspace.grant("write") == Grant("write", "default")
    assert workspace.grant("secret") == Grant("secret", None)


def test_a_given_key_replaces_the_one_before_it(workspace: Workspace) -> None:
    workspace.bootstrap("write", "secret")
    workspace.bootstrap("write", "another secret")
    assert workspace.grant("secret") is None
    assert workspace.grant("another secret") == Grant("secret", None)
    assert workspace.grant("write") == Grant("write", "default")


def test_only_the_key_that_is_missing_is_generated(workspace: Workspace) -> None:
    keys = workspace.bootstrap("write", None)
    assert keys.write_key == "write"
    assert keys.generated
    assert workspace.grant(keys.secret_key or "") == Grant("secret", None)


def test_a_projects_keys_open_that_project_only(workspace: Workspace) -> None:
    keys = workspace.create_project(Project("retail"))
    secret = workspace.grant(keys.secret_key)
    assert secret == Grant("secret", "retail")
    assert secret.opens("retail")
    assert not secret.opens("default")
    assert workspace.grant(keys.write_key) == Grant("write", "retail")
    assert Grant("secret", None).opens("anything")


@pytest.mark.parametrize(
    "key", ["", "write ", "WRITE", "%", "' OR 1 = 1 --", "银行", "\ud800", "x" * 100_000]
)
def test_a_key_that_was_never_made_opens_nothing(workspace: Workspace, key: str) -> None:
    workspace.bootstrap("write", "secret")
    assert workspace.grant(key) is None


def test_keys_are_not_kept(tmp_path: Path) -> None:
    opened = open_workspace(f"sqlite:///{tmp_path}/workspace.db")
    keys = opened.create_project(Project("retail"))
    opened.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert keys.secret_key.encode() not in kept
    assert keys.write_key.encode() not in kept


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    open_workspace(f"sqlite:///{tmp_path}/workspace.db").close()
    assert (tmp_path / "workspace.db").stat().st_mode & 0o077 == 0


def test_a_project_comes_back_as_it_was_made(workspace: Workspace) -> None:
    rules = IdentityRules(bindings="trusted", shared_device_limit=7)
    project = Project("retail-app", "Europe/Zurich", "sunday", keyless=True, identity=rules)
    workspace.create_project(project)
    assert workspace.project("retail-app") == project
    assert workspace.project("nowhere") is None


def test_a_name_is_given_once(workspace: Workspace) -> None:
    workspace.create_project(Project("retail"))
    with pytest.raises(ProjectExists, match="'retail' exists already"):
        workspace.create_project(Project("retail"))


@pytest.mark.parametrize(
    "name", ["", "-x", "a b", "x/../y", "x" * 65, "银行", "a\n", "'; DROP TABLE projects"]
)
def test_a_name_that_cannot_be_is_refused(workspace: Workspace, name: str) -> None:
    with pytest.raises(InvalidProject, match="1 to 64 letters") as caught:
        workspace.create_project(Project(name))
    assert caught.value.field == "name"
    assert workspace.projects() == []


@pytest.mark.parametrize(
    ("project", "field", "message"),
    [
        (Project("x", timezone="Asia/Shanghi"), "timezone", "did you mean 'Asia/Shanghai'?"),
        (Project("x", timezone="europe/zurich"), "timezone", "did you mean 'Europe/Zurich'?"),
        (Project("x", timezone="../../etc/passwd"), "timezone", "is not a time zone"),
        (Project("x", week_start="sundy"), "week_start", "did you mean 'sunday'?"),
        (
            Project("x", identity=IdentityRules(strategy="one")),
            "identity.strategy",
            "not one of 'many_to_one'",
        ),
        (
            Project("x", identity=IdentityRules(bindings="trust")),
            "identity.bindings",
            "did you mean 'trusted'?",
        ),
        (
            Project("x", identity=IdentityRules(shared_device_limit=0)),
            "identity.shared_device_limit",
            "1 to 1000",
        ),
    ],
)
def test_a_field_that_cannot_be_is_named_with_what_can(
    workspace: Workspace, project: Project, field: str, message: str
) -> None:
    with pytest.raises(InvalidProject) as caught:
        workspace.create_project(project)
    assert caught.value.field == field
    assert message in caught.value.message


def test_a_key_works_in_another_process_at_once(workspace_url: str) -> None:
    url = workspace_url
    script = f"""
        import sys
        from footfall.workspace import open_workspace
        workspace = open_workspace({url!r})
        print("open", flush=True)
        for key in sys.stdin:
            print(workspace.grant(key.strip()), flush=True)
        workspace.close()
    """
    reader = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        opened = open_workspace(url)
        keys = opened.create_project(Project("retail"))
        opened.close()
        reader.stdin.write(f"{keys.write_key}\n")
        reader.stdin.close()
        assert reader.stdout.readline() == "Grant(kind='write', project='retail')\n"
    assert reader.returncode == 0


@pytest.mark.parametrize(
    "url", ["", "workspace.db", "sqlite://", "sqlite:///", "oracle://host/x", "mysql://host/x"]
)
def test_a_url_that_means_nothing_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="workspace URL"):
        open_workspace(url)
