/* Paths: each actor's events in their exact order, cut into sessions, counted by node and by link.
 *
 * An event waits as 3 or 4 words: key; time << 20 | high bits of seq; low bits of seq << 52 | event key << 20 |
 * name; session. So the order of an actor's events is the order of the words. Names come as hashes and get
 * codes as they are first seen; which label a name has is said in the end.
 *
 * The calls: create, feed any number of blocks, names, walk ranges of buckets, destroy; as in scan.c, feeding is
 * one thread's work and different ranges may be walked by several.
 */
#include "paths.h"

#include <stdlib.h>
#include <string.h>

enum { SEQ_LOW_BITS = 12, FIRST_SLOTS = 1024 };

typedef struct {
    uint64_t hash; /* 0: free */
    uint32_t code;
} name_slot;

typedef struct {
    paths_plan plan;
    uint64_t *names; /* hashes by code */
    uint64_t name_count, name_capacity;
    name_slot *slots;
    uint64_t slot_count;
    record_store store;
} paths_scanner;

FOOTFALL_API void paths_destroy(paths_scanner *s) {
    if (s == NULL) return;
    free_store(&s->store);
    free(s->names);
    free(s->slots);
    free(s);
}

FOOTFALL_API scan_status paths_create(const paths_plan *plan, paths_scanner **created) {
    paths_scanner *s = calloc(1, sizeof *s);
    if (s == NULL) return SCAN_NO_MEMORY;
    s->plan = *plan;
    s->store.record_words = plan->by_session ? 4 : 3;
    s->store.memory_bytes = plan->memory_bytes;
    s->slot_count = FIRST_SLOTS;
    s->slots = calloc(s->slot_count, sizeof *s->slots);
    if (s->slots == NULL) {
        free(s);
        return SCAN_NO_MEMORY;
    }
    *created = s;
    return SCAN_OK;
}

/* ---- names ---- */

/* Bits of all of a key, so that keys which differ anywhere differ in the bits that a table looks at. */
static INLINE uint64_t spread(uint64_t key) {
    key *= UINT64_C(0x9E3779B97F4A7C15);
    return key ^ key >> 32;
}

/* Salted with the scanner's address: whoever sends names cannot choose them so that they collide. */
static INLINE name_slot *find_name(const paths_scanner *s, uint64_t hash) {
    uint64_t place = spread(hash ^ (uint64_t)(uintptr_t)s) & (s->slot_count - 1);
    while (s->slots[place].hash != 0 && s->slots[place].hash != hash) place = (place + 1) & (s->slot_count - 1);
    return &s->slots[place];
}

static scan_status widen_names(paths_scanner *s) {
    name_slot *old = s->slots;
    s->slot_count *= 2;
    s->slots = calloc(s->slot_count, sizeof *s->slots);
    if (s->slots == NULL) {
        s->slots = old;
        s->slot_count /= 2;
        return SCAN_NO_MEMORY;
    }
    for (uint64_t code = 0; code < s->name_count; code++) {
        *find_name(s, s->names[code]) = (name_slot){s->names[code], (uint32_t)code};
    }
    free(old);
    return SCAN_OK;
}

static scan_status learn_name(paths_scanner *s, uint64_t hash, uint32_t *code) {
    if (s->name_count == MAX_NAMES) return SCAN_TOO_MANY_NAMES;
    if (!grow((void **)&s->names, &s->name_capacity, s->name_count + 1, sizeof *s->names)) return SCAN_NO_MEMORY;
    if (s->name_count * 2 >= s->slot_count) {
        scan_status status = widen_names(s);
        if (status != SCAN_OK) return status;
    }
    *code = (uint32_t)s->name_count++;
    s->names[*code] = hash;
    *find_name(s, hash) = (name_slot){hash, *code};
    return SCAN_OK;
}

/* The hashes by code: the caller copies them before it feeds more. */
FOOTFALL_API const uint64_t *paths_names(const paths_scanner *s, uint64_t *count) {
    *count = s->name_count;
    return s->names;
}

/* ---- events ---- */

