-- What a block changes of what other processors remember, written before anything else of it, where several processors
-- fill one store (ADR 0022). Versions grow: who remembers up to one reads what is behind it.
-- bound, linked, profiled: keys of ids that bindings or rulings, links, profile operations name; projects: that have new
-- properties; anew: all that is remembered is to be read again.

CREATE TABLE IF NOT EXISTS block_news {on_cluster}
(
    version UInt64 CODEC(ZSTD(1)),
    log_partition UInt16 CODEC(ZSTD(1)),
    first_offset UInt64 CODEC(ZSTD(1)),
    last_offset UInt64 CODEC(ZSTD(1)),
    bound Array(UInt64) CODEC(ZSTD(1)),
    linked Array(UInt64) CODEC(ZSTD(1)),
    profiled Array(UInt64) CODEC(ZSTD(1)),
    projects Array(String) CODEC(ZSTD(1)),
    anew Bool CODEC(ZSTD(1)),
    written_at DateTime('UTC') DEFAULT now() CODEC(ZSTD(1))
)
ENGINE = {merge_tree}
ORDER BY version
TTL written_at + INTERVAL 3 DAY
SETTINGS {deduplication}, fsync_after_insert = 1;
