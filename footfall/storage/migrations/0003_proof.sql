-- Proof: digests of what a block inserted (storage/digests.py, ADR 0012), what was let go on purpose, which dead
-- letters were replayed.

ALTER TABLE ingest_blocks {on_cluster}
    ADD COLUMN IF NOT EXISTS digest_version UInt8 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS `digests.table` Array(LowCardinality(String)) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS `digests.project` Array(LowCardinality(String)) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS `digests.part` Array(LowCardinality(String)) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS `digests.bucket` Array(UInt64) CODEC(Delta, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS `digests.rows` Array(UInt32) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS `digests.sum` Array(UInt64) CODEC(NONE),
    ADD COLUMN IF NOT EXISTS `digests.placed` Array(UInt64) CODEC(NONE);

-- Written before data is dropped on purpose: whole partitions of a table, of one project or ('') of all. What lies
-- there no longer has to be.
CREATE TABLE IF NOT EXISTS retirements {on_cluster}
(
    table LowCardinality(String) CODEC(ZSTD(1)),
    project LowCardinality(String) CODEC(ZSTD(1)),
    part LowCardinality(String) CODEC(ZSTD(1)),
    retired_at DateTime64(3, 'UTC') CODEC(ZSTD(1))
)
ENGINE = {merge_tree}
ORDER BY (table, project, part)
SETTINGS {deduplication}, fsync_after_insert = 1;

-- Dead letters that were sent through the pipeline again: where each lay, and which log record it came in again.
CREATE TABLE IF NOT EXISTS replays {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    letter_partition UInt16 CODEC(ZSTD(1)),
    letter_offset UInt64 CODEC(ZSTD(1)),
    letter_seq UInt32 CODEC(ZSTD(1)),
    event_id FixedString(16) CODEC(NONE),
    outcome LowCardinality(String) CODEC(ZSTD(1)),
    replayed_at DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    log_partition UInt16 CODEC(ZSTD(1)),
    log_offset UInt64 CODEC(ZSTD(1)),
    seq UInt32 CODEC(ZSTD(1))
)
ENGINE = {merge_tree}
ORDER BY (letter_partition, letter_offset, letter_seq)
SETTINGS {deduplication}, fsync_after_insert = 1;
