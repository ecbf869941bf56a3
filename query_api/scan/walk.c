/* One actor's events, walked once.
 *
 * Actors whose events fit one step each take the simple walk: a start time a step, no matching. All others take the
 * general walk, start by start. Its pointers never go back: an earlier attempt is at every instant at least as deep
 * as a later one, so the instant at which a level is reached only moves on from start to start. That makes the work
 * linear in events x (steps + exclusions), whatever is sent.
 */
#include "scan.h"

#include <stdlib.h>
#include <string.h>

enum { NOWHERE = UINT32_MAX };

static INLINE uint32_t lowest_bit(uint64_t bits) { return (uint32_t)__builtin_ctzll(bits); }

/* ---- the simple walk: every event fits one step, no exclusion, no trend, ordered ---- */

static bool walk_simple(const walker *w, const event *events, uint32_t n, attempt *chosen) {
    const scan_plan *plan = w->plan;
    int64_t starts[MAX_STEPS]; /* of the latest live attempt that reached the step */
    for (uint32_t k = 0; k < plan->steps; k++) starts[k] = NEVER;
    uint32_t best = 0;
    int64_t start = NEVER;
    for (uint32_t i = 0; i < n && best < plan->steps; i++) {
        uint32_t k = lowest_bit(events[i].mask);
        int64_t time = events[i].time;
        if (k == 0) {
            if (time >= plan->entry_until_ms) continue;
            starts[0] = time;
        } else {
            if (starts[k - 1] == NEVER || time - starts[k - 1] > plan->window_ms) continue;
            starts[k] = starts[k - 1];
        }
        if (k + 1 > best) {
            best = k + 1;
            start = starts[k];
        }
    }
    uint32_t level = 0;
    for (uint32_t i = 0; i < n && level < best; i++) {
        if (events[i].time >= start && events[i].mask >> level & 1) chosen->times[level++] = events[i].time;
    }
    chosen->level = best;
    return best > 0;
}

/* ---- the general walk ---- */

typedef struct {
    walker *w;
    const instant *instants;
    uint32_t count;
    uint32_t next[MAX_STEPS];             /* ordered: first instant with step `level` after the one before */
    uint32_t matched_at[MAX_STEPS];       /* ordered: the instant whose matching from `level` is known, */
    uint32_t matched_to[MAX_STEPS];       /* and how deep it goes */
    uint32_t gains[MAX_STEPS][MAX_STEPS]; /* any: by level and step, first instant with the step after it */
    uint32_t reached[MAX_STEPS];          /* this attempt's instant of each step */
} path;

static inline int64_t reached_time(const path *p, uint32_t step) { return p->instants[p->reached[step]].time; }

/* The first of the barrier's times that is after `since`; INT64_MAX if there is none. */
static int64_t first_after(const path *p, const barrier *b, int64_t since) {
    uint64_t low = 0, high = b->count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (b->times[middle] <= since) low = middle + 1;
        else high = middle;
    }
    p->w->found->operations++;
    return low < b->count ? b->times[low] : INT64_MAX;
}

/* The first instant after `after` that has one of the bits; `pointer` remembers how far it was looked for. */
static uint32_t advance(path *p, uint32_t *pointer, uint32_t after, uint64_t bits) {
    uint32_t at = *pointer <= after ? after + 1 : *pointer;
    while (at < p->count && !(p->instants[at].any & bits)) {
        at++;
        p->w->found->operations++;
    }
    *pointer = at;
    return at;
}

static uint32_t match_instant(path *p, uint32_t at, uint32_t level) {
    const instant *here = &p->instants[at];
    uint32_t steps = p->w->plan->steps;
    if (here->mask_count == 1) return level + 1;
    if (here->single) {
        while (level < steps && here->any >> level & 1) level++;
        return level;
    }
    if (p->matched_at[level] != at) {
        p->matched_at[level] = at;
        p->matched_to[level] = deepest_level(p->w->masks + here->first_mask, here->mask_count, p->w->taken, level,
                                             steps, &p->w->found->operations);
    }
    return p->matched_to[level];
}

/* Follows the attempt that starts at instant `start`; returns its level. */
static uint32_t follow_in_order(path *p, uint32_t start) {
    const scan_plan *plan = p->w->plan;
    int64_t limit = p->instants[start].time + plan->window_ms;
    uint32_t level = 0, at = start;
    for (;;) {
        uint32_t deeper = match_instant(p, at, level);
        while (level < deeper) p->reached[level++] = at;
        if (level == plan->steps) return level;
        uint32_t following = advance(p, &p->next[level], at, UINT64_C(1) << level);
        if (following == p->count || p->instants[following].time > limit) return level;
        if (plan->order == STRICT) {
            int64_t broken = first_after(p, &p->w->breaking[level - 1], p->instants[at].time);
            if (broken < p->instants[following].time) return level;
        }
        at = following;
    }
}

