/* Retention: the calls that Python makes (native_retention.py): create, feed any number of blocks, walk ranges of
 * buckets, destroy; and tally for entries that were listed.
 *
 * An event is never kept as such. What it means for its actor (entered in this place, came back in that one) joins
 * the actor's newest record where it can, and rows come in the order of names and actors: mostly it can. So there
 * are a tenth as many records to sort as events, or fewer.
 */
#include "retention.h"

#include <stdlib.h>
#include <string.h>

FOOTFALL_API scan_status retention_create(const retention_plan *plan, retention_scanner **created) {
    retention_scanner *s = calloc(1, sizeof *s);
    if (s == NULL) return SCAN_NO_MEMORY;
    s->plan = *plan;
    uint32_t last = plan->edge_count - 1;
    s->plan.places_per_ms = (double)last / (double)(plan->edges_ms[last] - plan->edges_ms[0]);
    s->store = (record_store){.record_words = plan->with_values ? 3 : 2, .memory_bytes = plan->memory_bytes};
    *created = s;
    return SCAN_OK;
}

FOOTFALL_API void retention_destroy(retention_scanner *s) {
    if (s == NULL) return;
    free_store(&s->store);
    free(s);
}

/* The last place whose start is not after the time; edge_count - 1 for what comes after them all. Places are nearly
 * of one length, so a guess is right or a step or two off: a search by halves would mispredict every second branch. */
uint32_t find_place(const retention_plan *plan, int64_t time) {
    const int64_t *edges = plan->edges_ms;
    uint32_t last = plan->edge_count - 1;
    if (time < edges[0]) return BEFORE;
    if (time >= edges[last]) return last;
    uint32_t place = (uint32_t)(int64_t)((double)(time - edges[0]) * plan->places_per_ms);
    if (place >= last) place = last - 1;
    while (edges[place] > time) place--;
    while (edges[place + 1] <= time) place++;
    return place;
}

static INLINE uint32_t place_of(retention_scanner *s, int64_t time) {
    if (time >= s->place_start && time < s->place_end) return s->place;
    const retention_plan *plan = &s->plan;
    uint32_t place = find_place(plan, time);
    s->place = place;
    s->place_start = place == BEFORE ? INT64_MIN : plan->edges_ms[place];
    bool is_last = place == plan->edge_count - 1;
    s->place_end = place == BEFORE ? plan->edges_ms[0] : is_last ? INT64_MAX : plan->edges_ms[place + 1];
    return place;
}

static INLINE scan_status add(retention_scanner *s, record_kind kind, uint64_t key, uint64_t tag, uint64_t held,
                              uint32_t value, const uint32_t words) {
    uint64_t *record = add_record(&s->store, key, words);
    if (record == NULL) return SCAN_NO_MEMORY;
    record[1] = (uint64_t)kind << KIND_SHIFT | held;
    if (words == 3) record[2] = value;
    s->newest[kind] = (joinable){.key = key, .tag = tag, .record = record};
    return SCAN_OK;
}

static INLINE bool joins(const joinable *newest, uint64_t key, uint64_t tag) {
    return newest->record != NULL && newest->key == key && newest->tag == tag;
}

static INLINE scan_status add_bit(retention_scanner *s, record_kind kind, uint64_t key, uint32_t place,
                                  const uint32_t words) {
    uint64_t block = place / 32, bit = UINT64_C(1) << place % 32;
    joinable *newest = &s->newest[kind];
    if (!joins(newest, key, block)) return add(s, kind, key, block, block << BLOCK_SHIFT | bit, NO_VALUE, words);
    newest->record[1] |= bit;
    return SCAN_OK;
}

static INLINE scan_status count_here(retention_scanner *s, uint64_t key, uint32_t place, const uint32_t words) {
    joinable *newest = &s->newest[RETURN_HERE];
    if (!joins(newest, key, place) || (uint32_t)newest->record[1] == UINT32_MAX) {
        return add(s, RETURN_HERE, key, place, (uint64_t)place << BLOCK_SHIFT | 1, NO_VALUE, words);
    }
    newest->record[1]++;
    return SCAN_OK;
}

/* Of the events with one tag the earliest matters; of several at that instant each value. */
static INLINE scan_status keep_earliest(retention_scanner *s, record_kind kind, uint64_t key, uint64_t tag,
                                        uint64_t time, uint32_t value, const uint32_t words) {
    joinable *newest = &s->newest[kind];
    if (!joins(newest, key, tag)) return add(s, kind, key, tag, time, value, words);
    uint64_t known = newest->record[1] & ((UINT64_C(1) << TIME_BITS) - 1);
    if (time > known) return SCAN_OK;
    if (time == known) {
        bool is_same = words == 2 || newest->record[2] == value;
        return is_same ? SCAN_OK : add(s, kind, key, tag, time, value, words);
    }
    newest->record[1] = (uint64_t)kind << KIND_SHIFT | time;
    if (words == 3) newest->record[2] = value;
    return SCAN_OK;
}

