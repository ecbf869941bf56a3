/* One actor's records: in which intervals they entered, in which they came back, and the cells that makes.
 *
 * What came back is gathered once an actor, whatever they entered: as bits by place, and as the last place in or
 * after which there are enough events. An entry's cells are a shifted copy of the bits, or all up to the last.
 */
#include "retention.h"

#include <stdlib.h>
#include <string.h>

/* The returns of an actor. Where days roll, places count from the entry: they have one only. */
typedef struct {
    uint32_t first, end; /* the places that were touched */
    uint32_t last;       /* the last with enough events in it or later; 0: none */
} returns;

bool open_walker(retention_walker *w, const retention_plan *plan) {
    w->plan = plan;
    w->words = plan->periods / 64 + 1;
    w->places = plan->rolling ? plan->periods + 2 : plan->edge_count;
    uint64_t padded = (uint64_t)w->places / 32 + 2 * (uint64_t)w->words + 4; /* cells are read 64 at a time */
    w->returned = calloc(padded, sizeof *w->returned);
    w->counts = calloc(plan->min_occurrences > 1 ? w->places : 1, sizeof *w->counts);
    w->cell_bits = calloc(w->words, sizeof *w->cell_bits);
    return w->returned != NULL && w->counts != NULL && w->cell_bits != NULL;
}

void close_walker(retention_walker *w) {
    free(w->returned);
    free(w->counts);
    free(w->cell_bits);
    free_sorter(&w->sorted);
}

/* ---- what came back ---- */

static INLINE void touch(returns *r, uint32_t first, uint32_t end) {
    if (first < r->first) r->first = first;
    if (end > r->end) r->end = end;
}

static INLINE void return_in(retention_walker *w, returns *r, uint32_t place, uint64_t events) {
    if (w->plan->min_occurrences > 1) w->counts[place] += events;
    else w->returned[place / 32] |= 1u << place % 32;
    touch(r, place, place + 1);
}

/* Where enough events are what counts, the bits come from the counts. */
static void find_enough(retention_walker *w, returns *r) {
    uint64_t so_far = 0;
    for (uint32_t place = r->end; place-- > r->first;) {
        uint64_t count = w->counts[place];
        if (count >= w->plan->min_occurrences) w->returned[place / 32] |= 1u << place % 32;
        so_far += count;
        if (r->last == 0 && so_far >= w->plan->min_occurrences) r->last = place;
    }
}

static void find_last(const retention_walker *w, returns *r) {
    for (uint32_t block = (r->end + 31) / 32; block-- > r->first / 32;) {
        if (w->returned[block] != 0) {
            r->last = block * 32 + 31 - (uint32_t)__builtin_clz(w->returned[block]);
            return;
        }
    }
}

/* `since` is the entry's instant, where days roll. */
static returns gather_returns(retention_walker *w, const uint64_t *records, uint32_t n, uint64_t since) {
    const uint32_t words = w->sorted.record_words;
    returns r = {.first = UINT32_MAX};
    for (uint32_t i = 0; i < n; i++) {
        uint64_t word = records[(uint64_t)i * words + 1], held = word & ((UINT64_C(1) << KIND_SHIFT) - 1);
        switch ((record_kind)(word >> KIND_SHIFT)) {
        case RETURN_IN: {
            uint32_t block = (uint32_t)(held >> BLOCK_SHIFT);
            w->returned[block] |= (uint32_t)held;
            touch(&r, block * 32, block * 32 + 32);
            break;
        }
        case RETURN_HERE: return_in(w, &r, (uint32_t)(held >> BLOCK_SHIFT), (uint32_t)held); break;
        case RETURN_AT:
            if (held >= since) {
                uint64_t day = (held - since) / (uint64_t)DAY_MS, beyond = (uint64_t)w->plan->periods + 1;
                if (day > 0) return_in(w, &r, (uint32_t)(day < beyond ? day : beyond), 1);
            }
            break;
        default: break;
        }
    }
    if (r.first == UINT32_MAX) return (returns){0};
    if (w->plan->min_occurrences > 1) find_enough(w, &r);
    else find_last(w, &r);
    return r;
}