static INLINE scan_status read_event(paths_scanner *s, int64_t ms, uint64_t hash, uint64_t *time_and_code) {
    uint64_t time = (uint64_t)ms - (uint64_t)EARLIEST_MS;
    if (time >> TIME_BITS) return SCAN_BAD_TIME;
    const name_slot *known = find_name(s, hash);
    uint32_t code = known->code;
    if (known->hash == 0) {
        scan_status status = learn_name(s, hash, &code);
        if (status != SCAN_OK) return status;
    }
    *time_and_code = time << NAME_BITS | code;
    return SCAN_OK;
}

static INLINE scan_status feed_events(paths_scanner *s, const uint64_t *keys, const int64_t *times,
                                      const uint32_t *seqs, const uint32_t *event_keys, const uint64_t *names,
                                      const uint64_t *sessions, uint64_t n, const uint32_t words) {
    const uint64_t code_mask = (1 << NAME_BITS) - 1;
    for (uint64_t i = 0; i < n; i++) {
        if (keys[i] == 0 || (words == 4 && sessions[i] == 0)) continue; /* nobody's, or in no session */
        uint64_t time_and_code;
        scan_status status = read_event(s, times[i], names[i], &time_and_code);
        if (status != SCAN_OK) return status;
        uint64_t *record = add_record(&s->store, keys[i], words);
        if (record == NULL) return SCAN_NO_MEMORY;
        record[1] = (time_and_code & ~code_mask) | seqs[i] >> SEQ_LOW_BITS;
        record[2] = (uint64_t)seqs[i] << (64 - SEQ_LOW_BITS) | (uint64_t)event_keys[i] << NAME_BITS |
                    (time_and_code & code_mask);
        if (words == 4) record[3] = sessions[i];
    }
    return SCAN_OK;
}

/* A name's hash is never 0. */
FOOTFALL_API scan_status paths_feed(paths_scanner *s, const uint64_t *keys, const int64_t *times, const uint32_t *seqs,
                                    const uint32_t *event_keys, const uint64_t *names, const uint64_t *sessions,
                                    uint64_t n) {
    return s->plan.by_session ? feed_events(s, keys, times, seqs, event_keys, names, sessions, n, 4)
                              : feed_events(s, keys, times, seqs, event_keys, names, NULL, n, 3);
}

/* ---- what is counted ---- */

typedef struct {
    uint64_t id; /* as in paths_found; 0: free */
    uint64_t actor; /* the last one: actors come one after the other */
    uint64_t count, users, amount;
} tally;

typedef struct {
    tally *tallies;
    uint64_t used, slots, most; /* most: so many may be used */
} tallies;

static INLINE tally *find_tally(const tallies *t, uint64_t id) {
    uint64_t place = spread(id) & (t->slots - 1);
    while (t->tallies[place].id != 0 && t->tallies[place].id != id) place = (place + 1) & (t->slots - 1);
    return &t->tallies[place];
}

static bool widen_tallies(tallies *t) {
    tallies wider = {.slots = t->slots * 2, .used = t->used, .most = t->most};
    wider.tallies = calloc(wider.slots, sizeof *wider.tallies);
    if (wider.tallies == NULL) return false;
    for (uint64_t i = 0; i < t->slots; i++) {
        if (t->tallies[i].id != 0) *find_tally(&wider, t->tallies[i].id) = t->tallies[i];
    }
    free(t->tallies);
    *t = wider;
    return true;
}

static INLINE bool count_one(tallies *t, uint64_t id, uint64_t actor, uint64_t amount) {
    tally *one = find_tally(t, id);
    if (one->id == 0) {
        if (t->used == t->most) return false;
        if (t->used * 2 >= t->slots) {
            if (!widen_tallies(t)) return false;
            one = find_tally(t, id);
        }
        t->used++;
        one->id = id;
    }
    one->count++;
    one->amount += amount;
    if (one->actor != actor) {
        one->actor = actor;
        one->users++;
    }
    return true;
}

/* ---- walking ---- */

typedef struct {
    int64_t time;
    uint32_t label;
} visit;

