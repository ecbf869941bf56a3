-- Identity keys under the strategy `global`: what records say of declared ids, and the stamps that rows may carry.

-- A link (kind link; bind: on purpose) is between a record's main id and another one; an unbind takes `other` off
-- `one` (one_key 0: off whatever it was bound to), `told` says of `one` alone that it is there. Who is who is a pure
-- function of these rows.
CREATE TABLE IF NOT EXISTS identity_links {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    one_key UInt64 CODEC(ZSTD(1)),
    other_key UInt64 CODEC(ZSTD(1)),
    one_name LowCardinality(String) CODEC(ZSTD(1)),
    other_name LowCardinality(String) CODEC(ZSTD(1)),
    one_id String CODEC(ZSTD(1)),
    other_id String CODEC(ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    seq UInt32 CODEC(ZSTD(1)),
    event_key UInt64 CODEC(ZSTD(1)),
    trusted Bool CODEC(ZSTD(1)),
    log_partition UInt16 CODEC(ZSTD(1)),
    log_offset UInt64 CODEC(ZSTD(1)),
    PROJECTION by_other (SELECT * ORDER BY other_key)
)
ENGINE = {merge_tree}
ORDER BY (one_key, other_key)
SETTINGS {deduplication}, fsync_after_insert = 1, index_granularity = 512;

-- Whom ids stood for before: a row that no override was emptied into yet carries one of these stamps. Pages about
-- one person read the rows of all of them.
CREATE TABLE IF NOT EXISTS past_persons {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    id_key UInt64 CODEC(ZSTD(1)),
    user_key UInt64 CODEC(ZSTD(1)),
    version UInt64 CODEC(ZSTD(1))
)
ENGINE = {replacing_merge_tree}(version)
ORDER BY (id_key, user_key)
SETTINGS {deduplication}, fsync_after_insert = 1, index_granularity = 512;
