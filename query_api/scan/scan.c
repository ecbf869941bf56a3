/* The calls that Python makes (native.py): create, feed any number of blocks, walk ranges of buckets, destroy.
 *
 * feed and create belong to one thread at a time. Different ranges of buckets may be walked by several threads.
 * No call keeps a pointer to a block.
 */
#include "scan.h"

#include <stdlib.h>
#include <string.h>

FOOTFALL_API scan_status scan_create(const scan_plan *plan, scanner **created) {
    scanner *s = calloc(1, sizeof *s);
    if (s == NULL) return SCAN_NO_MEMORY;
    s->plan = *plan;
    s->store = (record_store){.record_words = 2, .memory_bytes = plan->memory_bytes};
    if (plan->with_values || plan->mask_bits > PACKED_MASK_BITS) s->store.record_words = 3;
    if (plan->partitioned || plan->mask_bits > PACKED_MASK_BITS + 32) s->store.record_words = 4;
    *created = s;
    return SCAN_OK;
}

FOOTFALL_API void scan_destroy(scanner *s) {
    if (s == NULL) return;
    free_store(&s->store);
    free(s);
}

static INLINE uint64_t read_mask(const void *masks, uint32_t width, uint64_t i) {
    switch (width) {
    case 1: return ((const uint8_t *)masks)[i];
    case 2: return ((const uint16_t *)masks)[i];
    case 4: return ((const uint32_t *)masks)[i];
    default: return ((const uint64_t *)masks)[i];
    }
}

/* Inlined once for each width of mask and record, so that the loop has no switch in it. */
static INLINE scan_status feed_events(scanner *s, const uint64_t *keys, const int64_t *times, const void *masks,
                                      const uint32_t *values, const uint32_t *partitions, uint64_t n,
                                      const uint32_t mask_width, const uint32_t words) {
    uint64_t step_bits = (UINT64_C(1) << s->plan.steps) - 1;
    uint64_t used_bits = s->plan.mask_bits == 64 ? UINT64_MAX : (UINT64_C(1) << s->plan.mask_bits) - 1;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t mask = read_mask(masks, mask_width, i) & used_bits;
        uint64_t time = (uint64_t)times[i] - (uint64_t)EARLIEST_MS;
        if (time >> TIME_BITS) return SCAN_BAD_TIME;
        if (mask == 0) continue;
        if (words == 4 && partitions != NULL && partitions[i] == NO_VALUE && !(mask & ~step_bits)) continue;
        uint64_t *record = add_record(&s->store, keys[i], words);
        if (record == NULL) return SCAN_NO_MEMORY;
        record[1] = time << PACKED_MASK_BITS | (mask & ((1 << PACKED_MASK_BITS) - 1));
        if (words >= 3) {
            uint32_t value = values == NULL ? NO_VALUE : values[i];
            if (value != NO_VALUE && value >= s->code_count) s->code_count = (uint64_t)value + 1;
            record[2] = (uint64_t)value << 32 | (mask >> PACKED_MASK_BITS & UINT32_MAX);
        }
        if (words == 4) record[3] = (mask >> (PACKED_MASK_BITS + 32)) << 32 | (partitions ? partitions[i] : 0);
    }
    return SCAN_OK;
}

FOOTFALL_API scan_status scan_feed(scanner *s, const uint64_t *keys, const int64_t *times, const void *masks,
                                   uint32_t mask_width, const uint32_t *values, const uint32_t *partitions,
                                   uint64_t n) {
#define FEED(width, words)                                                                                             \
    if (mask_width == (width) && s->store.record_words == (words))                                                           \
        return feed_events(s, keys, times, masks, values, partitions, n, width, words)
    FEED(1, 2);
    FEED(2, 2);
    FEED(4, 2);
    FEED(8, 2);
    FEED(1, 3);
    FEED(2, 3);
    FEED(4, 3);
    FEED(8, 3);
#undef FEED
    return feed_events(s, keys, times, masks, values, partitions, n, mask_width, 4);
}

static void free_walker(walker *w) {
    for (int g = 0; g < MAX_EXCLUSIONS; g++) free(w->excluded[g].times);
    for (int k = 0; k < MAX_STEPS; k++) free(w->breaking[k].times);
    free(w->events);
    free(w->instants);
    free(w->masks);
    free(w->taken);
    free_sorter(&w->sorted);
}

/* A walked bucket is empty afterwards. On an error the found rows are still the caller's to release. */
FOOTFALL_API scan_status scan_walk(scanner *s, const uint32_t *ranks, uint64_t rank_count, uint32_t first_bucket,
                                   uint32_t end_bucket, scan_found *found) {
    memset(found, 0, sizeof *found);
    const scan_plan *plan = &s->plan;
    if (ranks != NULL && s->code_count > rank_count) return SCAN_BAD_CODE;
    walker w = {.plan = plan, .ranks = ranks, .found = found};
    w.sorted.record_words = s->store.record_words;
    w.step_bits = (UINT64_C(1) << plan->steps) - 1;
    w.always_general = plan->order != ORDERED || plan->bucket_count > 0;
    scan_status status = SCAN_OK;
    for (uint32_t i = first_bucket; i < end_bucket && status == SCAN_OK; i++) {
        bucket *b = &s->store.buckets[i];
        if (b->records == 0) continue;
        status = sort_bucket(&w.sorted, b);
        free_chunks(b);
        if (status == SCAN_OK) status = walk_actors(&w, b->records);
        b->records = 0;
    }
    free_walker(&w);
    return status;
}

FOOTFALL_API void scan_release(void *column) { free(column); }
