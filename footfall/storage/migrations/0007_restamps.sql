-- Partitions of `events` that are replaced by their corrected copy: a row when planned, with the number of rows that
-- the partition has before and after, and a row when done. A kill between the two is finished at the next start.
CREATE TABLE IF NOT EXISTS restamps {on_cluster}
(
    partition_id String CODEC(ZSTD(1)),
    version UInt64 CODEC(ZSTD(1)),
    state Enum8('planned' = 1, 'done' = 2) CODEC(ZSTD(1)),
    stored UInt64 CODEC(ZSTD(1))
)
ENGINE = {merge_tree}
ORDER BY (version, partition_id)
SETTINGS {deduplication}, fsync_after_insert = 1;
