-- People: what was said on purpose about ids, and what became of every claim.

-- What somebody with a secret key said on purpose: bind and unbind (an anonymous id, a login; key 0: whatever
-- login), merge and unmerge (a login, and the one that stands for both). Of several on a pair the last counts.
CREATE TABLE IF NOT EXISTS rulings {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    subject_key UInt64 CODEC(ZSTD(1)),
    login_key UInt64 CODEC(ZSTD(1)),
    subject_id String CODEC(ZSTD(1)),
    login_id String CODEC(ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    seq UInt32 CODEC(ZSTD(1)),
    event_key UInt64 CODEC(ZSTD(1)),
    door LowCardinality(String) CODEC(ZSTD(1)),
    log_partition UInt16 CODEC(ZSTD(1)),
    log_offset UInt64 CODEC(ZSTD(1))
)
ENGINE = {merge_tree}
ORDER BY (kind, subject_key, login_key)
SETTINGS {deduplication}, fsync_after_insert = 1, index_granularity = 512;

-- Every decision about a claim, a row when it is made and a row each time it changes; nothing is ever taken out.
-- decided_at is the version of the block that brought it about; received_at to log_offset tell the record.
CREATE TABLE IF NOT EXISTS binding_decisions {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    decided_at DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    subject_key UInt64 CODEC(ZSTD(1)),
    login_key UInt64 CODEC(ZSTD(1)),
    subject_id String CODEC(ZSTD(1)),
    login_id String CODEC(ZSTD(1)),
    trusted Bool CODEC(ZSTD(1)),
    outcome LowCardinality(String) CODEC(ZSTD(1)),
    reason LowCardinality(String) CODEC(ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    seq UInt32 CODEC(ZSTD(1)),
    event_key UInt64 CODEC(ZSTD(1)),
    log_partition UInt16 CODEC(ZSTD(1)),
    log_offset UInt64 CODEC(ZSTD(1))
)
ENGINE = {merge_tree}
ORDER BY (project, decided_at)
SETTINGS {deduplication}, fsync_after_insert = 1;