typedef struct {
    const paths_plan *plan;
    const paths_labels *labels;
    const paths_cell *cell; /* NULL: figures are wanted, else the actors behind this */
    paths_found *found;
    tallies tallies;
    visit *visits; /* of a session, then of its path */
    uint64_t visit_capacity;
    uint64_t key_capacity;
    sorter sorted;
} paths_walker;

static INLINE uint64_t id_of(uint64_t step, uint64_t source, uint64_t target) {
    return step << (2 * NAME_BITS) | source << NAME_BITS | target;
}

/* The session's nodes from its sorted records; returns how many. */
static INLINE uint32_t read_visits(paths_walker *w, const uint64_t *records, uint64_t n, const uint32_t words) {
    uint32_t count = 0, name_mask = (1 << NAME_BITS) - 1;
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t *record = records + i * words;
        visit here = {.time = (int64_t)(record[1] >> NAME_BITS), .label = w->labels->labels[record[2] & name_mask]};
        if (count > 0 && w->plan->collapse && w->visits[count - 1].label == here.label) count--;
        w->visits[count++] = here;
    }
    return count;
}

static uint32_t find_role(const paths_walker *w, uint32_t from, uint32_t count, uint8_t role) {
    while (from < count && !(w->labels->roles[w->visits[from].label] & role)) from++;
    return from;
}

/* Leaves the path in w->visits; returns where it begins and how long it is: 0 if the session has none. */
static uint32_t trim(paths_walker *w, uint32_t count, uint32_t *begin) {
    const paths_plan *plan = w->plan;
    uint32_t first = 0, end = count;
    if (plan->with_start) {
        first = find_role(w, 0, count, IS_START);
        if (first == count) return 0;
    }
    if (plan->with_end) {
        uint32_t last = find_role(w, plan->with_start ? first + 1 : 0, count, IS_END);
        if (last >= count) return 0;
        end = last + 1;
    }
    *begin = first;
    if (end - first <= plan->max_steps) return end - first;
    if (!plan->with_end) return plan->max_steps;
    if (!plan->with_start) {
        *begin = end - plan->max_steps;
        return plan->max_steps;
    }
    uint32_t half = plan->max_steps / 2;
    visit *path = w->visits + first;
    path[half].label = w->labels->middle; /* with the time of the first that it hides */
    memmove(path + half + 1, w->visits + end - half, half * sizeof *path);
    return 2 * half + 1;
}

static bool count_path(paths_walker *w, const visit *path, uint32_t length, uint64_t actor) {
    for (uint32_t i = 0; i < length; i++) {
        bool ends = i + 1 == length;
        if (!count_one(&w->tallies, id_of(i + 1, path[i].label, NO_TARGET), actor, ends)) return false;
        if (ends) break;
        uint64_t took = (uint64_t)(path[i + 1].time - path[i].time);
        if (!count_one(&w->tallies, id_of(i + 1, path[i].label, path[i + 1].label), actor, took)) return false;
    }
    return true;
}

static bool is_behind(const paths_cell *cell, const visit *path, uint32_t length) {
    if (cell->step > length || path[cell->step - 1].label != cell->source) return false;
    bool ends = cell->step == length;
    if (cell->target != NO_TARGET) return !ends && path[cell->step].label == cell->target;
    return cell->outcome == REACHED || (cell->outcome == EXITED) == ends;
}

static bool add_key(paths_walker *w, uint64_t key) {
    paths_found *f = w->found;
    if (f->people > 0 && f->keys[f->people - 1] == key) return true;
    if (!grow((void **)&f->keys, &w->key_capacity, f->people + 1, sizeof *f->keys)) return false;
    f->keys[f->people++] = key;
    return true;
}

static INLINE bool walk_session(paths_walker *w, const uint64_t *records, uint64_t n, const uint32_t words) {
    uint32_t begin = 0, length = trim(w, read_visits(w, records, n, words), &begin);
    if (length == 0) return true;
    w->found->sessions++;
    const visit *path = w->visits + begin;
    if (w->cell == NULL) return count_path(w, path, length, records[0]);
    return !is_behind(w->cell, path, length) || add_key(w, records[0]);
}

