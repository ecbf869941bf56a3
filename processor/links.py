"""What the records of a block say of ids under the strategy `global`: links, bindings and unbindings of
declared identities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from footfall.events.identity import ADMINISTRATOR, MERGED_LOGIN
from footfall.events.identity_keys import ANONYMOUS, LOGIN, IdentityKeys, Node, told_identities
from footfall.events.keys import NOBODY, event_key
from footfall.events.record import Record
from footfall.storage.rows import LinkRow
from processor.claims import IDENTITY_TYPES
from processor.event_block import Request, Rows
from processor.id_keys import IdKeys

_NOBODY = Node("", "")
_Pair = tuple[Node, Node]


class _Said(NamedTuple):
    """One thing that a record says."""

    kind: str
    one: Node
    other: Node


def find_links(requests: Sequence[Request], rows: Rows, id_keys: IdKeys) -> list[LinkRow]:
    """All that the records of projects with declared keys say: a link that is repeated once, by its first
    record.
    """
    first: dict[tuple[str, tuple[Node, ...], bool], int] = {}
    found: list[LinkRow] = []
    headers = [request.header for request in requests]
    for row, record in enumerate(rows.records):
        header = headers[rows.request_of[row]]
        if record.type.startswith("item"):
            continue
        nodes = id_keys.nodes(header.project, record)
        if record.type in IDENTITY_TYPES:
            if header.door == ADMINISTRATOR and MERGED_LOGIN in (record.identities or ()):
                continue  # a merging of logins is a ruling: processor/claims.py
            words = _of_identity_record(record, nodes, id_keys, header.project)
            found += (_link_row(requests, rows, row, word, id_keys) for word in words)
        elif len(nodes) > 1 or _must_be_told(record, nodes):
            place = (header.project, nodes, header.trusted)
            known = first.setdefault(place, row)
            if known != row and header.received_at <= headers[rows.request_of[known]].received_at:
                first[place] = min(known, row, key=lambda each: _order(requests, rows, each))
    links: dict[tuple[int, int, bool], LinkRow] = {}
    for (project, nodes, _), row in first.items():
        keys = id_keys.identity_keys(project)
        for said in _links(nodes, keys):
            link = _link_row(requests, rows, row, said, id_keys)
            known_link = links.setdefault((link.one_key, link.other_key, link.trusted), link)
            if _order_of(link) < _order_of(known_link):
                links[link.one_key, link.other_key, link.trusted] = link
    return [*links.values(), *found]


def _must_be_told(record: Record, nodes: Sequence[Node]) -> bool:
    """Whether an id that nothing is linked with would not be known from the record's row alone: that it is a
    login, or what its key is.
    """
    if not nodes:
        return False
    name, text = nodes[0]
    return name == LOGIN or text not in (record.distinct_id, record.anonymous_id)


def _links(nodes: Sequence[Node], keys: IdentityKeys, kind: str = "link") -> Iterator[_Said]:
    """The main id with each other one; an id whose key has a parent that is there, with that."""
    if len(nodes) == 1:
        yield _Said("told", nodes[0], _NOBODY)
    for node in nodes[1:]:
        parent = keys.parent(node.name)
        one = next((each for each in nodes if each.name == parent), nodes[0])
        yield _Said(kind, one, node)


def _of_identity_record(
    record: Record, nodes: tuple[Node, ...], id_keys: IdKeys, project: str
) -> Iterator[_Said]:
    keys, is_nobody = id_keys.identity_keys(project), id_keys.nobody_in(project)
    if record.type == "track_id_unbind":
        yield from _unbindings(record, keys, id_keys, project)
        return
    if not nodes:
        return
    yield from _links(nodes, keys, "bind")
    told = [*told_identities(record.identities, keys)]
    told += [(ANONYMOUS, each) for each in (record.original_id, record.anonymous_id) if each]
    for name, value in dict.fromkeys(told):
        if value.strip() and is_nobody(value):
            yield _Said("nobody", nodes[0], Node(name, keys.node(name, value).id))


def _unbindings(record: Record, keys: IdentityKeys, id_keys: IdKeys, project: str) -> Iterator[_Said]:
    """One identity is taken off all that it was bound to; of several, the others off the main one."""
    is_nobody = id_keys.nobody_in(project)
    told = {
        keys.node(name, value): None
        for name, value in told_identities(record.identities, keys)
        if not is_nobody(value)
    }
    nodes = sorted(told, key=lambda node: keys.priority(node.name))
    if len(nodes) == 1:
        yield _Said("unbind", _NOBODY, nodes[0])
    for node in nodes[1:]:
        yield _Said("unbind", nodes[0], node)


def _link_row(requests: Sequence[Request], rows: Rows, row: int, said: _Said, id_keys: IdKeys) -> LinkRow:
    header, partition, offset = requests[rows.request_of[row]]
    one, other = said.one, said.other
    return LinkRow(
        project=header.project,
        kind=said.kind,
        one_key=id_keys.node_key(header.project, one) if one.id else NOBODY,
        other_key=id_keys.node_key(header.project, other) if other.id and said.kind != "nobody" else NOBODY,
        one_name=one.name,
        other_name=other.name,
        one_id=one.id,
        other_id=other.id,
        received_at=header.received_at,
        seq=rows.seq[row],
        event_key=event_key(rows.event_ids[row]),
        trusted=header.trusted,
        log_partition=partition,
        log_offset=offset,
    )


def _order(requests: Sequence[Request], rows: Rows, row: int) -> tuple[int, int, int]:
    """As Binding.order."""
    received_at = requests[rows.request_of[row]].header.received_at
    return (received_at, rows.seq[row], event_key(rows.event_ids[row]))


def _order_of(row: LinkRow) -> tuple[int, int, int]:
    return (row.received_at, row.seq, row.event_key)
