-- Rights of a person: which ids were erased, and what was taken out of the tables lawfully (ADR 0018).

-- What an id's person did up to `erased_at` is gone, and is refused when it comes again: late, replayed, imported. With
-- `refuse_all` nothing of the id is ever taken. Keyed hashes only: nobody can tell from them who it was.
CREATE TABLE IF NOT EXISTS tombstones {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    id_key UInt64 CODEC(ZSTD(1)),
    erased_at DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    refuse_all Bool CODEC(ZSTD(1)),
    erasure String CODEC(ZSTD(1))
)
ENGINE = {merge_tree}
ORDER BY id_key
SETTINGS {deduplication}, fsync_after_insert = 1;

-- What is taken out of one partition of a table: a row when planned, with the statement that does it and the digests of
-- what goes (rows, and by how much the sums of their hashes shrink), and a row when done. Blocks' digests less these
-- are what the store must hold. An alteration has 0 rows: the hashes of before less those of after.
CREATE TABLE IF NOT EXISTS removals {on_cluster}
(
    removal String CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    table LowCardinality(String) CODEC(ZSTD(1)),
    part LowCardinality(String) CODEC(ZSTD(1)),
    state Enum8('planned' = 1, 'done' = 2) CODEC(ZSTD(1)),
    statement String CODEC(ZSTD(1)),
    about String CODEC(ZSTD(1)),
    removed_at DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    `digests.project` Array(LowCardinality(String)) CODEC(ZSTD(1)),
    `digests.log_partition` Array(UInt16) CODEC(ZSTD(1)),
    `digests.bucket` Array(UInt64) CODEC(Delta, ZSTD(1)),
    `digests.rows` Array(UInt64) CODEC(ZSTD(1)),
    `digests.sum` Array(UInt64) CODEC(NONE),
    `digests.placed` Array(UInt64) CODEC(NONE)
)
ENGINE = {merge_tree}
ORDER BY (table, part, removal)
SETTINGS {deduplication}, fsync_after_insert = 1;

-- The records that a removal takes out, where no condition on keys names them.
CREATE TABLE IF NOT EXISTS removal_places {on_cluster}
(
    removal String CODEC(ZSTD(1)),
    table LowCardinality(String) CODEC(ZSTD(1)),
    log_partition UInt16 CODEC(ZSTD(1)),
    log_offset UInt64 CODEC(ZSTD(1)),
    seq UInt32 CODEC(ZSTD(1))
)
ENGINE = {merge_tree}
ORDER BY (removal, table, log_partition, log_offset, seq)
SETTINGS {deduplication}, fsync_after_insert = 1;
