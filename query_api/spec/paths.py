"""The spec of `paths`: which events, what a node is called, where a session ends, what is kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, model_validator

from query_api.spec.conditions import MAX_TEXT
from query_api.spec.query import QuerySpec, UsersFields
from query_api.spec.selector import EventNames, Selector
from query_api.spec.strict import Strict, refuse, refuse_not_implemented

MAX_STEPS = 100
MAX_LIMIT = 1_000
MAX_RULES = 100
MAX_SELECTORS = 100
_LONGEST_GAP = 3660 * 86_400

NodeName = Annotated[str, Field(max_length=MAX_TEXT)]


class Node(Strict):
    """A node is called by a property's value instead of the event's name; `for` null: for every event."""

    property: str = Field(min_length=1, max_length=MAX_TEXT)
    for_: EventNames = Field(default=None, alias="for")


class Cleaning(Strict):
    """Whatever matches the pattern is replaced, everywhere in a node's name; `\\1` is the first group."""

    pattern: str = Field(min_length=1, max_length=MAX_TEXT)
    replace: str = Field(max_length=MAX_TEXT)


class SessionProperty(Strict):
    """A session is an actor's events with one value of an event property; those without it are in none."""

    property: str = Field(min_length=1, max_length=MAX_TEXT)


def _read_session(given: Any) -> Any:
    """`"$event_session_id"`, as the contract writes it."""
    return {"property": given} if isinstance(given, str) else given


def _read_breakdown(given: Any) -> None:
    """None but null: the result has no place for groups."""
    if given is not None and given not in ([], ()):
        refuse_not_implemented("a breakdown of paths (ask once for each value, with where)", given=given)


Group = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
"""`"/fund/*"`: a node that contains it, where `*` is any characters, becomes it."""


class PathsSpec(QuerySpec):
    """`{"events": [selector, ...], "node": {"property": "$url", "for": ["$pageview"]}, "max_steps": 10}`."""

    events: tuple[Selector, ...] | None = Field(default=None, min_length=1, max_length=MAX_SELECTORS)
    node: Node | None = None
    session_gap_seconds: StrictInt = Field(default=1_800, ge=1, le=_LONGEST_GAP)
    session: Annotated[
        SessionProperty | None, BeforeValidator(_read_session, json_schema_input_type=str | None)
    ] = None
    start: NodeName | None = None
    end: NodeName | None = None
    max_steps: StrictInt = Field(default=10, ge=1, le=MAX_STEPS)
    collapse: StrictBool = True
    clean: tuple[Cleaning, ...] = Field(default=(), max_length=MAX_RULES)
    groups: tuple[Group, ...] = Field(default=(), max_length=MAX_RULES)
    limit: StrictInt = Field(default=50, ge=1, le=MAX_LIMIT)
    min_count: StrictInt = Field(default=1, ge=0)
    breakdown: Annotated[None, BeforeValidator(_read_breakdown, json_schema_input_type=None)] = None

    @model_validator(mode="after")
    def _check(self) -> PathsSpec:
        self.check_leaves(*(selector.where for selector in self.events or ()))
        return self

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What `events` says, or any `track` event."""
        return self.events or (Selector(event=None),)


class NodeId(Strict):
    """`"2_fund_list"`: the place in the path, from 1, and the name."""

    step: StrictInt = Field(ge=1)
    name: str


def _read_node_id(given: Any) -> Any:
    if isinstance(given, NodeId):
        return given
    step, separator, name = given.partition("_") if isinstance(given, str) else ("", "", "")
    if not separator or not step.isascii() or not step.isdigit() or len(step) > 4 or step[0] == "0":
        refuse("invalid_value", 'a node\'s id as the answer gives it, like "2_fund_list"', given=given)
    return {"step": int(step), "name": name}


_NodeId = Annotated[NodeId, BeforeValidator(_read_node_id, json_schema_input_type=str)]


class PathsCell(Strict):
    """A number of the answer: a node and what became of its sessions, or a link."""

    node: _NodeId | None = None
    outcome: Literal["reached", "continued", "exited"] | None = None
    source: _NodeId | None = None
    target: _NodeId | None = None

    @model_validator(mode="after")
    def _check(self) -> PathsCell:
        """One of the two forms, whole."""
        source, target = self.source, self.target
        if self.node is not None and source is None and target is None:
            return self
        if self.node is not None or (source is None and target is None):
            refuse("invalid_value", 'give a "node", or "source" and "target" of a link')
        if source is None or target is None:
            missing = "source" if source is None else "target"
            refuse("missing_field", "a link has a source and a target", field=missing)
        if self.outcome is not None:
            refuse("invalid_value", "goes with a node", field="outcome", given=self.outcome)
        if target.step != source.step + 1:
            message = f"a link from step {source.step} leads to step {source.step + 1}"
            refuse("invalid_value", message, field="target", given=f"{target.step}_{target.name}")
        return self


class PathsUsersSpec(PathsSpec, UsersFields):
    """Who is behind a cell. `limit` is of the list here: no number depends on how many links are shown."""

    limit: StrictInt = Field(default=100, ge=1, le=MAX_LIMIT)
    cell: PathsCell
