"""Plans for Hypothesis: few names and types, so that declarations meet one another and the records."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from footfall.tracking_plan.plan import (
    GRADES,
    MODES,
    PROPERTY_TYPES,
    UNKNOWN,
    Description,
    Plan,
    PlannedEvent,
    PlannedProperty,
)

NAMES = ("colour", "size", "price", "day", "tags", "vip", "amount", "$os", "event_duration")
EVENTS = ("purchase_fund", "open_page", "$pageview", "$SignUp")
FIXED = {"amount": "decimal", "$os": "string", "event_duration": "number"}
TEXTS = ("red", "blue", "2026-01-31 08:00:00", "")
NUMBERS = (0, 1, -7, 2.5)


@st.composite
def _property(draw: st.DrawFn, type_: str, *, of_events: bool) -> PlannedProperty:
    values: Any = {"string": TEXTS, "list": TEXTS, "number": NUMBERS, "decimal": NUMBERS}.get(type_, ())
    allowed = draw(st.lists(st.sampled_from(values), unique=True, max_size=3)) if values else []
    return PlannedProperty(
        type=type_,  # type: ignore[arg-type]
        required=of_events and draw(st.booleans()),
        allowed=tuple(allowed),
        owner=draw(st.sampled_from(("", "wealth"))),
        grade=draw(st.none() | st.sampled_from(GRADES)),
        description=draw(
            st.builds(Description, st.sampled_from(("", "金额")), st.sampled_from(("", "amount")))
        ),
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A plan in which every name has one type."""
    types = {name: FIXED.get(name) or draw(st.sampled_from(PROPERTY_TYPES)) for name in NAMES}

    def properties(names: tuple[str, ...], *, of_events: bool = True) -> dict[str, PlannedProperty]:
        chosen = draw(st.lists(st.sampled_from(names), unique=True, max_size=4)) if names else []
        return {name: draw(_property(types[name], of_events=of_events)) for name in chosen}

    common = properties(NAMES)
    own = tuple(name for name in NAMES if name not in common)
    events = {
        event: PlannedEvent(
            properties(own), draw(st.sampled_from(("", "cards"))), draw(st.none() | st.sampled_from(GRADES))
        )
        for event in draw(st.lists(st.sampled_from(EVENTS), unique=True))
    }
    return Plan(
        mode=draw(st.sampled_from(MODES)),
        unknown_events=draw(st.sampled_from(UNKNOWN)),
        unknown_properties=draw(st.sampled_from(UNKNOWN)),
        common_properties=common,
        events=events,
        user_properties=properties(NAMES, of_events=False),
        item_properties=properties(NAMES, of_events=False),
    )
