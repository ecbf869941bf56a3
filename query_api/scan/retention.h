/* What retention's two files share. What is asked is in retention_plan.py; the reasons are in docs/adr/0008-retention.md.
 *
 *   retention.c  the calls that Python makes; events become records that say no more than is needed of them
 *   intervals.c  one actor's records: the intervals they entered in, and those they came back in
 *
 * A *place* is the index of an interval among all that matter: 0 is the first that actors enter in.
 */
#ifndef FOOTFALL_RETENTION_H
#define FOOTFALL_RETENTION_H

#include "scan.h"

enum { KIND_BITS = 3, KIND_SHIFT = 64 - KIND_BITS, BLOCK_SHIFT = 32 };
enum { ENTERS = 1, RETURNS = 2, NAMED = 4 }; /* bits of an event's mask */
typedef enum { RECURRING = 0, FIRST_IN_RANGE = 1, FIRST_OF_ALL = 2 } entry_mode;

/* A record's second word: its kind in the upper bits, then what the kind holds. Sorted, an actor's records are in
 * the order of these kinds. Events of one instant have no order, and no kind keeps one. */
typedef enum {
    NAMED_AT,    /* an instant, of an event that has the name and not the conditions */
    ENTER_AT,    /* an instant, and in the third word the breakdown's value */
    ENTER_IN,    /* places as bits: a block of 32 places << 32 | bits */
    RETURN_IN,   /* likewise */
    RETURN_HERE, /* a place << 32 | how many events */
    RETURN_AT,   /* an instant */
    KINDS,
} record_kind;

static const int64_t DAY_MS = 86400000;
static const uint32_t BEFORE = UINT32_MAX; /* the place of what came before place 0 */

/* Fields as in retention_plan.RetentionPlan; the layout is repeated in native_retention.py. Pointers are borrowed. */
typedef struct {
    uint32_t rows;
    uint32_t periods;
    uint32_t entry;
    uint32_t or_after;
    uint32_t rolling;
    uint32_t min_occurrences;
    uint32_t with_values;
    uint32_t edge_count;
    const int64_t *edges_ms; /* starts of the places, and the end of the last */
    uint64_t memory_bytes;
    double places_per_ms; /* set by retention_create */
} retention_plan;

/* A row an actor and interval they entered in. Each column is one allocation that scan_release frees. */
typedef struct {
    uint64_t count, capacity;
    uint64_t *keys;
    uint32_t *rows;
    uint32_t *values;
    uint64_t *retained; /* count x words: bit k = is in cell k */
} retention_entries;

/* The newest record of a kind, which the actor's next event can often join. */
typedef struct {
    uint64_t key;
    uint64_t tag; /* what must be equal too */
    uint64_t *record;
} joinable;

typedef struct {
    retention_plan plan;
    uint64_t code_count; /* the largest value code + 1 */
    int64_t place_start, place_end; /* of the place that was found last */
    uint32_t place;
    joinable newest[KINDS];
    record_store store;
} retention_scanner;

/* One walk's working memory; a thread has its own. */
typedef struct {
    const retention_plan *plan;
    const uint32_t *ranks;
    uint64_t *cells;            /* rows x (periods + 1), or NULL: */
    retention_entries *entries; /* then each entry is listed */
    uint32_t places;            /* that returns can have */
    uint32_t words;             /* of 64 cells */
    uint32_t *returned; /* bits by place, all 0 between actors, as are the counts */
    uint64_t *counts;
    uint64_t *cell_bits; /* of the entry that is being made */
    sorter sorted;
} retention_walker;

uint32_t find_place(const retention_plan *plan, int64_t time);
bool open_walker(retention_walker *w, const retention_plan *plan);
void close_walker(retention_walker *w);
scan_status walk_intervals(retention_walker *w, uint64_t records);

#endif
