/* Whether JSON text may hold anything for privacy to do (oracle.py says the same, readably). */
#ifndef FOOTFALL_PRIVACY_SCAN_H
#define FOOTFALL_PRIVACY_SCAN_H

#include <stddef.h>
#include <stdint.h>

/* `names`: a table of `slots` (a power of two) hashes of plain names, 0 where a slot is empty, probed one after
 * the other. Returns 1 if there may be something, 0 if there is nothing. */
__attribute__((visibility("default"))) int ff_privacy_may_hold(
    const uint8_t *text, size_t size, const uint64_t *names, size_t slots);

/* The hash of a plain name in UTF-8, as the table holds it. */
__attribute__((visibility("default"))) uint64_t ff_privacy_name(const uint8_t *name, size_t size);

#endif
