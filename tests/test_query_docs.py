"""docs/query-api.md says everything that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from query_api.openapi import describe
from query_api.options import QueryOptions
from query_api.problems import TITLES

TEXT = (Path(__file__).parents[1] / "docs" / "query-api.md").read_text("utf-8")


@pytest.mark.parametrize("path", sorted(describe()["paths"]))
def test_every_route_is_described(path: str) -> None:
    analysis = re.fullmatch(r"/api/v1/query/(\w+)(/\w+)?", path)
    shown = path if analysis is None else f"/{analysis[1]}" if analysis[2] is None else analysis[2]
    assert shown in TEXT


def test_every_status_is_described() -> None:
    assert [status for status in TITLES if str(status) not in TEXT] == []


def test_the_limits_are_the_defaults() -> None:
    options = QueryOptions()
    assert f"{options.seconds:.0f} s and {options.memory_bytes >> 30} GiB" in TEXT
    assert f"{options.concurrency} run at once and {options.queue} wait" in TEXT
