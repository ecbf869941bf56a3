-- The first schema. `{...}` are filled in by the Topology: engines and the cluster clause.
-- Statements end with a semicolon at the end of a line.

-- One wide table. Rows of a person are adjacent (timelines, paths, compression); the projection serves what reads
-- by event (funnels, retention, trends). Columns p_* are properties that are hot or preset (storage/rows.py lists
-- them, a test compares); the rest are in `properties` as text, with their type in the catalogue.
-- Codecs are explicit: with none set, the engine recompresses big parts behind our back.
CREATE TABLE events {on_cluster}
(
    project LowCardinality(String) CODEC(LZ4),
    event LowCardinality(String) CODEC(LZ4),
    type LowCardinality(String) CODEC(ZSTD(1)),
    time DateTime64(3, 'UTC') CODEC(LZ4),
    user_key UInt64 CODEC(LZ4),
    id_key UInt64 CODEC(LZ4),
    seq UInt32 CODEC(ZSTD(1)),
    event_key UInt64 CODEC(ZSTD(1)),
    distinct_id String CODEC(ZSTD(1)),
    anonymous_id String CODEC(ZSTD(1)),
    login_id String CODEC(ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    door LowCardinality(String) CODEC(ZSTD(1)),
    log_partition UInt16 CODEC(ZSTD(1)),
    log_offset UInt64 CODEC(ZSTD(1)),
    {property_columns},
    properties Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    PROJECTION by_event
    (
        SELECT project, event, user_key, time, id_key, type, seq, event_key, {projected_columns}
        ORDER BY project, event, user_key, time
    )
)
ENGINE = {merge_tree}
PARTITION BY toYYYYMM(time)
ORDER BY (project, user_key, time)
SETTINGS {dedup_window}, enable_vertical_merge_algorithm = 0, fsync_after_insert = 1;
