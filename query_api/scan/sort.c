/* Sorts a bucket's records by (key, partition, time, mask), or those of paths by (key, session, time, tie).
 *
 * Keys are hashes, so one scatter by their next bits leaves a handful of records a slot, which insertion sorts.
 * A slot with many records (one busy actor, or keys that are no hashes) is merge sorted: O(n log n) at worst.
 */
#include "scan.h"

#include <stdlib.h>
#include <string.h>

enum { INSERTION_RECORDS = 24, MOST_SLOT_BITS = 16, RECORDS_A_SLOT_BITS = 2 };

static INLINE bool is_before(const uint64_t *a, const uint64_t *b, const uint32_t words, const record_order order) {
    if (a[0] != b[0]) return a[0] < b[0];
    if (order == TIES_HAVE_AN_ORDER) {
        if (words == 4 && a[3] != b[3]) return a[3] < b[3];
        if (a[1] != b[1]) return a[1] < b[1];
        return a[2] < b[2];
    }
    if (words == 4 && (uint32_t)a[3] != (uint32_t)b[3]) return (uint32_t)a[3] < (uint32_t)b[3];
    return a[1] < b[1];
}

static INLINE void copy_record(uint64_t *to, const uint64_t *from, const uint32_t words) {
    for (uint32_t i = 0; i < words; i++) to[i] = from[i];
}

static INLINE void insertion_sort(uint64_t *records, uint64_t n, const uint32_t words, const record_order order) {
    for (uint64_t i = 1; i < n; i++) {
        uint64_t moved[4];
        copy_record(moved, records + i * words, words);
        uint64_t j = i;
        for (; j > 0 && is_before(moved, records + (j - 1) * words, words, order); j--) {
            copy_record(records + j * words, records + (j - 1) * words, words);
        }
        copy_record(records + j * words, moved, words);
    }
}

static INLINE void merge(uint64_t *records, uint64_t *spare, uint64_t middle, uint64_t n, const uint32_t words,
                         const record_order order) {
    if (!is_before(records + middle * words, records + (middle - 1) * words, words, order)) return; /* sorted */
    memcpy(spare, records, middle * words * sizeof *records);
    uint64_t left = 0, right = middle, to = 0;
    while (left < middle) {
        bool take_right = right < n && is_before(records + right * words, spare + left * words, words, order);
        copy_record(records + to++ * words, take_right ? records + right++ * words : spare + left++ * words, words);
    }
}

static INLINE scan_status sort_slot(sorter *s, uint64_t *records, uint64_t n, const uint32_t words,
                                    const record_order order) {
    if (n <= INSERTION_RECORDS) {
        insertion_sort(records, n, words, order);
        return SCAN_OK;
    }
    if (!grow((void **)&s->spare, &s->spare_capacity, n * words, sizeof *s->spare)) return SCAN_NO_MEMORY;
    for (uint64_t i = 0; i < n; i += INSERTION_RECORDS) {
        uint64_t run = n - i < INSERTION_RECORDS ? n - i : INSERTION_RECORDS;
        insertion_sort(records + i * words, run, words, order);
    }
    for (uint64_t width = INSERTION_RECORDS; width < n; width *= 2) {
        for (uint64_t i = 0; i + width < n; i += 2 * width) {
            uint64_t both = n - i < 2 * width ? n - i : 2 * width;
            merge(records + i * words, s->spare, width, both, words, order);
        }
    }
    return SCAN_OK;
}

static INLINE uint32_t slot_of(uint64_t key, uint32_t bits) {
    return bits == 0 ? 0 : (uint32_t)(key << BUCKET_BITS >> (64 - bits));
}

static INLINE scan_status sort_records(sorter *s, bucket *b, uint32_t *ends, uint32_t bits, const uint32_t words,
                                       const record_order order) {
    uint32_t slots = 1u << bits;
    for (const chunk *c = b->newest; c != NULL; c = c->next) {
        for (uint32_t i = 0; i < c->used; i += words) ends[slot_of(c->words[i], bits)]++;
    }
    uint32_t start = 0;
    for (uint32_t slot = 0; slot < slots; slot++) {
        uint32_t count = ends[slot];
        ends[slot] = start;
        start += count;
    }
    for (const chunk *c = b->newest; c != NULL; c = c->next) {
        for (uint32_t i = 0; i < c->used; i += words) {
            copy_record(s->records + (uint64_t)ends[slot_of(c->words[i], bits)]++ * words, c->words + i, words);
        }
    }
    start = 0;
    for (uint32_t slot = 0; slot < slots; slot++) {
        scan_status status = sort_slot(s, s->records + (uint64_t)start * words, ends[slot] - start, words, order);
        if (status != SCAN_OK) return status;
        start = ends[slot];
    }
    return SCAN_OK;
}

/* Whether the records came in order, as they are stored: then they are copied, and that is all. */
static INLINE bool copy_sorted(sorter *s, const bucket *b, const uint32_t words, const record_order order) {
    uint64_t end = b->records * words;
    for (const chunk *c = b->newest; c != NULL; c = c->next) {
        for (uint32_t i = words; i < c->used; i += words) {
            if (is_before(c->words + i, c->words + i - words, words, order)) return false;
        }
        end -= c->used;
        memcpy(s->records + end, c->words, c->used * sizeof *c->words);
        uint64_t *following = s->records + end + c->used;
        if (c != b->newest && is_before(following, following - words, words, order)) return false;
    }
    return true;
}

static INLINE scan_status sort_all(sorter *s, bucket *b, uint32_t *ends, uint32_t bits, const uint32_t words,
                                   const record_order order) {
    return copy_sorted(s, b, words, order) ? SCAN_OK : sort_records(s, b, ends, bits, words, order);
}

/* Leaves the bucket's records in s->records. */
scan_status sort_bucket(sorter *s, bucket *b) {
    uint32_t words = s->record_words, bits = 0;
    if (b->records >= UINT32_MAX) return SCAN_NO_MEMORY; /* 64 GB in one bucket */
    while (bits < MOST_SLOT_BITS && b->records >> (bits + RECORDS_A_SLOT_BITS)) bits++;
    if (!grow((void **)&s->records, &s->capacity, b->records * words, sizeof *s->records)) return SCAN_NO_MEMORY;
    uint32_t *ends = calloc((size_t)1 << bits, sizeof *ends);
    if (ends == NULL) return SCAN_NO_MEMORY;
    scan_status status;
    if (s->order == TIES_HAVE_AN_ORDER) {
        status = words == 3 ? sort_all(s, b, ends, bits, 3, TIES_HAVE_AN_ORDER)
                            : sort_all(s, b, ends, bits, 4, TIES_HAVE_AN_ORDER);
    } else {
        status = words == 2   ? sort_all(s, b, ends, bits, 2, TIES_HAVE_NONE)
                 : words == 3 ? sort_all(s, b, ends, bits, 3, TIES_HAVE_NONE)
                              : sort_all(s, b, ends, bits, 4, TIES_HAVE_NONE);
    }
    free(ends);
    return status;
}

void free_sorter(sorter *s) {
    free(s->records);
    free(s->spare);
}
