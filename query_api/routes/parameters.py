"""The query parameters of GET routes."""

from __future__ import annotations

from starlette.requests import Request

from query_api.problems import Fault, refused
from query_api.spec.spellings import nearest

MAX_LIMIT = 1_000
DEFAULT_LIMIT = 100


def read_parameters(request: Request, *allowed: str) -> dict[str, str]:
    """The query parameters; unknown ones are refused, as unknown fields of a body are."""
    for name in request.query_params:
        if name not in allowed:
            message = f"{name[:100]!r} is no parameter here"
            raise refused([Fault(name, "unknown_field", message, name, allowed, nearest(name, allowed))])
    return dict(request.query_params)


def read_limit(given: str | None) -> int:
    """How many rows a page has."""
    if given is None:
        return DEFAULT_LIMIT
    if not given.isascii() or not given.isdigit() or len(given) > 9 or not 1 <= int(given) <= MAX_LIMIT:
        raise refused([Fault("limit", "invalid_value", f"a number from 1 to {MAX_LIMIT}", given)])
    return int(given)
