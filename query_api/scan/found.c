/* The rows of the answer: columns that grow together. */
#include "scan.h"

#include <stdlib.h>
#include <string.h>

bool grow(void **memory, uint64_t *capacity, uint64_t wanted, size_t width) {
    if (wanted <= *capacity) return true;
    uint64_t larger = *capacity + *capacity / 2;
    if (larger < wanted) larger = wanted;
    if (larger < 64) larger = 64;
    if (larger > SIZE_MAX / width) return false;
    void *moved = realloc(*memory, larger * width);
    if (moved == NULL) return false;
    *memory = moved;
    *capacity = larger;
    return true;
}

/* Grows one column to what its table will have; the table's capacity is set when all columns have grown. */
static bool grow_column(void **column, uint64_t capacity, uint64_t wanted, size_t width) {
    return grow(column, &capacity, wanted, width);
}

static uint64_t larger_capacity(uint64_t capacity) { return capacity < 64 ? 64 : capacity + capacity / 2; }

static bool grow_rows(scan_found *f, const scan_plan *plan) {
    uint64_t old = f->capacity, wanted = larger_capacity(old);
    if (!grow_column((void **)&f->keys, old, wanted, sizeof *f->keys)) return false;
    if (!grow_column((void **)&f->levels, old, wanted, sizeof *f->levels)) return false;
    if (!grow_column((void **)&f->step_times, old, wanted, plan->steps * sizeof *f->step_times)) return false;
    if (plan->partitioned && !grow_column((void **)&f->partitions, old, wanted, sizeof(uint32_t))) return false;
    if (plan->with_values && !grow_column((void **)&f->first_values, old, wanted, sizeof(uint32_t))) return false;
    if (plan->with_values && !grow_column((void **)&f->last_values, old, wanted, sizeof(uint32_t))) return false;
    if (plan->value_step >= 0 && !grow_column((void **)&f->step_values, old, wanted, sizeof(uint32_t))) return false;
    f->capacity = wanted;
    return true;
}

scan_status add_row(walker *w, uint64_t key, uint32_t partition, const attempt *chosen, uint32_t first, uint32_t last,
                    uint32_t step_value) {
    scan_found *f = w->found;
    const scan_plan *plan = w->plan;
    if (f->rows == f->capacity && !grow_rows(f, plan)) return SCAN_NO_MEMORY;
    uint64_t row = f->rows++;
    f->keys[row] = key;
    f->levels[row] = (uint8_t)chosen->level;
    int64_t *times = f->step_times + row * plan->steps;
    for (uint32_t k = 0; k < plan->steps; k++) times[k] = k < chosen->level ? chosen->times[k] : NEVER;
    if (plan->partitioned) f->partitions[row] = partition;
    if (plan->with_values) {
        f->first_values[row] = first;
        f->last_values[row] = last;
    }
    if (plan->value_step >= 0) f->step_values[row] = step_value;
    return SCAN_OK;
}

/* The row it belongs to is the one that add_row will add next. */
scan_status add_bucket(walker *w, uint32_t index, uint32_t level) {
    scan_found *f = w->found;
    if (f->bucket_rows_count == f->bucket_capacity) {
        uint64_t old = f->bucket_capacity, wanted = larger_capacity(old);
        if (!grow_column((void **)&f->bucket_rows, old, wanted, sizeof *f->bucket_rows)) return SCAN_NO_MEMORY;
        if (!grow_column((void **)&f->bucket_indexes, old, wanted, sizeof *f->bucket_indexes)) return SCAN_NO_MEMORY;
        if (!grow_column((void **)&f->bucket_levels, old, wanted, sizeof *f->bucket_levels)) return SCAN_NO_MEMORY;
        f->bucket_capacity = wanted;
    }
    uint64_t at = f->bucket_rows_count++;
    f->bucket_rows[at] = (int64_t)f->rows;
    f->bucket_indexes[at] = index;
    f->bucket_levels[at] = (uint8_t)level;
    return SCAN_OK;
}
