"""Reads what was said of ids under the strategy `global`: the LinksSource that is the store itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from footfall.events.identity_graph import NO_NODE_TIES, NodeTies, tie_node
from footfall.storage.rows import LinkRow
from footfall.storage.store import Parameter, Query, Rows
from footfall.storage.ties import NOTHING_LEFT_OUT

_LOOKUP = 10_000
_WORDS = """
SELECT project, kind, one_key, other_key, one_name, other_name, one_id, other_id,
    toUnixTimestamp64Milli(received_at), seq, event_key, trusted, log_partition, log_offset
FROM identity_links WHERE {side} IN {keys:Array(UInt64)} AND NOT (
    log_partition = {own_partition:UInt16} AND log_offset BETWEEN {own_first:UInt64} AND {own_last:UInt64}
)"""

_PAST = """
SELECT DISTINCT user_key FROM past_persons
WHERE project = {project:String} AND id_key IN {keys:Array(UInt64)}"""


class StoredLinks:
    """See footfall.events.identity_graph.LinksSource."""

    def __init__(self, rows: Callable[[Query], Rows], left_out: Mapping[str, int] = NOTHING_LEFT_OUT) -> None:
        """`left_out` as StoredTies takes it."""
        self._rows = rows
        self._left_out = left_out

    def node_ties(self, keys: Collection[int]) -> dict[int, NodeTies]:
        words: dict[int, list[LinkRow]] = {}
        every = sorted(key for key in keys if key)
        wanted = set(every)
        for start in range(0, len(every), _LOOKUP):
            asked: dict[str, Parameter] = {"keys": every[start : start + _LOOKUP], **self._left_out}
            for side in ("one_key", "other_key"):
                for values in self._rows(Query(_WORDS.replace("{side}", side), asked)).rows:
                    row = LinkRow(*values)
                    key = row.one_key if side == "one_key" else row.other_key
                    words.setdefault(key, []).append(row)
        return {key: tie_node(key, NO_NODE_TIES, words[key]) for key in wanted & words.keys()}

    def past_persons(self, project: str, keys: Collection[int]) -> set[int]:
        """Whom these ids stood for at any time before now."""
        found: set[int] = set()
        every = sorted(keys)
        for start in range(0, len(every), _LOOKUP):
            asked: dict[str, Parameter] = {"project": project, "keys": every[start : start + _LOOKUP]}
            found.update(key for (key,) in self._rows(Query(_PAST, asked)).rows)
        return found
