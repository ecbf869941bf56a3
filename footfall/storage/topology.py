"""What differs in the DDL between one ClickHouse and a cluster: engines, cluster clause, deduplication.

`Cluster` is the seam for the distributed tables; the text of the migrations is the same for both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")

DEDUPLICATION_WINDOW = 10_000
"""How many inserts a table remembers the tokens of; a redo repeats a partition's last block."""


@dataclass(frozen=True, slots=True)
class Topology:
    """One engine, in process or a server."""

    database: str = "footfall"

    def ddl(self) -> dict[str, str]:
        """What the placeholders of a migration stand for."""
        return {
            "database": self.database,
            "on_cluster": "",
            "merge_tree": "MergeTree",
            "replacing_merge_tree": "ReplacingMergeTree",
            "aggregating_merge_tree": "AggregatingMergeTree",
            "deduplication": f"non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}",
        }


@dataclass(frozen=True, slots=True)
class Cluster(Topology):
    """Replicated tables on every node of a named cluster."""

    cluster: str = "footfall"

    def ddl(self) -> dict[str, str]:
        replicated = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
        return {
            "database": self.database,
            "on_cluster": f"ON CLUSTER `{self.cluster}`",
            "merge_tree": f"ReplicatedMergeTree({replicated})",
            "replacing_merge_tree": "ReplicatedReplacingMergeTree",
            "aggregating_merge_tree": f"ReplicatedAggregatingMergeTree({replicated})",
            "deduplication": f"replicated_deduplication_window = {DEDUPLICATION_WINDOW}",
        }


def topology_of(store_url: str) -> Topology:
    """`clickhouse://host/db?cluster=name` is a cluster; all else is one engine."""
    database = database_of(store_url)
    cluster = parse_qs(urlsplit(store_url).query).get("cluster")
    return Cluster(database, _checked("cluster", cluster[0])) if cluster else Topology(database)


def database_of(store_url: str) -> str:
    """The database within the engine: a server's URL has it as its path, chDB's as `?database=`."""
    parts = urlsplit(store_url)
    if parts.scheme == "chdb":
        name = parse_qs(parts.query).get("database", ["footfall"])[0]
    else:
        name = parts.path.strip("/") or "footfall"
    return _checked("database", name)


def _checked(what: str, name: str) -> str:
    """Names go into DDL as they are."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"store URL: the {what} {name!r} must be of letters, digits and '_'")
    return name
