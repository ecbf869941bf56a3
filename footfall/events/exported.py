"""The event ids of exported records: where the row came from, so the same however often it is exported.

    x-<12 hex digits of the installation and the project>-<partition>-<offset>-<seq>

The client's own id is not kept (a row keeps a hash of it); a place in the log is a row's for ever.
"""

from __future__ import annotations

from footfall.events.keys import KeyedHash


def export_prefix(keyed_hash: KeyedHash, project: str) -> str:
    """How all event ids begin that this installation gives this project's records when it exports them."""
    return f"x-{keyed_hash.event_id(project.encode(), b'export').hex()[:12]}-"
