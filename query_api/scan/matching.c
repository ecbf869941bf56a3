/* Events of one instant have no order, and each serves one step: which steps they can serve is a matching.
 *
 * Work is bounded whatever is sent: reduce_masks keeps at most steps x steps events of an instant, a search visits
 * a step once.
 */
#include "scan.h"

#include <string.h>

static inline uint32_t lowest_bit(uint64_t bits) { return (uint32_t)__builtin_ctzll(bits); }

/* Of the events that fit a step, `steps` are always enough: the others serve at most steps - 1 other steps.
 * Returns how many masks were kept. */
uint32_t reduce_masks(const event *events, uint32_t count, uint64_t step_bits, uint32_t steps, uint64_t *masks) {
    uint32_t kept = 0;
    if (count <= steps) {
        for (uint32_t i = 0; i < count; i++) {
            uint64_t mask = events[i].mask & step_bits;
            if (mask) masks[kept++] = mask;
        }
        return kept;
    }
    uint32_t seen[MAX_STEPS] = {0};
    for (uint32_t i = 0; i < count; i++) {
        bool is_needed = false;
        for (uint64_t rest = events[i].mask & step_bits; rest; rest &= rest - 1) {
            if (seen[lowest_bit(rest)] < steps) is_needed = true;
        }
        if (!is_needed) continue;
        for (uint64_t rest = events[i].mask & step_bits; rest; rest &= rest - 1) seen[lowest_bit(rest)]++;
        masks[kept++] = events[i].mask & step_bits;
    }
    return kept;
}

typedef struct {
    const uint64_t *masks;
    uint32_t count;
    uint8_t *taken;             /* by event: serves a step */
    uint32_t serves[MAX_STEPS]; /* by step: the event */
    uint32_t from, to;          /* steps that are served */
    uint64_t operations;
} matching;

/* Finds an event for `step`, moving other steps to other events where that frees one (an augmenting path). */
static bool place(matching *m, uint32_t step, uint64_t *visited) {
    *visited |= UINT64_C(1) << step;
    for (uint32_t e = 0; e < m->count; e++) {
        m->operations++;
        if (m->taken[e] || !(m->masks[e] >> step & 1)) continue;
        m->taken[e] = 1;
        m->serves[step] = e;
        return true;
    }
    for (uint32_t other = m->from; other < m->to; other++) {
        uint32_t e = m->serves[other];
        if (*visited >> other & 1 || !(m->masks[e] >> step & 1)) continue;
        if (place(m, other, visited)) {
            m->serves[step] = e;
            return true;
        }
    }
    return false;
}

static void release(matching *m) {
    for (uint32_t step = m->from; step < m->to; step++) m->taken[m->serves[step]] = 0;
}

/* How far steps `level`.. are served by distinct events. `taken` is all zero before and after. */
uint32_t deepest_level(const uint64_t *masks, uint32_t count, uint8_t *taken, uint32_t level, uint32_t steps,
                       uint64_t *operations) {
    matching m = {.masks = masks, .count = count, .taken = taken, .from = level, .to = level};
    uint64_t visited = 0;
    while (m.to < steps && m.to - level < count && (visited = 0, place(&m, m.to, &visited))) m.to++;
    release(&m);
    *operations += m.operations;
    return m.to;
}

/* The smallest value by rank among the events that have one of the bits. */
uint32_t smallest_value(const event *events, uint32_t count, const uint32_t *ranks, uint64_t bits) {
    uint32_t best = NO_VALUE;
    for (uint32_t e = 0; e < count; e++) {
        if (events[e].mask & bits && rank_of(ranks, events[e].value) < rank_of(ranks, best)) best = events[e].value;
    }
    return best;
}

/* Whether all steps stay served when `step` takes the event that serves step `loser` now. */
static bool can_take_over(const matching *m, uint32_t step, uint32_t loser) {
    matching changed = *m;
    changed.taken[m->serves[step]] = 0;
    changed.serves[step] = m->serves[loser];
    uint64_t visited = UINT64_C(1) << step;
    bool found = place(&changed, loser, &visited);
    if (found) release(&changed);
    for (uint32_t k = m->from; k < m->to; k++) m->taken[m->serves[k]] = 1;
    return found;
}

/* The smallest value by rank that the event serving `step` can have while steps from..to-1 are all served by distinct
 * ones of these events. `masks` is room for `count`; `taken` is all zero before and after. */
uint32_t value_of_step(const event *events, uint32_t count, const uint32_t *ranks, uint64_t *masks, uint8_t *taken,
                       uint32_t step, uint32_t from, uint32_t to) {
    uint64_t bit = UINT64_C(1) << step;
    if (to - from == 1) return smallest_value(events, count, ranks, bit);
    for (uint32_t e = 0; e < count; e++) masks[e] = events[e].mask;
    matching m = {.masks = masks, .count = count, .taken = taken, .from = from, .to = from};
    uint64_t visited = 0;
    while (m.to < to && (visited = 0, place(&m, m.to, &visited))) m.to++;
    uint32_t best = events[m.serves[step]].value;
    for (uint32_t e = 0; e < count; e++) {
        bool is_smaller = masks[e] & bit && rank_of(ranks, events[e].value) < rank_of(ranks, best);
        if (is_smaller && !taken[e]) best = events[e].value; /* nobody else needs it */
    }
    for (uint32_t k = from; k < to; k++) {
        uint32_t value = events[m.serves[k]].value;
        bool is_smaller = masks[m.serves[k]] & bit && rank_of(ranks, value) < rank_of(ranks, best);
        if (is_smaller && can_take_over(&m, step, k)) best = value;
    }
    release(&m);
    return best;
}

/* In any order: gives a new event a step of its own if that is possible, moving others. serving[k] is the mask of the
 * event that serves step k, 0 if none does. */
static bool give_step(uint64_t mask, uint64_t *serving, uint32_t steps, uint64_t *visited, uint64_t *operations) {
    for (uint64_t rest = mask; rest; rest &= rest - 1) {
        uint32_t step = lowest_bit(rest);
        if (serving[step] == 0) {
            serving[step] = mask;
            return true;
        }
    }
    for (uint64_t rest = mask & ~*visited; rest; rest &= rest - 1) {
        uint32_t step = lowest_bit(rest);
        if (*visited >> step & 1) continue;
        *visited |= UINT64_C(1) << step;
        ++*operations;
        if (give_step(serving[step], serving, steps, visited, operations)) {
            serving[step] = mask;
            return true;
        }
    }
    return false;
}

bool serve_one_more(uint64_t mask, uint64_t *serving, uint32_t steps, uint64_t *operations) {
    uint64_t visited = 0;
    return give_step(mask, serving, steps, &visited, operations);
}

/* In any order: an event raises the number of steps served if and only if its mask meets these. */
uint64_t steps_to_gain(const uint64_t *serving, uint32_t steps) {
    uint64_t gain = 0, before;
    for (uint32_t k = 0; k < steps; k++) {
        if (serving[k] == 0) gain |= UINT64_C(1) << k;
    }
    do {
        before = gain;
        for (uint32_t k = 0; k < steps; k++) {
            if (serving[k] & gain) gain |= UINT64_C(1) << k;
        }
    } while (gain != before);
    return gain;
}
