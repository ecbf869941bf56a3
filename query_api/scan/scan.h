/* What the scanner's files share. The meaning is in oracle.py; the reasons are in docs/adr/0003-native-scanner.md.
 *
 *   store.c     events wait as records of a few words, in buckets by key
 *   sort.c      a bucket's records, sorted by actor, partition or session, time
 *   scan.c      funnels: the calls that Python makes
 *   walk.c      one actor's events, walked once: attempts, the chosen one, touches
 *   matching.c  events of one instant have no order: which steps can they serve?
 *   found.c     the rows of the answer
 *   paths.c     paths: all of it (paths.h)
 *   retention.c retention: the calls that Python makes, what an actor did in which interval (retention.h)
 */
#ifndef FOOTFALL_SCAN_H
#define FOOTFALL_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define FOOTFALL_API __declspec(dllexport)
#else
#define FOOTFALL_API __attribute__((visibility("default")))
#endif

/* Some functions are to be compiled once for each width of record: with the width a constant they are a quarter
 * faster, and not every compiler inlines them of its own accord. */
#define INLINE inline __attribute__((always_inline))

enum {
    MAX_STEPS = 30,
    MAX_EXCLUSIONS = 63,
    BUCKET_BITS = 9,
    BUCKETS = 1 << BUCKET_BITS,
    TIME_BITS = 44,
    PACKED_MASK_BITS = 20,
};

static const int64_t NEVER = INT64_MIN;
static const uint32_t NO_VALUE = UINT32_MAX;
static const int64_t EARLIEST_MS = -2208988800000; /* 1900-01-01, where ClickHouse's DateTime64 begins */

typedef enum { SCAN_OK = 0, SCAN_NO_MEMORY = 1, SCAN_BAD_TIME = 2, SCAN_BAD_CODE = 3, SCAN_TOO_MANY_NAMES = 4 } scan_status;
typedef enum { ORDERED = 0, STRICT = 1, ANY = 2 } scan_order;

/* Fields as in funnel_plan.FunnelPlan; the layout is repeated in native.py. Pointers are borrowed until destroy. */
typedef struct {
    uint32_t steps;
    uint32_t order;
    int64_t window_ms;
    int64_t entry_until_ms; /* INT64_MAX: no end */
    uint32_t exclusions;
    uint32_t bucket_count;
    const uint32_t *exclude_from;
    const uint32_t *exclude_to;
    const int64_t *bucket_starts_ms;
    uint32_t with_values;
    uint32_t partitioned;
    int32_t value_step; /* -1: none */
    uint32_t mask_bits;
    uint64_t memory_bytes; /* what the events may take */
} scan_plan;

/* The answer; the layout is repeated in native.py. Each column is one allocation that scan_release frees. */
typedef struct {
    uint64_t rows;
    uint64_t bucket_rows_count;
    uint64_t operations; /* inner steps of the general walk: a measure of work that tests can compare */
    uint64_t *keys;
    uint8_t *levels;
    int64_t *step_times; /* rows x steps */
    uint32_t *partitions;
    uint32_t *first_values;
    uint32_t *last_values;
    uint32_t *step_values;
    int64_t *bucket_rows;
    uint32_t *bucket_indexes;
    uint8_t *bucket_levels;
    uint64_t capacity, bucket_capacity;
} scan_found;

/* Records wait in chunks. The first word of a record is its actor's key; the others are the owner's affair. */
typedef struct chunk {
    struct chunk *next;
    uint32_t used, capacity; /* in words */
    uint64_t words[];
} chunk;

typedef struct {
    chunk *newest;
    uint64_t records;
} bucket;

typedef struct {
    uint32_t record_words; /* 2 to 4 */
    uint64_t memory_bytes; /* what the records may take */
    uint64_t allocated_bytes;
    bucket buckets[BUCKETS];
} record_store;

/* Records are in order by key, then by the low half of word 3 and word 1; or, where ties have an order, by words 3,
 * 1 and 2. */
