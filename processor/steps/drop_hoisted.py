"""Step: properties that speak about the record are no properties of the event; aliases get their one name."""

from __future__ import annotations

from footfall.events.record import HOISTED
from processor.event_block import EventBlock

ALIASES = {"$event_duration": "event_duration"}
"""The name in documents -> the name on the wire, under which both are stored."""


def drop_hoisted(block: EventBlock) -> EventBlock:
    """Removes $project, $token, $time, $is_login_id; stores $event_duration as event_duration."""
    for name in HOISTED & block.properties.keys():
        block = block.with_property(name, None)
    for alias, name in ALIASES.items():
        if (sparse := block.properties.get(alias)) is not None:
            block = block.with_property(alias, None).put(name, sparse.rows, sparse.values)
    return block
