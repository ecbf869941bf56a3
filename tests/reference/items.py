"""Items by the book: what the records of items leave, and events that carry their item's properties.

A condition on an item's property is then a condition on the event's own property `<item type>:<property>`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.reference.events import Event

Body = dict[str, Any]
Items = Mapping[tuple[str, str], Mapping[str, Any]]


def items_after(records: Sequence[Mapping[str, Any]]) -> Items:
    """Properties by item type and id; no two records of an item have one time."""
    items: dict[tuple[str, str], dict[str, Any]] = {}
    for record in sorted(records, key=lambda record: record["time"]):
        key = record["item_type"], record["item_id"]
        if record["type"] == "item_delete":
            items.pop(key, None)
        else:
            items.setdefault(key, {}).update(record["properties"])
    return items


def with_items(events: Sequence[Event], items: Items) -> list[Event]:
    """The events, each with the properties of every item that a text property of its names."""
    carried = []
    for event in events:
        found = dict(event.properties)
        for (item_type, item_id), properties in items.items():
            for by, value in event.properties.items():
                if value == item_id:
                    found |= {f"{item_type}:{by}:{name}": of_item for name, of_item in properties.items()}
        carried.append(replace(event, properties=found))
    return carried


def about_events(value: Any) -> Any:
    """A query with every `of: item` as a property of the event that `with_items` gives it."""
    if isinstance(value, list):
        return [about_events(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("of") == "item":
        name = f"{value['item_type']}:{value['by']}:{value['property']}"
        rest = {key: each for key, each in value.items() if key not in ("of", "item_type", "by")}
        return {**rest, "property": name} if "op" in rest else name
    return {key: about_events(each) for key, each in value.items()}
