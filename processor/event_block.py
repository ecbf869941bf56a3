"""The events of a block, column by column: what a step of the pipeline takes and returns.

Row i of every sequence is the same event; what all events of one request share is in `requests`. Properties
are sparse columns, so that a step works once on each distinct value and never walks dicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, compress
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from footfall.events.log_record import Header
from footfall.events.record import Record, event_name
from footfall.storage.event_rows import Coded, Keys, RowNumbers, Sparse, Times
from footfall.storage.rows import PropertyRow

PropertyTypes = Mapping[tuple[str, str], Mapping[str, str]]
"""By (project, source): the types of the properties known so far, by name."""


DeclaredTypes = Mapping[tuple[str, int], Mapping[str, Mapping[str, str]]]
"""By (project, version of its tracking plan): by source, the types that it declares, by name."""


class Request(NamedTuple):
    """A log record's header and where it lies."""

    header: Header
    partition: int
    offset: int


class TypedProperties(NamedTuple):
    """Properties sorted into what fits a column and what is kept as text, and what was learned of them."""

    columns: Mapping[str, Sparse] = MappingProxyType({})
    tail: Sequence[tuple[str, Sparse]] = ()
    first_seen: Sequence[PropertyRow] = ()
    conflicts: Mapping[tuple[str, str, str], int] = MappingProxyType({})
    """By (project, property, type of the value)."""


class Rows(NamedTuple):
    """Accepted records before they are taken apart: entry i of each list is the same record. In the order of
    their requests.
    """

    records: list[Record]
    request_of: list[int]
    seq: list[int]
    event_ids: list[bytes]
    id_keys: list[int]

    def extend(self, more: Rows) -> None:
        """Appends the rows of another request."""
        self.records.extend(more.records)
        self.request_of.extend(more.request_of)
        self.seq.extend(more.seq)
        self.event_ids.extend(more.event_ids)
        self.id_keys.extend(more.id_keys)

    def select(self, keep: Sequence[int]) -> Rows:
        """Only the rows with these numbers, in this order."""
        return Rows(
            records=[self.records[row] for row in keep],
            request_of=[self.request_of[row] for row in keep],
            seq=[self.seq[row] for row in keep],
            event_ids=[self.event_ids[row] for row in keep],
            id_keys=[self.id_keys[row] for row in keep],
        )


def cut(requests: Sequence[Request], rows: Rows, size: int) -> Iterator[tuple[Sequence[Request], Rows]]:
    """The rows in pieces of this size, each with the requests that it is of."""
    for start in range(0, len(rows.records), size):
        piece = rows.select(range(start, min(start + size, len(rows.records))))
        first, last = piece.request_of[0], piece.request_of[-1]
        numbers = [request - first for request in piece.request_of]
        yield requests[first : last + 1], piece._replace(request_of=numbers)


_NOT_TYPED = TypedProperties()