static uint32_t serve_instant(path *p, uint32_t at, uint32_t level, uint64_t *serving, uint64_t *gain) {
    const instant *here = &p->instants[at];
    const uint64_t *masks = p->w->masks + here->first_mask;
    uint32_t steps = p->w->plan->steps;
    for (uint32_t e = 0; e < here->mask_count && level < steps; e++) {
        p->w->found->operations++;
        if (!(masks[e] & *gain)) continue;
        if (!serve_one_more(masks[e], serving, steps, &p->w->found->operations)) continue;
        p->reached[level++] = at;
        *gain = steps_to_gain(serving, steps);
    }
    return level;
}

static uint32_t follow_in_any_order(path *p, uint32_t start) {
    const scan_plan *plan = p->w->plan;
    int64_t limit = p->instants[start].time + plan->window_ms;
    uint64_t serving[MAX_STEPS] = {0}, gain = p->w->step_bits;
    uint32_t level = 0, at = start;
    for (;;) {
        level = serve_instant(p, at, level, serving, &gain);
        if (level == plan->steps) return level;
        uint32_t following = p->count;
        for (uint64_t rest = gain; rest; rest &= rest - 1) {
            uint32_t *pointer = &p->gains[level][lowest_bit(rest)];
            uint32_t found = advance(p, pointer, at, rest & -rest);
            if (found < following) following = found;
        }
        if (following == p->count || p->instants[following].time > limit) return level;
        at = following;
    }
}

static bool is_void(const path *p, uint32_t start, uint32_t level) {
    const scan_plan *plan = p->w->plan;
    int64_t limit = p->instants[start].time + plan->window_ms;
    for (uint32_t g = 0; g < plan->exclusions; g++) {
        uint32_t from = plan->exclude_from[g], to = plan->exclude_to[g];
        if (level <= from) continue;
        int64_t time = first_after(p, &p->w->excluded[g], reached_time(p, from));
        if (level > to ? time < reached_time(p, to) : time <= limit) return true;
    }
    return false;
}

static void reset_path(path *p) {
    uint32_t steps = p->w->plan->steps;
    for (uint32_t k = 0; k < steps; k++) {
        p->next[k] = 0;
        p->matched_at[k] = NOWHERE;
        if (p->w->plan->order == ANY) memset(p->gains[k], 0, steps * sizeof p->gains[k][0]);
    }
}

typedef struct {
    uint32_t level;
    uint32_t reached[MAX_STEPS];
} deepest;

/* First to reach the deepest level, then the latest entry: starts come in ascending order. */
static void keep_deepest(deepest *best, const path *p, uint32_t level) {
    if (level < best->level) return;
    if (level == best->level && p->reached[level - 1] > best->reached[level - 1]) return;
    best->level = level;
    memcpy(best->reached, p->reached, level * sizeof best->reached[0]);
}

/* The last bucket that is not after `time`, looked for from `bucket` on; -1: before the first. */
static int64_t bucket_of(const scan_plan *plan, int64_t bucket, int64_t time) {
    int64_t low = bucket < 0 ? 0 : bucket, high = plan->bucket_count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (plan->bucket_starts_ms[middle] <= time) low = middle + 1;
        else high = middle;
    }
    return low - 1;
}

static scan_status walk_general(walker *w, const instant *instants, uint32_t count, attempt *chosen) {
    const scan_plan *plan = w->plan;
    path p; /* not zeroed whole: it is 5 kB */
    p.w = w;
    p.instants = instants;
    p.count = count;
    reset_path(&p);
    deepest best = {.level = 0};
    uint64_t starting = plan->order == ANY ? w->step_bits : 1;
    int64_t bucket = -1;
    uint32_t bucket_level = 0;
    for (uint32_t s = 0; s < count && instants[s].time < plan->entry_until_ms; s++) {
        if (!(instants[s].any & starting)) continue;
        if (plan->bucket_count == 0 && best.level == plan->steps && s > best.reached[best.level - 1]) break;
        w->found->operations++;
        uint32_t level = plan->order == ANY ? follow_in_any_order(&p, s) : follow_in_order(&p, s);
        if (plan->exclusions && is_void(&p, s, level)) continue;
        keep_deepest(&best, &p, level);
        if (plan->bucket_count == 0) continue;
        int64_t own = bucket_of(plan, bucket, instants[s].time);
        if (own != bucket && bucket_level > 0) {
            scan_status status = add_bucket(w, (uint32_t)bucket, bucket_level);
            if (status != SCAN_OK) return status;
            bucket_level = 0;
        }
        bucket = own;
        if (bucket >= 0 && level > bucket_level) bucket_level = level;
    }
    chosen->level = best.level;
    for (uint32_t k = 0; k < best.level; k++) chosen->times[k] = instants[best.reached[k]].time;
    return bucket_level > 0 ? add_bucket(w, (uint32_t)bucket, bucket_level) : SCAN_OK;
}

