"""Deletions that the engine was asked for and has not carried out yet.

They reach the rows that a table has when they are asked for: a partition that is replaced by its copy
meanwhile would bring the rows back.
"""

from __future__ import annotations

from footfall.storage.store import Query, Store

_UNFINISHED = """
SELECT latest_fail_reason FROM system.mutations
WHERE database = currentDatabase() AND NOT is_done
    AND `table` IN ({table:String}, concat({table:String}, '_local'))"""


def unfinished(store: Store, table: str) -> list[str]:
    """Why each of a table's last try failed; "" of one that is merely under way."""
    return [reason for (reason,) in store.rows(Query(_UNFINISHED, {"table": table})).rows]