@dataclass(frozen=True, slots=True)
class EventBlock:
    """See the module's text."""

    requests: Sequence[Request]
    request_of: RowNumbers
    records: Sequence[Record]
    names: Sequence[str]  # of the events; "" for profiles and items
    seq: Sequence[int]
    event_ids: Sequence[bytes]  # 16 bytes each
    id_keys: Keys  # of the ids that the records carry
    times: Times  # until correct_clock: when received
    properties: Mapping[str, Sparse]
    source: str = "event"  # event, user, item: whose properties these are
    persons: Mapping[int, int] = field(default_factory=dict)  # id key -> person's, where they differ
    known_types: PropertyTypes = field(default_factory=dict)
    declared_types: DeclaredTypes = field(default_factory=dict)
    user_keys: Keys | None = None  # from stamp_person on
    typed: TypedProperties = _NOT_TYPED  # from type_properties on

    @property
    def count(self) -> int:
        """Number of events."""
        return len(self.records)

    def per_request(self, read: Callable[[Header], str]) -> Coded:
        """A label a row, from its request's header."""
        return Coded([read(request.header) for request in self.requests], self.request_of)

    def received_at(self) -> Times:
        return np.array([r.header.received_at for r in self.requests], np.int64)[self.request_of]

    def put(self, name: str, rows: RowNumbers, values: Sequence[Any]) -> EventBlock:
        """Gives rows a property where they lack it; what the client sent stays."""
        present = self.properties.get(name)
        if present is not None:
            lacking = ~mark(present.rows, self.count)[rows]
            rows, values = rows[lacking], list(compress(values, lacking))
        if not len(rows):
            return self
        if present is None:
            return self.with_property(name, Sparse(rows, values))
        joined = Sparse(np.concatenate((present.rows, rows)), [*present.values, *values])
        return self.with_property(name, joined)

    def with_property(self, name: str, sparse: Sparse | None) -> EventBlock:
        """The block with this property replaced, or without it."""
        properties = dict(self.properties)
        properties.pop(name, None)
        if sparse is not None and len(sparse.rows):
            properties[name] = sparse
        return replace(self, properties=properties)

    def rows_without(self, names: Iterable[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """True for each row that has none of these properties."""
        has = np.zeros(self.count, np.bool_)
        for name in names:
            if (present := self.properties.get(name)) is not None:
                has[present.rows] = True
        return ~has


def build_block(requests: Sequence[Request], rows: Rows, source: str = "event") -> EventBlock:
    """Takes records apart into columns."""
    request_of = np.array(rows.request_of, np.int32)
    received = np.array([request.header.received_at for request in requests], np.int64)
    return EventBlock(
        requests=requests,
        request_of=request_of,
        records=rows.records,
        names=[record.event or event_name(record) for record in rows.records],
        seq=rows.seq,
        event_ids=rows.event_ids,
        id_keys=np.array(rows.id_keys, np.uint64),
        times=received[request_of],
        properties=transpose([record.properties for record in rows.records]),
        source=source,
    )


def transpose(dicts: Sequence[Mapping[str, Any]]) -> dict[str, Sparse]:
    """From a dict a row to a sparse column a key; None is no value.

    Rows with the same keys in the same order, which one SDK's events are, are turned in one go.

    >>> column = transpose([{"a": 1}, {}, {"a": 2}])["a"]
    >>> column.rows.tolist(), column.values
    ([0, 2], [1, 2])
    """
    shapes: dict[tuple[str, ...], list[int]] = {}
    for row, entries in enumerate(dicts):
        shape = tuple(entries)
        rows = shapes.get(shape)
        if rows is None:
            shapes[shape] = [row]
        else:
            rows.append(row)
    parts: dict[str, list[tuple[RowNumbers, Sequence[Any]]]] = {}
    for shape, numbers in shapes.items():
        rows_of_shape = np.array(numbers, np.int32)
        columns = zip(*[dicts[row].values() for row in numbers], strict=True)
        for name, values in zip(shape, columns, strict=True):
            parts.setdefault(name, []).append((rows_of_shape, values))
    return {name: sparse for name, found in parts.items() if len((sparse := _join(found)).rows)}


def _join(parts: Sequence[tuple[RowNumbers, Sequence[Any]]]) -> Sparse:
    if len(parts) == 1:
        rows, values = parts[0][0], list(parts[0][1])
    else:
        rows = np.concatenate([part[0] for part in parts])
        values = list(chain.from_iterable(part[1] for part in parts))
    if None in values:
        present = [value is not None for value in values]
        rows, values = rows[np.array(present)], list(compress(values, present))
    return Sparse(rows, values)


def mark(rows: RowNumbers, count: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """True at these rows of `count`."""
    marked = np.zeros(count, np.bool_)
    marked[rows] = True
    return marked


def select_sparse(sparse: Sparse, keep: Sequence[bool] | np.ndarray[Any, np.dtype[np.bool_]]) -> Sparse:
    """The entries for which `keep`, in the order of the entries, is true."""
    return Sparse(sparse.rows[np.asarray(keep, np.bool_)], list(compress(sparse.values, keep)))


def put_derived(
    block: EventBlock, name: str, derive: Callable[[str], Mapping[str, str | bool]]
) -> EventBlock:
    """Puts what `derive` makes of each distinct text of a property; derived values do not replace sent
    ones.
    """
    sparse = block.properties.get(name)
    if sparse is None:
        return block
    if set(map(type, sparse.values)) != {str}:
        sparse = select_sparse(sparse, [type(value) is str for value in sparse.values])
    derived = {text: derive(text) for text in set(sparse.values)}
    for put_name in dict.fromkeys(chain.from_iterable(derived.values())):
        found = {text: entries[put_name] for text, entries in derived.items() if put_name in entries}
        if len(found) == len(derived):
            block = block.put(put_name, sparse.rows, [found[text] for text in sparse.values])
        else:
            part = select_sparse(sparse, [text in found for text in sparse.values])
            block = block.put(put_name, part.rows, [found[text] for text in part.values])
    return block
