"""Files of parts that were replaced: the engine keeps them for minutes, and what was erased with them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final

from footfall.storage.store import Query, Store, StoreError
from processor.removals import Stopped

_LOOK_SECONDS: Final = 0.3
_OLD_PARTS: Final = """
SELECT count() FROM system.parts
WHERE database = currentDatabase() AND NOT active
    AND replaceRegexpOne(`table`, '_local$', '') IN {tables:Array(String)}"""


def drop_old_parts(
    store: Store, tables: Sequence[str], stop: threading.Event, patience_seconds: float
) -> None:
    """Until no file of one is left. StoreError if they stay, Stopped."""
    give_up_at = time.monotonic() + patience_seconds
    for table in tables:
        store.command(f"ALTER TABLE {table} MODIFY SETTING old_parts_lifetime = 0")
    try:
        while int(store.rows(Query(_OLD_PARTS, {"tables": list(tables)})).rows[0][0]):
            if time.monotonic() > give_up_at:
                raise StoreError("parts that were replaced are still on the disk: a long query may read them")
            for table in tables:
                store.command(f"SYSTEM STOP CLEANUP {table}")
                store.command(f"SYSTEM START CLEANUP {table}")  # begins at once instead of within minutes
            if stop.wait(_LOOK_SECONDS):
                raise Stopped
    finally:
        for table in tables:
            store.command(f"ALTER TABLE {table} RESET SETTING old_parts_lifetime")