static INLINE scan_status feed_entering(retention_scanner *s, uint64_t key, uint64_t time, uint32_t place, bool enters,
                                        uint32_t value, const uint32_t words) {
    const retention_plan *plan = &s->plan;
    bool in_range = place < plan->rows;
    if (plan->entry == FIRST_OF_ALL) {
        if (!in_range && place != BEFORE) return SCAN_OK;
        return keep_earliest(s, enters ? ENTER_AT : NAMED_AT, key, 0, time, value, words);
    }
    if (!in_range || !enters) return SCAN_OK;
    if (plan->entry == FIRST_IN_RANGE) return keep_earliest(s, ENTER_AT, key, 0, time, value, words);
    if (plan->with_values) return keep_earliest(s, ENTER_AT, key, place, time, value, words);
    return add_bit(s, ENTER_IN, key, place, words);
}

static INLINE scan_status feed_return(retention_scanner *s, uint64_t key, uint64_t time, uint32_t place,
                                      const uint32_t words) {
    const retention_plan *plan = &s->plan;
    if (place == BEFORE) return SCAN_OK;
    if (plan->rolling) return add(s, RETURN_AT, key, 0, time, NO_VALUE, words);
    if (place == 0 || (place == plan->edge_count - 1 && !plan->or_after)) return SCAN_OK; /* in no cell */
    if (plan->min_occurrences == 1) return add_bit(s, RETURN_IN, key, place, words);
    return count_here(s, key, place, words);
}

/* Inlined once for each width of record. */
static INLINE scan_status feed_events(retention_scanner *s, const uint64_t *keys, const int64_t *times,
                                      const uint8_t *masks, const uint32_t *values, uint64_t n, const uint32_t words) {
    for (uint64_t i = 0; i < n; i++) {
        uint64_t time = (uint64_t)times[i] - (uint64_t)EARLIEST_MS;
        if (time >> TIME_BITS) return SCAN_BAD_TIME;
        if (keys[i] == 0) continue; /* nobody */
        uint32_t value = values == NULL ? NO_VALUE : values[i];
        if (value != NO_VALUE && value >= s->code_count) s->code_count = (uint64_t)value + 1;
        uint32_t place = place_of(s, times[i]);
        scan_status status = SCAN_OK;
        if (masks[i] & (ENTERS | NAMED)) {
            status = feed_entering(s, keys[i], time, place, masks[i] & ENTERS, value, words);
        }
        if (status == SCAN_OK && masks[i] & RETURNS) status = feed_return(s, keys[i], time, place, words);
        if (status != SCAN_OK) return status;
    }
    return SCAN_OK;
}

FOOTFALL_API scan_status retention_feed(retention_scanner *s, const uint64_t *keys, const int64_t *times,
                                        const uint8_t *masks, const uint32_t *values, uint64_t n) {
    if (s->store.record_words == 2) return feed_events(s, keys, times, masks, NULL, n, 2);
    return feed_events(s, keys, times, masks, values, n, 3);
}

/* Adds to `cells`, or lists into `entries` where cells is NULL. A walked bucket is empty afterwards. On an error the
 * entries are still the caller's to release. */
FOOTFALL_API scan_status retention_walk(retention_scanner *s, const uint32_t *ranks, uint64_t rank_count,
                                        uint32_t first_bucket, uint32_t end_bucket, uint64_t *cells,
                                        retention_entries *entries) {
    memset(entries, 0, sizeof *entries);
    if (ranks != NULL && s->code_count > rank_count) return SCAN_BAD_CODE;
    retention_walker w = {.ranks = ranks, .cells = cells, .entries = entries};
    w.sorted.record_words = s->store.record_words;
    scan_status status = open_walker(&w, &s->plan) ? SCAN_OK : SCAN_NO_MEMORY;
    for (uint32_t i = first_bucket; i < end_bucket && status == SCAN_OK; i++) {
        bucket *b = &s->store.buckets[i];
        if (b->records == 0) continue;
        status = sort_bucket(&w.sorted, b);
        free_chunks(b);
        if (status == SCAN_OK) status = walk_intervals(&w, b->records);
        b->records = 0;
    }
    close_walker(&w);
    return status;
}

/* Adds listed entries to the cells of their groups: groups x rows x (periods + 1). */
FOOTFALL_API void retention_tally(const uint32_t *entry_rows, const uint64_t *retained, const uint32_t *groups,
                                  uint64_t entries, uint32_t rows, uint32_t periods, uint64_t *cells) {
    uint32_t words = periods / 64 + 1, width = periods + 1;
    for (uint64_t i = 0; i < entries; i++) {
        uint64_t *row = cells + ((uint64_t)groups[i] * rows + entry_rows[i]) * width;
        for (uint32_t w = 0; w < words; w++) {
            for (uint64_t bits = retained[i * words + w]; bits; bits &= bits - 1) {
                row[w * 64 + (uint32_t)__builtin_ctzll(bits)]++;
            }
        }
    }
}
