"""Properties of items (a fund, an account): reached through the event property that holds the item's id.

Ids are compared as the texts that are stored. An event without an id, an id without an item, and an item that
was deleted have no properties: all of them are missing.
"""

from __future__ import annotations

from query_api.catalogue import Catalogue
from query_api.sql.parameters import Parameters
from query_api.sql.properties import PropertySql, event_property, map_property

_CURRENT = """(SELECT item_id, item FROM (
    SELECT item_id, argMax(properties, version) AS item, argMax(deleted, version) AS is_deleted
    FROM items WHERE project = {project} AND item_type = {item_type} GROUP BY item_id
) WHERE NOT is_deleted)"""


def item_property(name: str, catalogue: Catalogue, parameters: Parameters) -> PropertySql:
    """A property of the item itself: for use within `current_items`."""
    return map_property(name, "item", "item", catalogue, parameters)


def current_items(project: str, item_type: str, parameters: Parameters) -> str:
    """A subquery of (item_id, item): the items of that type as they are now, `item` the map of properties."""
    return _CURRENT.replace("{project}", parameters.text(project)).replace(
        "{item_type}", parameters.text(item_type)
    )


def item_is(by: PropertySql, items: str, test: str) -> str:
    """1 if the row's item passes `test`, else 0: never NULL. `items` is what `current_items` gives."""
    return f"{by.raw} IN (SELECT item_id FROM {items} WHERE {test})"


def item_key(by: str, found: PropertySql, items: str, catalogue: Catalogue, parameters: Parameters) -> str:
    """String: the row's part of a group's key: '' for a missing value, else '=' and its text."""
    key = f"ifNull(concat('=', {found.canonical}), '')"
    lists = f"(SELECT (groupArray(item_id), groupArray({key})) FROM {items})"
    # Both arrays come from one constant, which the engine computes once for both places.
    return f"transform({event_property(by, catalogue, parameters).raw}, {lists}.1, {lists}.2, '')"
