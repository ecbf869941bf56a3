-- Privacy: how often which rule, or which kind of detection, did what to which property. No values.

CREATE TABLE IF NOT EXISTS privacy_counts {on_cluster}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    day Date CODEC(ZSTD(1)),
    event String CODEC(ZSTD(1)),
    property String CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    action LowCardinality(String) CODEC(ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1))
)
ENGINE = {aggregating_merge_tree}
ORDER BY (project, day, event, property, kind, action)
SETTINGS {deduplication}, fsync_after_insert = 1;
