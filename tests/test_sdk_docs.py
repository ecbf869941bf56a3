"""The SDK's public names are these, and docs/sdk-python.md tells of all of them."""

from __future__ import annotations

import inspect
from pathlib import Path

import footfall_sdk
from footfall_sdk import Client, Loss

PAGE = Path(__file__).parent.parent / "docs" / "sdk-python.md"


def test_the_public_names_are_these() -> None:
    assert footfall_sdk.__all__ == ["Client", "Counters", "Loss", "Rejection", "Who", "__version__"]


def test_the_page_tells_of_every_call_and_option() -> None:
    page = PAGE.read_text()
    methods = [name for name in vars(Client) if not name.startswith("_")]
    assert [name for name in methods if f"`{name}" not in page and name != "anonymous_id"] == []
    options = inspect.signature(Client.__init__).parameters.keys() - {"self", "limits"}
    assert [name for name in options if name not in page] == []


def test_the_page_tells_of_every_loss() -> None:
    page = PAGE.read_text()
    assert [loss for loss in Loss if f"| `{loss.value}` |" not in page] == []


def test_the_distribution_has_the_version_of_the_package() -> None:
    project = (PAGE.parent.parent / "sdk" / "python" / "pyproject.toml").read_text()
    assert f'version = "{footfall_sdk.__version__}"' in project
