"""What differs between one ClickHouse and a cluster: the engines of tables, and who must hear a statement.

Everybody else writes statements and migrations for one engine; a topology says what they become. On one
engine: themselves. On a cluster of several shards, each of one or more replicas, with Keeper:

- `events` is a Distributed table over `events_local`, which is replicated within each shard and sharded by
  user_key. What changes rows goes to `events_local` on all nodes.
- All other tables are small: each node of the cluster holds a replica of all their rows, so that queries join
  them where the events are. Keeper carries inserts, deletions and dropped partitions of one to all others.
- The dictionary of overrides is loaded by each node from its own replica, once that has caught up.
- A token of an insert into `events` travels with each shard's share of the block: shards remember it each for
  itself. The shares of a block that comes again are the same as long as no shard was added.

Rows are not restamped on a cluster: that would replace partitions on several nodes in one step, and there is
no such step. Overrides stand for the rows instead, with the same answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from footfall.storage.store import StoreError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")

DEDUPLICATION_WINDOW = 10_000
"""How many inserts a table remembers the tokens of; a redo repeats a partition's last block."""

SHARDED: Mapping[str, str] = {"events": "user_key"}
"""Tables too large for one node, and what tells the shard of a row."""

_REMEMBERED_SECONDS = 30 * 86_400
"""How long tokens are remembered: as long as an outage may last. By default an hour."""

_OF_MIGRATIONS = re.compile(
    r"\s*(?P<what>CREATE TABLE IF NOT EXISTS|CREATE DICTIONARY IF NOT EXISTS|ALTER TABLE) "
    r"(?P<name>\w+) \{on_cluster\}"
)
_ENGINE = re.compile(r"\{(?P<family>(?:\w+_)?merge_tree)\}(?:\((?P<version>\w+)\))?")
_FAMILIES = {
    "merge_tree": "ReplicatedMergeTree",
    "replacing_merge_tree": "ReplicatedReplacingMergeTree",
    "aggregating_merge_tree": "ReplicatedAggregatingMergeTree",
}
_OF_EVERY_NODE = re.compile(r"\bFROM system\.(parts|mutations|detached_parts|processes)\b")

Setting = str | int


@dataclass(frozen=True, slots=True)
class Account:
    """By whom a server's dictionaries read the tables they are made of."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Topology:
    """One engine, in process or a server."""

    database: str = "footfall"
    account: Account | None = None  # None: the engine's default user, without a password

    settings: ClassVar[Mapping[str, Setting]] = {}
    """Of every statement."""

    can_restamp: ClassVar[bool] = True
    """Whether a partition of `events` can be replaced by its copy in one step."""

    @property
    def on_cluster(self) -> str:
        """The clause of statements that all nodes must hear."""
        return ""

    def ddl(self) -> dict[str, str]:
        """What the placeholders of a migration stand for."""
        return {
            "database": self.database,
            "on_cluster": self.on_cluster,
            "merge_tree": "MergeTree",
            "replacing_merge_tree": "ReplacingMergeTree",
            "aggregating_merge_tree": "AggregatingMergeTree",
            "deduplication": f"non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}",
        }

    def migration(self, statement: str, values: Mapping[str, str]) -> list[str]:
        """A migration's statement, its placeholders filled in: also from `values`."""
        return [fill(self.with_account(statement), {**self.ddl(), **values})]

    def statements(self, sql: str) -> list[str]:
        """What a statement that changes tables or the engine's state becomes."""
        return [sql]

    def reading(self, sql: str) -> str:
        """A query that may look at the engine's own tables."""
        return sql

    def with_account(self, statement: str) -> str:
        """Dictionaries of a server read their tables as this user: the default one may be switched off."""
        if self.account is None:
            return statement
        user, password = (_quoted(text) for text in (self.account.user, self.account.password))
        return statement.replace(
            "SOURCE(CLICKHOUSE(QUERY", f"SOURCE(CLICKHOUSE(USER {user} PASSWORD {password} QUERY"
        )


class NotOnCluster(StoreError):  # noqa: N818 - reads as what it is
    """Nobody said what a statement is to become on a cluster: our bug."""


@dataclass(frozen=True, slots=True)
class Cluster(Topology):
    """A cluster by the name that its servers' `remote_servers` gives it."""

    cluster: str = "footfall"

    settings: ClassVar[Mapping[str, Setting]] = {
        "distributed_foreground_insert": 1,  # an insert is durable on its shards when it returns
        "insert_distributed_one_random_shard": 0,
        "skip_unavailable_shards": 0,  # an answer without a shard's rows would be a wrong one
        "distributed_product_mode": "global",  # a subquery over all shards is asked once
        "load_balancing": "in_order",  # of a shard's replicas the one that was inserted into is asked
        "allow_nondeterministic_mutations": 1,  # subqueries of ours, over tables that all nodes have
    }

    can_restamp: ClassVar[bool] = False

    @property
    def on_cluster(self) -> str:
        return f"ON CLUSTER `{self.cluster}`"

    def ddl(self) -> dict[str, str]:
        windows = {
            "replicated_deduplication_window": DEDUPLICATION_WINDOW,
            "replicated_deduplication_window_seconds": _REMEMBERED_SECONDS,
        }
        return {
            "database": self.database,
            "on_cluster": self.on_cluster,
            "deduplication": ", ".join(f"{name} = {value}" for name, value in windows.items()),
        }

    def migration(self, statement: str, values: Mapping[str, str]) -> list[str]:
        found = _OF_MIGRATIONS.match(statement)
        if found is None:
            raise NotOnCluster(f"a migration begins with a statement unknown on a cluster: {statement[:80]}")
        name, rest = found["name"], statement[found.end("name") :]
        local = _local(name)
        engine = _ENGINE.sub(lambda engine: _replicated(engine, name), f"{found['what']} {local}{rest}")
        made = [fill(self.with_account(engine), {**self.ddl(), **values, **_MACROS})]
        if name in SHARDED and found["what"].startswith("ALTER"):
            made.append(fill(statement, {**self.ddl(), **values}))
        elif name in SHARDED:
            made.append(self._distributed(name))
        return made

    def _distributed(self, name: str) -> str:
        place = f"`{self.cluster}`, `{self.database}`, `{_local(name)}`, {SHARDED[name]}"
        return (
            f"CREATE TABLE IF NOT EXISTS {name} {self.on_cluster} AS `{self.database}`.`{_local(name)}` "
            f"ENGINE = Distributed({place})"
        )

    def statements(self, sql: str) -> list[str]:
        if " ON CLUSTER " in sql or sql.lstrip().startswith("INSERT INTO schema_migrations"):
            return [sql]
        for pattern, become in _RULES:
            if found := pattern.fullmatch(sql.strip()):
                return become(self, found)
        raise NotOnCluster(f"on a cluster there is no such statement as: {sql.strip()[:80]}")

    def reading(self, sql: str) -> str:
        # A shard that another one asks looks for a dictionary in a database of its own choice.
        named = sql.replace("'overrides_map'", f"'{self.database}.overrides_map'")
        return _OF_EVERY_NODE.sub(rf"FROM clusterAllReplicas(`{self.cluster}`, system.\1)", named)