static void forget_returns(retention_walker *w, const returns *r) {
    for (uint32_t block = r->first / 32; block * 32 < r->end; block++) w->returned[block] = 0;
    if (w->plan->min_occurrences == 1) return;
    for (uint32_t place = r->first; place < r->end; place++) w->counts[place] = 0;
}

/* ---- the cells of an entry ---- */

static INLINE uint64_t bits_from(const uint32_t *bits, uint32_t place) {
    const uint32_t *at = bits + place / 32;
    uint32_t shift = place % 32;
    uint64_t low = at[0] | (uint64_t)at[1] << 32;
    return shift == 0 ? low : low >> shift | (uint64_t)at[2] << (64 - shift);
}

static INLINE uint64_t lowest(uint32_t count) { return count >= 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1; }

static void find_cells(retention_walker *w, const returns *r, uint32_t place) {
    uint32_t cells = w->plan->periods + 1;
    if (w->plan->or_after) {
        uint32_t reached = r->last > place ? r->last - place + 1 : 1;
        if (reached < cells) cells = reached;
    }
    for (uint32_t i = 0; i < w->words; i++) {
        uint32_t left = cells > i * 64 ? cells - i * 64 : 0;
        uint64_t bits = w->plan->or_after ? UINT64_MAX : bits_from(w->returned, place + i * 64);
        w->cell_bits[i] = bits & lowest(left);
    }
    w->cell_bits[0] |= 1; /* they are the cohort, whether or not they came back within the interval */
}

static bool grow_entries(retention_entries *e, uint32_t words) {
    uint64_t wanted = e->capacity + e->capacity / 2 + 64, old[] = {e->capacity, e->capacity, e->capacity, e->capacity};
    if (!grow((void **)&e->keys, &old[0], wanted, sizeof *e->keys)) return false;
    if (!grow((void **)&e->rows, &old[1], wanted, sizeof *e->rows)) return false;
    if (!grow((void **)&e->values, &old[2], wanted, sizeof *e->values)) return false;
    if (!grow((void **)&e->retained, &old[3], wanted, words * sizeof *e->retained)) return false;
    e->capacity = wanted;
    return true;
}

static scan_status enter(retention_walker *w, uint64_t key, uint32_t row, uint32_t value, const returns *r) {
    uint32_t place = w->plan->rolling ? 0 : row;
    if (w->cells != NULL && r->last <= place) { /* most never come back, or not after this */
        w->cells[(uint64_t)row * (w->plan->periods + 1)]++;
        return SCAN_OK;
    }
    find_cells(w, r, place);
    if (w->cells != NULL) {
        uint64_t *cells = w->cells + (uint64_t)row * (w->plan->periods + 1);
        for (uint32_t i = 0; i < w->words; i++) {
            for (uint64_t bits = w->cell_bits[i]; bits; bits &= bits - 1) {
                cells[i * 64 + (uint32_t)__builtin_ctzll(bits)]++;
            }
        }
        return SCAN_OK;
    }
    retention_entries *e = w->entries;
    if (e->count == e->capacity && !grow_entries(e, w->words)) return SCAN_NO_MEMORY;
    e->keys[e->count] = key;
    e->rows[e->count] = row;
    e->values[e->count] = value;
    memcpy(e->retained + e->count * w->words, w->cell_bits, w->words * sizeof *w->cell_bits);
    e->count++;
    return SCAN_OK;
}

/* ---- what an actor entered in ---- */

static INLINE uint64_t held_by(const retention_walker *w, const uint64_t *records, uint32_t i) {
    return records[(uint64_t)i * w->sorted.record_words + 1] & ((UINT64_C(1) << KIND_SHIFT) - 1);
}

static INLINE record_kind kind_of(const retention_walker *w, const uint64_t *records, uint32_t i) {
    return (record_kind)(records[(uint64_t)i * w->sorted.record_words + 1] >> KIND_SHIFT);
}

static INLINE uint32_t place_at(const retention_walker *w, uint64_t instant) {
    return find_place(w->plan, (int64_t)instant + EARLIEST_MS);
}