/* ---- from records to instants ---- */

static uint32_t build_instants(walker *w, const event *events, uint32_t n) {
    uint32_t count = 0, masks = 0;
    for (uint32_t i = 0; i < n;) {
        uint32_t first = i;
        instant here = {.time = events[i].time, .first_mask = masks, .single = true};
        for (; i < n && events[i].time == here.time; i++) {
            uint64_t steps = events[i].mask & w->step_bits;
            here.any |= steps;
            if (steps & (steps - 1)) here.single = false;
        }
        if (here.any == 0) continue;
        here.mask_count = reduce_masks(events + first, i - first, w->step_bits, w->plan->steps, w->masks + masks);
        masks += here.mask_count;
        w->instants[count++] = here;
    }
    return count;
}

static int compare_times(const void *a, const void *b) {
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one > other) - (one < other);
}

static bool add_time(barrier *b, int64_t time) {
    if (!grow((void **)&b->times, &b->capacity, b->count + 1, sizeof *b->times)) return false;
    b->times[b->count++] = time;
    return true;
}

static void sort_times(barrier *b) {
    for (uint64_t i = 1; i < b->count; i++) {
        if (b->times[i] >= b->times[i - 1]) continue;
        qsort(b->times, b->count, sizeof *b->times, compare_times); /* several partitions */
        return;
    }
}

/* Of all the actor's events, whatever partition they are in: an exclusion need not share the steps' value. */
static bool build_barriers(walker *w, uint32_t n) {
    const scan_plan *plan = w->plan;
    uint64_t track = plan->order == STRICT ? UINT64_C(1) << (plan->mask_bits - 1) : 0;
    for (uint32_t g = 0; g < plan->exclusions; g++) w->excluded[g].count = 0;
    for (uint32_t k = 0; k < plan->steps; k++) w->breaking[k].count = 0;
    for (uint32_t i = 0; i < n; i++) {
        event e = w->events[i];
        for (uint64_t rest = e.mask & ~w->step_bits & ~track; rest; rest &= rest - 1) {
            if (!add_time(&w->excluded[lowest_bit(rest) - plan->steps], e.time)) return false;
        }
        if (!(e.mask & track)) continue;
        for (uint32_t k = 0; k + 1 < plan->steps; k++) {
            if (!(e.mask >> k & 1) && !add_time(&w->breaking[k], e.time)) return false;
        }
    }
    for (uint32_t g = 0; g < plan->exclusions; g++) sort_times(&w->excluded[g]);
    for (uint32_t k = 0; k + 1 < plan->steps; k++) sort_times(&w->breaking[k]);
    return true;
}

/* In any order: the bits of which an event at `time` must have one to raise the level of the attempt. */
static uint64_t bits_that_gain(walker *w, const event *events, uint32_t n, int64_t start, int64_t time) {
    uint64_t serving[MAX_STEPS] = {0}, gain = w->step_bits;
    for (uint32_t i = 0; i < n && events[i].time < time; i++) {
        uint64_t mask = events[i].mask & w->step_bits;
        if (events[i].time < start || !(mask & gain)) continue;
        serve_one_more(mask, serving, w->plan->steps, &w->found->operations);
        gain = steps_to_gain(serving, w->plan->steps);
    }
    return gain;
}

static uint32_t find_step_value(walker *w, const event *events, uint32_t n, const attempt *chosen) {
    const scan_plan *plan = w->plan;
    uint32_t step = (uint32_t)plan->value_step;
    if (chosen->level <= step) return NO_VALUE;
    int64_t time = chosen->times[step];
    uint32_t first = 0, last, from = step, to = step + 1;
    while (events[first].time != time) first++;
    for (last = first; last < n && events[last].time == time; last++) {}
    const event *tied = events + first;
    if (plan->order == ANY) {
        return smallest_value(tied, last - first, w->ranks, bits_that_gain(w, events, n, chosen->times[0], time));
    }
    while (from > 0 && chosen->times[from - 1] == time) from--;
    while (to < chosen->level && chosen->times[to] == time) to++;
    return value_of_step(tied, last - first, w->ranks, w->masks, w->taken, step, from, to);
}

