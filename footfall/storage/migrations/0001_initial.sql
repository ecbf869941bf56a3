-- The first schema. The Topology fills in {on_cluster}, the engines and {deduplication} (storage/topology.py),
-- storage/columns.py fills in {property_columns} and {projected_columns}.
-- A statement ends with a semicolon at the end of a line.

-- One wide table. A person's rows are adjacent (timelines, paths, compression); the projection serves what reads
-- by event (funnels, retention, trends). Columns p_* are properties that are hot or preset; the rest are in
-- `properties` as text, their type in the catalogue.
-- alias_key is the key of the id that the record carries where that is not user_key itself, else 0: a column of
-- mostly zeros costs nothing, and `if(alias_key = 0, user_key, alias_key)` gives every row's own id back.
-- event_key is the low 32 bits of the event's key: random bits do not compress, and these order ties (ADR 0005).
-- Codecs are explicit: with none set, the engine recompresses big parts behind our back. The projection ignores
-- them and takes the table's default.
-- Partitions are months; whatever time a hostile client claims, there are no more than 240 and one.
-- A map's keys lie in 8 buckets, so that a condition on one property reads an eighth of them: 3 to 5 times less
-- time at the same size, against 1.5 times more for whole maps, which only timelines read.
CREATE TABLE IF NOT EXISTS events {on_cluster}
(
    project LowCardinality(String) CODEC(LZ4),
    event LowCardinality(String) CODEC(LZ4),
    type LowCardinality(String) CODEC(LZ4),
    time DateTime64(3, 'UTC') CODEC(T64, LZ4),
    user_key UInt64 CODEC(LZ4),
    alias_key UInt64 CODEC(LZ4),
    seq UInt32 CODEC(ZSTD(1)),
    event_key UInt32 CODEC(NONE),
    distinct_id String CODEC(ZSTD(1)),
    anonymous_id String CODEC(ZSTD(1)),
    login_id String CODEC(ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    door LowCardinality(String) CODEC(ZSTD(1)),
    log_partition UInt16 CODEC(ZSTD(1)),
    log_offset UInt64 CODEC(ZSTD(1)),
    {property_columns},
    properties Map(LowCardinality(String), String) CODEC(LZ4),
    PROJECTION by_event
    (
        SELECT project, event, user_key, time, alias_key, type, {projected_columns}
        ORDER BY project, event, user_key, time
    )
)
ENGINE = {merge_tree}
PARTITION BY if(time >= toDateTime64('2020-01-01', 3, 'UTC') AND time < toDateTime64('2040-01-01', 3, 'UTC'),
    toYYYYMM(time), 0)
ORDER BY (project, user_key, time)
SETTINGS {deduplication}, enable_vertical_merge_algorithm = 0, fsync_after_insert = 1,
    default_compression_codec = 'LZ4', enable_adaptive_codec_selection = 1,
    map_serialization_version = 'with_buckets', max_buckets_in_map = 8, map_buckets_strategy = 'constant',
    map_buckets_min_avg_size = 0;

-- Every event id of the last days and where it was first stored: the exact answer behind the repeat filter.
CREATE TABLE IF NOT EXISTS event_ids {on_cluster}
(
    event_id FixedString(16) CODEC(NONE),
    log_partition UInt16 CODEC(ZSTD(1)),
    log_offset UInt64 CODEC(ZSTD(1)),
    seq UInt32 CODEC(ZSTD(1)),
    day Date CODEC(ZSTD(1))
)
ENGINE = {merge_tree}
PARTITION BY day
ORDER BY event_id
SETTINGS {deduplication}, fsync_after_insert = 1, index_granularity = 512;

-- Every link that a record made between an anonymous id and a login, as it came; who is who is a pure function of
-- these rows. A row with anonymous_key = login_key only says: this id is a login.
CREATE TABLE IF NOT EXISTS bindings {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    anonymous_key UInt64 CODEC(ZSTD(1)),
    login_key UInt64 CODEC(ZSTD(1)),
    anonymous_id String CODEC(ZSTD(1)),
    login_id String CODEC(ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    seq UInt32 CODEC(ZSTD(1)),
    event_key UInt64 CODEC(ZSTD(1)),
    trusted Bool CODEC(ZSTD(1)),
    log_partition UInt16 CODEC(ZSTD(1)),
    log_offset UInt64 CODEC(ZSTD(1)),
    PROJECTION by_login (SELECT * ORDER BY login_key)
)
ENGINE = {merge_tree}
ORDER BY (anonymous_key, login_key)
SETTINGS {deduplication}, fsync_after_insert = 1, index_granularity = 512;

-- Persons of ids whose stored rows carry another stamp. Applied in queries through the dictionary below.
CREATE TABLE IF NOT EXISTS overrides {on_cluster}
(
    id_key UInt64 CODEC(ZSTD(1)),
    user_key UInt64 CODEC(ZSTD(1)),
    version UInt64 CODEC(ZSTD(1))
)
ENGINE = {replacing_merge_tree}(version)
ORDER BY id_key
SETTINGS {deduplication}, fsync_after_insert = 1;

CREATE DICTIONARY IF NOT EXISTS overrides_map {on_cluster}
(
    id_key UInt64,
    user_key UInt64
)
PRIMARY KEY id_key
SOURCE(CLICKHOUSE(QUERY 'SELECT id_key, argMax(user_key, version) AS user_key FROM {database}.overrides GROUP BY id_key'))
LAYOUT(HASHED())
LIFETIME(0);

-- What records asked of profiles, as it came. A profile is a pure function of its person's operations.
CREATE TABLE IF NOT EXISTS profile_operations {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    id_key UInt64 CODEC(ZSTD(1)),
    distinct_id String CODEC(ZSTD(1)),
    operation LowCardinality(String) CODEC(ZSTD(1)),
    property LowCardinality(String) CODEC(ZSTD(1)),
    value String CODEC(ZSTD(1)),
    time DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    seq UInt32 CODEC(ZSTD(1)),
    event_key UInt64 CODEC(ZSTD(1)),
    log_partition UInt16 CODEC(ZSTD(1)),
    log_offset UInt64 CODEC(ZSTD(1))
)
ENGINE = {merge_tree}
ORDER BY (id_key, property, time)
SETTINGS {deduplication}, fsync_after_insert = 1, index_granularity = 512;

-- The profiles that those operations give, a row a person; `deleted` for a person that was merged into another.
CREATE TABLE IF NOT EXISTS profiles {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    user_key UInt64 CODEC(ZSTD(1)),
    user_id String CODEC(ZSTD(1)),
    properties Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    deleted Bool CODEC(ZSTD(1)),
    version UInt64 CODEC(ZSTD(1))
)
ENGINE = {replacing_merge_tree}(version)
ORDER BY (project, user_key)
SETTINGS {deduplication}, fsync_after_insert = 1;

-- What records asked of items, as it came. An item is a pure function of its operations.
CREATE TABLE IF NOT EXISTS item_operations {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    item_type LowCardinality(String) CODEC(ZSTD(1)),
    item_id String CODEC(ZSTD(1)),
    operation LowCardinality(String) CODEC(ZSTD(1)),
    property LowCardinality(String) CODEC(ZSTD(1)),
    value String CODEC(ZSTD(1)),
    time DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    seq UInt32 CODEC(ZSTD(1)),
    event_key UInt64 CODEC(ZSTD(1)),
    log_partition UInt16 CODEC(ZSTD(1)),
    log_offset UInt64 CODEC(ZSTD(1))
)
ENGINE = {merge_tree}
ORDER BY (project, item_type, item_id, time)
SETTINGS {deduplication}, fsync_after_insert = 1, index_granularity = 512;

-- Business tables (accounts, products), a row an item.
CREATE TABLE IF NOT EXISTS items {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    item_type LowCardinality(String) CODEC(ZSTD(1)),
    item_id String CODEC(ZSTD(1)),
    properties Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    deleted Bool CODEC(ZSTD(1)),
    version UInt64 CODEC(ZSTD(1))
)
ENGINE = {replacing_merge_tree}(version)
ORDER BY (project, item_type, item_id)
SETTINGS {deduplication}, fsync_after_insert = 1;

-- Records that were turned away: why, where, and the bytes (sealed with a key derived from the installation key).
CREATE TABLE IF NOT EXISTS dead_letters {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    door LowCardinality(String) CODEC(ZSTD(1)),
    reason LowCardinality(String) CODEC(ZSTD(1)),
    field String CODEC(ZSTD(1)),
    message String CODEC(ZSTD(1)),
    sealed String CODEC(NONE),
    log_partition UInt16 CODEC(ZSTD(1)),
    log_offset UInt64 CODEC(ZSTD(1)),
    seq UInt32 CODEC(ZSTD(1))
)
ENGINE = {merge_tree}
PARTITION BY toYYYYMM(received_at)
ORDER BY (project, received_at)
TTL toDateTime(received_at) + INTERVAL 90 DAY
SETTINGS {deduplication}, fsync_after_insert = 1;

-- Ranges of log offsets that are inserted at once: a row when planned, a row when done.
CREATE TABLE IF NOT EXISTS ingest_blocks {on_cluster}
(
    log_partition UInt16 CODEC(ZSTD(1)),
    first_offset UInt64 CODEC(ZSTD(1)),
    last_offset UInt64 CODEC(ZSTD(1)),
    state Enum8('planned' = 1, 'done' = 2) CODEC(ZSTD(1)),
    stored UInt64 CODEC(ZSTD(1)),
    checksum UInt64 CODEC(ZSTD(1)),
    received_until DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    written_at DateTime64(3, 'UTC') CODEC(ZSTD(1))
)
ENGINE = {merge_tree}
ORDER BY (log_partition, first_offset)
SETTINGS {deduplication}, fsync_after_insert = 1;

-- What became of what was received, by block: outcome is received, stored, duplicate or rejected (with a reason).
CREATE TABLE IF NOT EXISTS ledger {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    door LowCardinality(String) CODEC(ZSTD(1)),
    minute DateTime('UTC') CODEC(ZSTD(1)),
    outcome LowCardinality(String) CODEC(ZSTD(1)),
    reason LowCardinality(String) CODEC(ZSTD(1)),
    count UInt64 CODEC(ZSTD(1)),
    log_partition UInt16 CODEC(ZSTD(1)),
    first_offset UInt64 CODEC(ZSTD(1)),
    last_offset UInt64 CODEC(ZSTD(1))
)
ENGINE = {merge_tree}
ORDER BY (project, minute)
SETTINGS {deduplication}, fsync_after_insert = 1;

-- Event names that were seen.
CREATE TABLE IF NOT EXISTS event_catalogue {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    event String CODEC(ZSTD(1)),
    type LowCardinality(String) CODEC(ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    last_seen SimpleAggregateFunction(max, DateTime64(3, 'UTC')) CODEC(ZSTD(1))
)
ENGINE = {aggregating_merge_tree}
ORDER BY (project, event, type)
SETTINGS {deduplication}, fsync_after_insert = 1;

-- Properties that were seen, with the type of each first value; the first row by (seen_at, log position) decides.
CREATE TABLE IF NOT EXISTS property_catalogue {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    source Enum8('event' = 1, 'user' = 2, 'item' = 3) CODEC(ZSTD(1)),
    property String CODEC(ZSTD(1)),
    type Enum8('string' = 1, 'number' = 2, 'decimal' = 3, 'boolean' = 4, 'datetime' = 5, 'list' = 6) CODEC(ZSTD(1)),
    seen_at DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    log_partition UInt16 CODEC(ZSTD(1)),
    log_offset UInt64 CODEC(ZSTD(1)),
    seq UInt32 CODEC(ZSTD(1))
)
ENGINE = {merge_tree}
ORDER BY (project, source, property, seen_at, log_partition, log_offset, seq)
SETTINGS {deduplication}, fsync_after_insert = 1;

-- Values whose type was not their property's: kept as text, counted here.
CREATE TABLE IF NOT EXISTS type_conflicts {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    source Enum8('event' = 1, 'user' = 2, 'item' = 3) CODEC(ZSTD(1)),
    property String CODEC(ZSTD(1)),
    type LowCardinality(String) CODEC(ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1))
)
ENGINE = {aggregating_merge_tree}
ORDER BY (project, source, property, type)
SETTINGS {deduplication}, fsync_after_insert = 1;
