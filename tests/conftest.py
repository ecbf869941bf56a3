"""Fixtures that several tests use: the store of this process, and a whole Footfall (`system`)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from footfall.storage.migrate import migrate
from footfall.storage.opening import open_store
from footfall.storage.store import Store
from footfall.storage.topology import Topology


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The one store of this process, migrated; chDB allows no second one: keep tests apart by project."""
    root = tmp_path_factory.mktemp("store")
    opened = open_store(f"chdb://{root / 'chdb'}", scratch=root / "scratch")
    migrate(opened, Topology())
    yield opened
    opened.close()


_numbers = itertools.count(1)


@pytest.fixture
def new_name() -> Callable[[str], str]:
    """Gives names that no other test uses: of projects, of tables."""
    return lambda prefix: f"{prefix}_{next(_numbers)}"
