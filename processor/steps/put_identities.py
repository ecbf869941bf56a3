"""Step: declared identities (`$identity_cookie_id`, ...) become properties, so that a row keeps every id
it came with.
"""

from __future__ import annotations

from footfall.events.record import Record
from processor.event_block import EventBlock, transpose

_NONE: dict[str, str | list[str]] = {}


def put_identities(block: EventBlock) -> EventBlock:
    """Entries of `identities`; those that repeat an id with a column of its own are left out.

    Of a list of ids the others become a text if one is left, else a list.
    """
    if not any(record.identities for record in block.records):
        return block
    told = [_not_repeated(record) if record.identities else _NONE for record in block.records]
    for name, sparse in transpose(told).items():
        block = block.put(name, sparse.rows, sparse.values)
    return block


def _not_repeated(record: Record) -> dict[str, str | list[str]]:
    own = (record.distinct_id, record.anonymous_id, record.login_id, "")
    kept: dict[str, str | list[str]] = {}
    for name, identity in (record.identities or {}).items():
        told = identity if isinstance(identity, list) else [identity]
        others = [each for each in told if type(each) is str and each not in own]
        if others:
            kept[name] = others if len(others) > 1 else others[0]
    return kept