/* Walks one actor (in one partition) and adds its row, if it has one. */
static scan_status walk_events(walker *w, const event *events, uint32_t n, uint64_t key, uint32_t partition,
                               uint32_t first_value, uint32_t last_value) {
    const scan_plan *plan = w->plan;
    uint64_t any = 0;
    bool is_simple = !w->always_general && !w->has_barriers;
    for (uint32_t i = 0; i < n; i++) {
        any |= events[i].mask;
        if (events[i].mask & (events[i].mask - 1)) is_simple = false;
    }
    if (!(any & (plan->order == ANY ? w->step_bits : 1))) return SCAN_OK;
    attempt chosen;
    if (is_simple) {
        walk_simple(w, events, n, &chosen);
    } else {
        scan_status status = walk_general(w, w->instants, build_instants(w, events, n), &chosen);
        if (status != SCAN_OK) return status;
    }
    if (chosen.level == 0) return SCAN_OK;
    uint32_t step_value = plan->value_step >= 0 ? find_step_value(w, events, n, &chosen) : NO_VALUE;
    return add_row(w, key, partition, &chosen, first_value, last_value, step_value);
}

static bool make_room(walker *w, uint64_t n) {
    if (n <= w->event_capacity) return true;
    uint64_t masks = w->event_capacity, taken = w->event_capacity, instants = w->event_capacity;
    if (!grow((void **)&w->masks, &masks, n, sizeof *w->masks)) return false;
    if (!grow((void **)&w->instants, &instants, n, sizeof *w->instants)) return false;
    if (!grow((void **)&w->taken, &taken, n, sizeof *w->taken)) return false;
    if (!grow((void **)&w->events, &w->event_capacity, n, sizeof *w->events)) return false;
    memset(w->taken, 0, w->event_capacity);
    return true;
}

static INLINE event unpack(const uint64_t *record, uint32_t words) {
    event e = {.time = (int64_t)(record[1] >> PACKED_MASK_BITS) + EARLIEST_MS, .value = NO_VALUE};
    e.mask = record[1] & ((1 << PACKED_MASK_BITS) - 1);
    if (words >= 3) {
        e.mask |= (record[2] & UINT32_MAX) << PACKED_MASK_BITS;
        e.value = (uint32_t)(record[2] >> 32);
    }
    if (words == 4) e.mask |= (record[3] >> 32) << (PACKED_MASK_BITS + 32);
    return e;
}

/* First and last value over all events that match a step, of all partitions; ties take the smallest by rank. */
static void find_touches(const walker *w, uint32_t n, uint32_t *first, uint32_t *last) {
    int64_t first_time = INT64_MAX, last_time = INT64_MIN;
    *first = *last = NO_VALUE;
    for (uint32_t i = 0; i < n; i++) {
        event e = w->events[i];
        if (e.value == NO_VALUE || !(e.mask & w->step_bits)) continue;
        uint32_t rank = rank_of(w->ranks, e.value);
        if (e.time < first_time || (e.time == first_time && rank < rank_of(w->ranks, *first))) {
            first_time = e.time;
            *first = e.value;
        }
        if (e.time > last_time || (e.time == last_time && rank < rank_of(w->ranks, *last))) {
            last_time = e.time;
            *last = e.value;
        }
    }
}

static inline uint32_t partition_of(const uint64_t *records, uint32_t i, uint32_t words) {
    return words == 4 ? (uint32_t)records[(uint64_t)i * words + 3] : 0;
}

static scan_status walk_actor(walker *w, const uint64_t *records, uint32_t n) {
    const uint32_t words = w->sorted.record_words;
    if (!make_room(w, n)) return SCAN_NO_MEMORY;
    uint64_t any = 0;
    for (uint32_t i = 0; i < n; i++) {
        w->events[i] = unpack(records + (uint64_t)i * words, words);
        any |= w->events[i].mask;
    }
    w->has_barriers = any & ~w->step_bits;
    if (!build_barriers(w, w->has_barriers ? n : 0)) return SCAN_NO_MEMORY;
    if (w->plan->partitioned) { /* those without the value come last, and are done with */
        while (n > 0 && partition_of(records, n - 1, words) == NO_VALUE) n--;
    }
    uint32_t first = NO_VALUE, last = NO_VALUE;
    if (w->plan->with_values) find_touches(w, n, &first, &last);
    for (uint32_t i = 0, end; i < n; i = end) {
        uint32_t partition = partition_of(records, i, words);
        for (end = i + 1; end < n && partition_of(records, end, words) == partition; end++) {}
        scan_status status = walk_events(w, w->events + i, end - i, records[0], partition, first, last);
        if (status != SCAN_OK) return status;
    }
    return SCAN_OK;
}

/* Walks the actors of the sorted bucket. */
scan_status walk_actors(walker *w, uint64_t records) {
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
