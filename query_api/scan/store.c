/* Records wait here until the last block has come: chunks of a bucket by the high bits of the key.
 *
 * Keys are hashes, and rows come in the order in which they are stored, so a block's records go to few buckets.
 */
#include "scan.h"

#include <stdlib.h>

enum { FIRST_CHUNK_RECORDS = 32, LARGEST_CHUNK_RECORDS = 2048 };

/* An empty chunk, the bucket's newest; NULL if the records would take more than they may. */
chunk *add_chunk(record_store *s, bucket *b) {
    uint32_t words = FIRST_CHUNK_RECORDS * s->record_words;
    if (b->newest != NULL) {
        words = b->newest->capacity * 2;
        uint32_t largest = LARGEST_CHUNK_RECORDS * s->record_words;
        if (words > largest) words = largest;
    }
    uint64_t bytes = sizeof(chunk) + (uint64_t)words * sizeof(uint64_t);
    if (s->allocated_bytes + bytes > s->memory_bytes) return NULL;
    chunk *added = malloc(bytes);
    if (added == NULL) return NULL;
    s->allocated_bytes += bytes;
    *added = (chunk){.next = b->newest, .used = 0, .capacity = words};
    b->newest = added;
    return added;
}

void free_chunks(bucket *b) {
    while (b->newest != NULL) {
        chunk *next = b->newest->next;
        free(b->newest);
        b->newest = next;
    }
}

void free_store(record_store *s) {
    for (int i = 0; i < BUCKETS; i++) free_chunks(&s->buckets[i]);
}
