"""Step: each property's values -> a column of its own, or text in the map; what has another type is
counted.

A property's type is decided when it is first seen: by its column if it has one (storage/columns.py), else by
the tracking plan that counted when that value came, else by the value. What has another type is kept as text
under the same name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from footfall.storage.columns import PROPERTY_COLUMNS
from footfall.storage.event_rows import Sparse
from footfall.storage.rows import PropertyRow
from processor.event_block import EventBlock, TypedProperties, select_sparse
from processor.values import column_values, inexact, misfits, texts_of, type_of


@dataclass(slots=True)
class _Found:
    """What the properties of a block come to."""

    columns: dict[str, list[Sparse]] = field(default_factory=dict)
    tail: list[tuple[str, Sparse]] = field(default_factory=list)
    first_seen: list[PropertyRow] = field(default_factory=list)
    conflicts: Counter[tuple[str, str, str]] = field(default_factory=Counter)


def type_properties(block: EventBlock) -> EventBlock:
    """Sets `typed`. Types are per project; what `known_types` lacks is decided here and reported as first
    seen.
    """
    found = _Found()
    projects = [request.header.project for request in block.requests]
    single = projects[0] if len(set(projects)) == 1 else None
    project_of_row = None if single is not None else np.array(projects, np.object_)[block.request_of]
    for name, sparse in block.properties.items():
        if single is not None:
            _type_property(block, single, name, sparse, found)
            continue
        owners = project_of_row[sparse.rows]  # type: ignore[index]
        for project in dict.fromkeys(owners.tolist()):
            _type_property(block, project, name, select_sparse(sparse, owners == project), found)
    columns = {name: _concatenate(parts) for name, parts in found.columns.items()}
    return replace(block, typed=TypedProperties(columns, found.tail, found.first_seen, found.conflicts))


def _type_property(block: EventBlock, project: str, name: str, sparse: Sparse, found: _Found) -> None:
    column = PROPERTY_COLUMNS.get(name) if block.source == "event" else None
    declared = block.known_types.get((project, block.source), {}).get(name)
    if declared is None:
        first = int(np.argmin(sparse.rows))
        row = int(sparse.rows[first])
        declared = column.type if column is not None else _planned(block, project, name, row)
        declared = declared or type_of(sparse.values[first])
        found.first_seen.append(_first_seen(block, project, name, declared, row))
    misfit = misfits(declared, sparse.values)
    if column is not None and column.kind == "number":
        misfit = inexact(sparse.values, misfit)
    if misfit is not None:
        odd = select_sparse(sparse, misfit)
        found.conflicts.update((project, name, type_of(value)) for value in odd.values)
        found.tail.append((name, Sparse(odd.rows, texts_of(odd.values))))
        sparse = select_sparse(sparse, [not odd for odd in misfit])
    if not len(sparse.rows):
        return
    if column is not None:
        found.columns.setdefault(name, []).append(
            Sparse(sparse.rows, column_values(column.kind, sparse.values))
        )
    else:
        found.tail.append((name, Sparse(sparse.rows, texts_of(sparse.values, declared))))


def _planned(block: EventBlock, project: str, name: str, row: int) -> str | None:
    """The log record names the plan's version: a redo finds the same, whatever the plan says by then."""
    version = block.requests[block.request_of[row]].header.plan
    return block.declared_types.get((project, version), {}).get(block.source, {}).get(name)


def _first_seen(block: EventBlock, project: str, name: str, type_: str, row: int) -> PropertyRow:
    request = block.requests[block.request_of[row]]
    return PropertyRow(
        project=project,
        source=block.source,
        property=name,
        type=type_,
        seen_at=request.header.received_at,
        log_partition=request.partition,
        log_offset=request.offset,
        seq=block.seq[row],
    )


def _concatenate(parts: Sequence[Sparse]) -> Sparse:
    if len(parts) == 1:
        return parts[0]
    values: list[Any] = []
    for part in parts:
        values.extend(part.values)
    return Sparse(np.concatenate([part.rows for part in parts]), values)
