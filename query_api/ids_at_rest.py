"""Ids as people type them -> ids as records that carry them rest (footfall/privacy): pseudonyms, for some."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from footfall.treatment.policy import PolicyOf

IdAtRest = Callable[[str, str], str]
"""(project, id) -> what rests of the id. A pseudonym stays as it is."""


def ids_at_rest(policy_of: PolicyOf) -> IdAtRest:
    """As the doors do it, by the project's rules of now."""

    def at_rest(project: str, id_: str) -> str:
        privacy = policy_of(project).privacy
        return id_ if privacy is None else privacy.id(id_)

    return at_rest


def either_id(id_: str, rest: str) -> list[str]:
    """Both spellings: rows from before a rule was made carry the id itself."""
    return [id_] if rest == id_ else [id_, rest]


def spec_with_ids_at_rest(given: Any, at_rest: Callable[[str], str]) -> Any:
    """A query's body in which conditions on `distinct_id` name what rests beside what was typed."""
    if isinstance(given, list):
        return [spec_with_ids_at_rest(each, at_rest) for each in given]
    if not isinstance(given, Mapping):
        return given
    if given.get("property") == "distinct_id":
        return _leaf(given, at_rest)
    return {name: spec_with_ids_at_rest(value, at_rest) for name, value in given.items()}


_SEVERAL = {"eq": "in", "in": "in", "ne": "not_in", "not_in": "not_in"}


def _leaf(given: Mapping[str, Any], at_rest: Callable[[str], str]) -> Mapping[str, Any]:
    """A condition on ids; one that looks at parts of them looks at parts of what rests."""
    op, value = given.get("op"), given.get("value")
    typed = value if isinstance(value, list) else [value]
    if op not in _SEVERAL or not all(isinstance(each, str) for each in typed):
        return given
    more = [rest for rest in map(at_rest, typed) if rest not in typed]
    return given if not more else {**given, "op": _SEVERAL[op], "value": [*typed, *more]}