_MACROS = {name: f"{{{name}}}" for name in ("shard", "replica", "table")}
"""The servers fill these in, each its own."""


def _local(name: str) -> str:
    """The table that holds the rows."""
    return f"{name}_local" if name in SHARDED else name


def _replicated(engine: re.Match[str], name: str) -> str:
    """Within a shard, or on all nodes: then all of them are replicas of one path."""
    group, replica = ("{shard}", "{replica}") if name in SHARDED else ("all", "{shard}-{replica}")
    version = f", {engine['version']}" if engine["version"] else ""
    path = f"'/clickhouse/tables/{group}/{{database}}/{{table}}', '{replica}'"
    return f"{_FAMILIES[engine['family']]}({path}{version})"


def _alter(cluster: Cluster, found: re.Match[str]) -> list[str]:
    table, what = found["table"], found["what"]
    if "REPLACE PARTITION" in what:
        raise NotOnCluster(f"partitions of {table} cannot be replaced on several nodes in one step")
    on_cluster = table in SHARDED or "SETTING old_parts_lifetime" in what  # all else Keeper carries on
    where = f"{_local(table)} {cluster.on_cluster}" if on_cluster else table
    caught_up = []
    if "removal_places" in what:  # each node looks into its own replica
        caught_up = [f"SYSTEM SYNC REPLICA {cluster.on_cluster} removal_places"]
    return [*caught_up, f"ALTER TABLE {where} {what}"]


def _reload(cluster: Cluster, found: re.Match[str]) -> list[str]:
    """Of the one dictionary there is: its table first, on every node."""
    return [
        f"SYSTEM SYNC REPLICA {cluster.on_cluster} overrides",
        f"SYSTEM RELOAD DICTIONARY {cluster.on_cluster} {found['name']}",
    ]


def _clean_up(cluster: Cluster, found: re.Match[str]) -> list[str]:
    return [f"SYSTEM {found['what']} CLEANUP {cluster.on_cluster} {_local(found['table'])}"]


def _drop(cluster: Cluster, found: re.Match[str]) -> list[str]:
    return [f"DROP {found['what']} {cluster.on_cluster} SYNC"]


def _kill(cluster: Cluster, found: re.Match[str]) -> list[str]:
    return [f"KILL QUERY {cluster.on_cluster} WHERE {found['which']}"]


_RULES: tuple[tuple[re.Pattern[str], Callable[[Cluster, re.Match[str]], list[str]]], ...] = (
    (re.compile(r"ALTER TABLE (?P<table>\w+)\s+(?P<what>.+)", re.DOTALL), _alter),
    (re.compile(r"SYSTEM RELOAD DICTIONARY (?P<name>overrides_map)"), _reload),
    (re.compile(r"SYSTEM (?P<what>STOP|START) CLEANUP (?P<table>\w+)"), _clean_up),
    (re.compile(r"DROP (?P<what>(?:TABLE IF EXISTS|DATABASE) \w+) SYNC"), _drop),
    (re.compile(r"KILL QUERY WHERE (?P<which>.+)", re.DOTALL), _kill),
)


def topology_of(store_url: str) -> Topology:
    """`clickhouse://host/db?cluster=name` is a cluster; all else is one engine."""
    database, parts = database_of(store_url), urlsplit(store_url)
    user, password = unquote(parts.username or "default"), unquote(parts.password or "")
    account = Account(user, password) if (user, password) != ("default", "") else None
    cluster = parse_qs(parts.query).get("cluster")
    if cluster:
        return Cluster(database, account, _checked("cluster", cluster[0]))
    return Topology(database, account)


def database_of(store_url: str) -> str:
    """The database within the engine: a server's URL has it as its path, chDB's as `?database=`."""
    parts = urlsplit(store_url)
    if parts.scheme == "chdb":
        name = parse_qs(parts.query).get("database", ["footfall"])[0]
    else:
        name = parts.path.strip("/") or "footfall"
    return _checked("database", name)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Puts values where their {names} stand."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _checked(what: str, name: str) -> str:
    """Names go into DDL as they are."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"store URL: the {what} {name!r} must be of letters, digits and '_'")
    return name
