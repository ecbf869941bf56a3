-- How often what was sent did not keep to the project's tracking plan, by the day on which it came (the project's own
-- days) and the app that sent it. Counted with the block that holds the records; repeats of a record do not count.
CREATE TABLE IF NOT EXISTS plan_violations {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    day Date CODEC(ZSTD(1)),
    event String CODEC(ZSTD(1)),
    property String CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    lib LowCardinality(String) CODEC(ZSTD(1)),
    app_version LowCardinality(String) CODEC(ZSTD(1)),
    refused Bool CODEC(ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1))
)
ENGINE = {aggregating_merge_tree}
ORDER BY (project, day, event, property, kind, lib, app_version, refused)
SETTINGS {deduplication}, fsync_after_insert = 1;
