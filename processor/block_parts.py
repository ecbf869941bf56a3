"""What a block's records come to beside the pipeline: sorted by kind, counted, and laid out as rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pyarrow as pa

from footfall.events.keys import NOBODY
from footfall.storage.event_rows import EventRows, build_event_ids_table
from processor.blocks import Plan
from processor.duplicates import event_keys
from processor.event_block import EventBlock, Request, Rows


def split(rows: Rows) -> tuple[Rows, Rows, Rows, Rows]:
    """Events, profile records that carry values, those that do not, item records."""
    types = [record.type for record in rows.records]
    if all(type_.startswith("track") for type_ in set(types)):
        nothing = rows.select([])
        return rows, nothing, nothing, nothing
    events: list[int] = []
    sets: list[int] = []
    unsets: list[int] = []
    items: list[int] = []
    for row, type_ in enumerate(types):
        if type_.startswith("track"):
            events.append(row)
        elif type_.startswith("item"):
            items.append(row)
        else:
            (unsets if type_ in ("profile_unset", "profile_delete") else sets).append(row)
    return rows.select(events), rows.select(sets), rows.select(unsets), rows.select(items)


def ids_by_project(requests: Sequence[Request], rows: Rows) -> dict[str, set[int]]:
    """The keys of the ids that records carry."""
    found: dict[str, set[int]] = {}
    if len({request.header.project for request in requests}) == 1:
        found[requests[0].header.project] = set(rows.id_keys)
    else:
        for request, key in zip(rows.request_of, rows.id_keys, strict=True):
            found.setdefault(requests[request].header.project, set()).add(key)
    for keys in found.values():
        keys.discard(NOBODY)
    return found


def event_ids_table(plan: Plan, requests: Sequence[Request], rows: Rows, days: Sequence[date]) -> pa.Table:
    """Rows of `event_ids`; `days` (UTC) are the requests'."""
    request_of = np.array(rows.request_of, np.int32)
    return build_event_ids_table(
        event_ids=rows.event_ids,
        log_partition=plan.partition,
        log_offset=np.array([request.offset for request in requests], np.uint64)[request_of],
        seq=rows.seq,
        day=np.array(days, "datetime64[D]")[request_of],
    )


def by_day(days: Sequence[date], rows: Rows) -> dict[date, list[bytes]]:
    """The event ids by the day (UTC) of their arrival."""
    if len(set(days)) == 1:
        return {days[0]: list(rows.event_ids)}
    found: dict[date, list[bytes]] = {}
    for event_id, request in zip(rows.event_ids, rows.request_of, strict=True):
        found.setdefault(days[request], []).append(event_id)
    return found


def event_rows(plan: Plan, block: EventBlock) -> EventRows:
    """A block that went through the pipeline, column by column."""
    user_keys = block.id_keys if block.user_keys is None else block.user_keys
    offsets = np.array([request.offset for request in block.requests], np.uint64)
    return EventRows(
        project=block.per_request(lambda header: header.project),
        event=block.names,
        type=[record.type for record in block.records],
        time=block.times,
        user_key=user_keys,
        alias_key=np.where(user_keys == block.id_keys, np.uint64(0), block.id_keys),
        seq=block.seq,
        event_key=event_keys(block.event_ids),
        distinct_id=[record.distinct_id or "" for record in block.records],
        anonymous_id=[record.anonymous_id or record.original_id or "" for record in block.records],
        login_id=[record.login_id or "" for record in block.records],
        received_at=block.received_at(),
        door=block.per_request(lambda header: header.door),
        log_partition=plan.partition,
        log_offset=offsets[block.request_of],
        columns=block.typed.columns,
        tail=block.typed.tail,
    )


def checksum(events: pa.Table | None) -> int:
    """Sum of the events' keys, of 32 bits each."""
    if events is None:
        return 0
    return int(events["event_key"].to_numpy().astype(np.uint64).sum())
