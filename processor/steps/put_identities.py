"""Step: declared identities (`$identity_cookie_id`, ...) become properties, so that a row keeps every id
it came with.
"""

from __future__ import annotations

from footfall.events.record import Record
from processor.event_block import EventBlock, transpose

_NONE: dict[str, str] = {}


def put_identities(block: EventBlock) -> EventBlock:
    """Entries of `identities`; those that repeat an id with a column of its own are left out."""
    if not any(record.identities for record in block.records):
        return block
    told = [_not_repeated(record) if record.identities else _NONE for record in block.records]
    for name, sparse in transpose(told).items():
        block = block.put(name, sparse.rows, sparse.values)
    return block


def _not_repeated(record: Record) -> dict[str, str]:
    own = (record.distinct_id, record.anonymous_id, record.login_id, "")
    identities = record.identities or {}
    return {name: value for name, value in identities.items() if type(value) is str and value not in own}
