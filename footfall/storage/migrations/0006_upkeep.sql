-- Upkeep: what was let go on purpose.

-- Written before data is dropped on purpose: whole partitions of a table, of one project or ('') of all. What lies
-- there no longer has to be. (0003 makes the same table, where it was applied first.)
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