/* The smallest value of the records from `i` on that have the same instant. */
static uint32_t value_at(const retention_walker *w, const uint64_t *records, uint32_t i, uint32_t end) {
    const uint32_t words = w->sorted.record_words;
    if (words < 3) return NO_VALUE;
    uint32_t smallest = (uint32_t)records[(uint64_t)i * words + 2];
    uint64_t instant = held_by(w, records, i);
    for (i++; i < end && held_by(w, records, i) == instant; i++) {
        uint32_t value = (uint32_t)records[(uint64_t)i * words + 2];
        if (rank_of(w->ranks, value) < rank_of(w->ranks, smallest)) smallest = value;
    }
    return smallest;
}

/* The actor enters once, with their first event. An earlier one of that name without the conditions bars them. */
static scan_status enter_once(retention_walker *w, const uint64_t *records, uint32_t first, uint32_t end, uint32_t n) {
    if (first == end) return SCAN_OK;
    uint64_t instant = held_by(w, records, first);
    if (first > 0 && held_by(w, records, 0) < instant) return SCAN_OK;
    uint32_t row = place_at(w, instant);
    if (row >= w->plan->rows) return SCAN_OK;
    uint32_t words = w->sorted.record_words;
    returns r = gather_returns(w, records + (uint64_t)end * words, n - end, instant);
    scan_status status = enter(w, records[0], row, value_at(w, records, first, end), &r);
    forget_returns(w, &r);
    return status;
}

/* The actor enters in every place with an event: by instants, whose first a place has decides the value, */
static scan_status enter_at_each(retention_walker *w, const uint64_t *records, uint32_t first, uint32_t end,
                                 const returns *r) {
    uint32_t before = BEFORE;
    for (uint32_t i = first; i < end; i++) {
        uint32_t row = place_at(w, held_by(w, records, i));
        if (row == before) continue;
        before = row;
        scan_status status = enter(w, records[0], row, value_at(w, records, i, end), r);
        if (status != SCAN_OK) return status;
    }
    return SCAN_OK;
}

/* or by places alone. Records of one block may be several. */
static scan_status enter_in_each(retention_walker *w, const uint64_t *records, uint32_t first, uint32_t end,
                                 const returns *r) {
    for (uint32_t i = first; i < end;) {
        uint64_t block = held_by(w, records, i) >> BLOCK_SHIFT;
        uint32_t bits = 0;
        for (; i < end && held_by(w, records, i) >> BLOCK_SHIFT == block; i++) {
            bits |= (uint32_t)held_by(w, records, i);
        }
        for (; bits; bits &= bits - 1) {
            uint32_t row = (uint32_t)block * 32 + (uint32_t)__builtin_ctz(bits);
            scan_status status = enter(w, records[0], row, NO_VALUE, r);
            if (status != SCAN_OK) return status;
        }
    }
    return SCAN_OK;
}

static scan_status walk_actor(retention_walker *w, const uint64_t *records, uint32_t n) {
    uint32_t named = 0, entered, end;
    while (named < n && kind_of(w, records, named) == NAMED_AT) named++;
    entered = named;
    while (entered < n && kind_of(w, records, entered) == ENTER_AT) entered++;
    end = entered;
    while (end < n && kind_of(w, records, end) == ENTER_IN) end++;
    if (w->plan->entry != RECURRING) return enter_once(w, records, named, entered, n);
    if (named == end) return SCAN_OK;
    returns r = gather_returns(w, records + (uint64_t)end * w->sorted.record_words, n - end, 0);
    scan_status status = enter_at_each(w, records, named, entered, &r);
    if (status == SCAN_OK) status = enter_in_each(w, records, entered, end, &r);
    forget_returns(w, &r);
    return status;
}

/* Walks the actors of the sorted bucket. */
scan_status walk_intervals(retention_walker *w, uint64_t records) {
    const uint32_t words = w->sorted.record_words;
    for (uint64_t i = 0; i < records;) {
        const uint64_t *own = w->sorted.records + i * words;
        uint64_t n = 1;
        while (i + n < records && own[n * words] == own[0]) n++;
        scan_status status = walk_actor(w, own, (uint32_t)n);
        if (status != SCAN_OK) return status;
        i += n;
    }
    return SCAN_OK;
}
