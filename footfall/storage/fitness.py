"""Refuses a server that would lose or double events, or stop halfway: at the start, with what to change."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from footfall.storage.store import Query, Store, StoreError
from footfall.storage.topology import DEDUPLICATION_WINDOW, Cluster, Topology

TESTED = "26.9"
"""The version of ClickHouse that the tests run on."""

_TABLE_SETTINGS = frozenset({
    "non_replicated_deduplication_window", "replicated_deduplication_window", "fsync_after_insert",
    "enable_adaptive_codec_selection", "map_serialization_version", "max_buckets_in_map",
    "map_buckets_strategy", "map_buckets_min_avg_size", "default_compression_codec",
    "enable_vertical_merge_algorithm",
})  # fmt: skip
"""Of the migrations. A version that lacks one is too old."""

_OURS = (
    "SELECT, INSERT, ALTER, CREATE TABLE, CREATE DICTIONARY, DROP TABLE, DROP DICTIONARY, dictGet, "
    "CREATE DATABASE"
)
_RIGHTS = (
    ("KILL QUERY, SYSTEM RELOAD DICTIONARY, SYSTEM CLEANUP", "*.*"),
    *(("SELECT", f"system.{table}") for table in ("parts", "mutations", "processes", "detached_parts")),
)
_RIGHTS_ON_CLUSTER = (
    ("CLUSTER, REMOTE, SYSTEM SYNC REPLICA", "*.*"),
    *(("SELECT", f"system.{table}") for table in ("clusters", "macros")),
)

_VERSION = "SELECT version(), currentUser()"
_HAS = "SELECT name FROM system.merge_tree_settings WHERE name IN {names:Array(String)}"
_PROFILE = "SELECT name, value FROM system.settings WHERE name IN ('readonly', 'deduplicate_insert')"
_WINDOWS = """
SELECT name, engine_full FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%MergeTree'
    AND replaceRegexpOne(name, '_local$', '') IN {tables:Array(String)}
    AND toUInt64OrZero(extract(engine_full, 'replicated_deduplication_window = (\\\\d+)')) = 0
ORDER BY name"""
_NODES = """
SELECT host_name, internal_replication FROM system.clusters
WHERE cluster = {cluster:String} ORDER BY shard_num, replica_num"""
_MACROS = "SELECT DISTINCT macro FROM system.macros WHERE macro IN ('shard', 'replica')"


class StoreUnfit(StoreError):  # noqa: N818 - reads as what it is
    """The server is there and is not what Footfall needs; the text says what to change."""


def refuse_unfit(store: Store, topology: Topology) -> None:
    """Before anything is made on the server. StoreUnfit."""
    version, user = (str(value) for value in store.rows(Query(_VERSION)).rows[0])
    missing = _TABLE_SETTINGS - {
        name for (name,) in store.rows(Query(_HAS, {"names": sorted(_TABLE_SETTINGS)})).rows
    }
    if missing:
        raise StoreUnfit(
            f"ClickHouse {version} is too old: it does not know {', '.join(sorted(missing))}. "
            f"Use {TESTED} or newer"
        )
    profile = dict(store.rows(Query(_PROFILE)).rows)
    if profile.get("readonly", "0") != "0":
        raise StoreUnfit(
            f"the user {user} has a profile with readonly = {profile['readonly']}: give it one without"
        )
    if profile.get("deduplicate_insert", "enable") == "disable":
        raise StoreUnfit(
            f"the profile of the user {user} has deduplicate_insert = 'disable', so an insert that is "
            "repeated would be stored twice: set it to 'enable'"
        )
    rights = [(_OURS, f"`{topology.database}`.*"), *_RIGHTS]
    rights += _RIGHTS_ON_CLUSTER if isinstance(topology, Cluster) else ()
    _refuse_without_rights(store, user, rights)
    if isinstance(topology, Cluster):
        _refuse_unfit_cluster(store, topology)


def refuse_forgetful(store: Store, tables: Collection[str]) -> None:
    """Of these, what does not remember the tokens of inserts would store a repeated one twice. StoreUnfit."""
    for name, engine in store.rows(Query(_WINDOWS, {"tables": sorted(tables)})).rows:
        setting = "replicated_deduplication_window"
        if "Replicated" not in engine:
            setting = f"non_{setting}"
        raise StoreUnfit(
            f"the table {name} has {setting} switched off, so an insert that is repeated would be stored "
            f"twice: ALTER TABLE {name} MODIFY SETTING {setting} = {DEDUPLICATION_WINDOW}"
        )


def _refuse_without_rights(store: Store, user: str, rights: Iterable[tuple[str, str]]) -> None:
    lacking = [
        f"GRANT {which} ON {where} TO {user}"
        for which, where in rights
        if not int(store.rows(Query(f"CHECK GRANT {which} ON {where}")).rows[0][0])
    ]
    if lacking:
        raise StoreUnfit(f"the user {user} lacks rights: {'; '.join(lacking)}")


def _refuse_unfit_cluster(store: Store, cluster: Cluster) -> None:
    name = cluster.cluster
    nodes = store.rows(Query(_NODES, {"cluster": name})).rows
    if not nodes:
        raise StoreUnfit(f"the server knows no cluster {name!r}: add it to remote_servers, on all its nodes")
    for host, internal in nodes:
        if not internal:
            raise StoreUnfit(
                f"remote_servers of the cluster {name!r} has internal_replication off at {host}, so each row "
                "would be stored once a replica and once more by replication: set it to true"
            )
    macros = {macro for (macro,) in store.rows(Query(_MACROS)).rows}
    if absent := sorted({"shard", "replica"} - macros):
        raise StoreUnfit(f"the server has no macros {', '.join(absent)}: each node needs its own")
    try:
        store.rows(Query("SELECT count() FROM system.zookeeper WHERE path = '/'"))
    except StoreError as error:
        raise StoreUnfit(
            f"the server reaches no Keeper, which replicated tables need ({error}): set <zookeeper>"
        ) from error
