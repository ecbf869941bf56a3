"""Requests made from our own OpenAPI documents, valid and invalid ones, to every route of a real system.

Whatever is asked: no answer is a 5xx, each has a status and a media type that the document knows, and a body
of the shape that it says. FUZZ_EXAMPLES sets how many requests of each kind an operation gets.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from footfall.cli.demo_system import RunningSystem

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "3"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
@pytest.mark.parametrize("api", ["collector", "query"])
def test_every_operation_answers_as_its_document_says(
    footfall: RunningSystem, session: requests.Session, api: str, mode: GenerationMode
) -> None:
    url, key = {
        "collector": (footfall.collect_url, footfall.write_key),
        "query": (footfall.query_url, footfall.secret_key),
    }[api]
    document = session.get(f"{url}/openapi.json", timeout=30).json()
    headers = {"Authorization": f"Bearer {key}"}
    problems = [
        problem
        for result in schemathesis.openapi.from_dict(document).get_all_operations()
        for problem in _problems(result.ok(), url, headers, session, mode)
    ]
    assert not problems, "\n\n".join(problems)


def _problems(
    operation: Any, url: str, headers: dict[str, str], session: requests.Session, mode: GenerationMode
) -> list[str]:
    """What is wrong with the answers to requests of one operation."""

    @SETTINGS
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        case.call_and_validate(base_url=url, headers=headers, session=session, checks=CHECKS, timeout=60)

    try:
        ask()
    except Unsatisfiable:
        return []  # without anything to say there is nothing invalid to say
    except (Failure, FailureGroup) as failure:
        return [f"{operation.label}: {failure}"]
    return []