typedef enum { TIES_HAVE_NONE = 0, TIES_HAVE_AN_ORDER = 1 } record_order;

/* One bucket's records in order; the memory is used again for the next bucket. */
typedef struct {
    uint32_t record_words;
    record_order order;
    uint64_t *records, *spare;
    uint64_t capacity, spare_capacity; /* in words */
} sorter;

/* An event of a funnel waits as 2, 3 or 4 words: key; time << 20 | low mask bits; value << 32 | middle mask bits;
 * high mask bits << 32 | partition. */
typedef struct {
    scan_plan plan;
    uint64_t code_count; /* the largest value code + 1 */
    record_store store;
} scanner;

/* All the events of one instant that fit a step. `masks` holds those that can matter to a matching. */
typedef struct {
    int64_t time;
    uint64_t any; /* steps that some event fits */
    uint32_t first_mask, mask_count;
    bool single; /* no event fits more than one step */
} instant;

/* Times, ascending, of what ends or voids an attempt of an actor, in whatever partition it happened. */
typedef struct {
    int64_t *times;
    uint64_t count, capacity;
} barrier;

typedef struct {
    int64_t time;
    uint64_t mask;
    uint32_t value;
} event;

typedef struct {
    uint32_t level;
    int64_t times[MAX_STEPS];
} attempt;

/* One walk's working memory; a thread has its own. */
typedef struct {
    const scan_plan *plan;
    const uint32_t *ranks;
    scan_found *found;
    uint64_t step_bits;
    bool always_general;
    bool has_barriers; /* this actor */
    event *events;
    barrier excluded[MAX_EXCLUSIONS]; /* by exclusion */
    barrier breaking[MAX_STEPS];      /* strict, by step: track events that do not fit it */
    instant *instants;
    uint64_t *masks;
    uint8_t *taken;
    uint64_t event_capacity, instant_capacity;
    sorter sorted;
} walker;

chunk *add_chunk(record_store *s, bucket *b);
void free_chunks(bucket *b);
void free_store(record_store *s);
scan_status sort_bucket(sorter *s, bucket *b);
void free_sorter(sorter *s);
scan_status walk_actors(walker *w, uint64_t records);
uint32_t reduce_masks(const event *events, uint32_t count, uint64_t step_bits, uint32_t steps, uint64_t *masks);
uint32_t deepest_level(const uint64_t *masks, uint32_t count, uint8_t *taken, uint32_t level, uint32_t steps,
                       uint64_t *operations);
uint32_t smallest_value(const event *events, uint32_t count, const uint32_t *ranks, uint64_t bits);
uint32_t value_of_step(const event *events, uint32_t count, const uint32_t *ranks, uint64_t *masks, uint8_t *taken,
                       uint32_t step, uint32_t from, uint32_t to);
bool serve_one_more(uint64_t mask, uint64_t *serving, uint32_t steps, uint64_t *operations);
uint64_t steps_to_gain(const uint64_t *serving, uint32_t steps);
scan_status add_row(walker *w, uint64_t key, uint32_t partition, const attempt *chosen, uint32_t first, uint32_t last,
                    uint32_t step_value);
scan_status add_bucket(walker *w, uint32_t index, uint32_t level);
bool grow(void **memory, uint64_t *capacity, uint64_t wanted, size_t width);

/* Room for one more record of the key; NULL if the store's memory is used up. */
static INLINE uint64_t *add_record(record_store *s, uint64_t key, const uint32_t words) {
    bucket *b = &s->buckets[key >> (64 - BUCKET_BITS)];
    chunk *c = b->newest;
    if (c == NULL || c->used == c->capacity) {
        c = add_chunk(s, b);
        if (c == NULL) return NULL;
    }
    uint64_t *record = c->words + c->used;
    c->used += words;
    b->records++;
    record[0] = key;
    return record;
}

/* ranks == NULL: codes are ranks. A missing value ranks last. */
static INLINE uint32_t rank_of(const uint32_t *ranks, uint32_t value) {
    return value == NO_VALUE || ranks == NULL ? value : ranks[value];
}

#endif