static INLINE bool same_session(const paths_walker *w, const uint64_t *one, const uint64_t *next, const uint32_t words) {
    if (one[0] != next[0]) return false;
    if (words == 4) return one[3] == next[3];
    return (int64_t)((next[1] >> NAME_BITS) - (one[1] >> NAME_BITS)) < w->plan->gap_ms;
}

static INLINE scan_status walk_sessions(paths_walker *w, uint64_t records, const uint32_t words) {
    for (uint64_t i = 0, n; i < records; i += n) {
        const uint64_t *first = w->sorted.records + i * words;
        for (n = 1; i + n < records && same_session(w, first + (n - 1) * words, first + n * words, words); n++) {}
        if (!grow((void **)&w->visits, &w->visit_capacity, n, sizeof *w->visits)) return SCAN_NO_MEMORY;
        if (!walk_session(w, first, n, words)) return SCAN_NO_MEMORY;
    }
    return SCAN_OK;
}

/* ---- the answer ---- */

static bool write_rows(const tallies *t, paths_found *found) {
    uint64_t rows = t->used;
    if (rows == 0) return true;
    found->ids = malloc(rows * sizeof *found->ids);
    found->counts = malloc(rows * sizeof *found->counts);
    found->users = malloc(rows * sizeof *found->users);
    found->amounts = malloc(rows * sizeof *found->amounts);
    if (!found->ids || !found->counts || !found->users || !found->amounts) return false;
    for (uint64_t i = 0; i < t->slots; i++) {
        const tally *one = &t->tallies[i];
        if (one->id == 0) continue;
        uint64_t row = found->rows++;
        found->ids[row] = one->id;
        found->counts[row] = one->count;
        found->users[row] = one->users;
        found->amounts[row] = one->amount;
    }
    return true;
}

static bool all_labels_fit(const paths_scanner *s, const paths_labels *labels) {
    if (labels->names < s->name_count || labels->middle >= labels->labels_count) return false;
    for (uint64_t code = 0; code < s->name_count; code++) {
        if (labels->labels[code] >= labels->labels_count) return false;
    }
    return labels->labels_count < NO_TARGET;
}

/* With `cell` the actors behind it, else the figures; a walked bucket is empty afterwards.
 * `share`: among how many threads the memory is divided. On an error the found columns are still to be released. */
FOOTFALL_API scan_status paths_walk(paths_scanner *s, const paths_labels *labels, const paths_cell *cell,
                                    uint32_t first_bucket, uint32_t end_bucket, uint32_t share, paths_found *found) {
    memset(found, 0, sizeof *found);
    if (!all_labels_fit(s, labels)) return SCAN_BAD_CODE;
    paths_walker w = {.plan = &s->plan, .labels = labels, .cell = cell, .found = found};
    w.sorted = (sorter){.record_words = s->store.record_words, .order = TIES_HAVE_AN_ORDER};
    w.tallies = (tallies){.slots = FIRST_SLOTS, .most = s->plan.memory_bytes / sizeof(tally) / 4 / share};
    w.tallies.tallies = calloc(w.tallies.slots, sizeof *w.tallies.tallies);
    scan_status status = w.tallies.tallies == NULL ? SCAN_NO_MEMORY : SCAN_OK;
    for (uint32_t i = first_bucket; i < end_bucket && status == SCAN_OK; i++) {
        bucket *b = &s->store.buckets[i];
        if (b->records == 0) continue;
        status = sort_bucket(&w.sorted, b);
        free_chunks(b);
        if (status != SCAN_OK) break;
        status = s->plan.by_session ? walk_sessions(&w, b->records, 4) : walk_sessions(&w, b->records, 3);
        b->records = 0;
    }
    if (status == SCAN_OK && !write_rows(&w.tallies, found)) status = SCAN_NO_MEMORY;
    free(w.tallies.tallies);
    free(w.visits);
    free_sorter(&w.sorted);
    return status;
}
