/* Whether JSON text may hold anything for privacy to do (oracle.py says the same, readably). */
#ifndef FOOTFALL_PRIVACY_SCAN_H
#define FOOTFALL_PRIVACY_SCAN_H

#include <stddef.h>
#include <stdint.h>

/* `names`: 16 words with a bit for each ending of a name, its last two characters (5 bits each, the last one below);
 * then a table of `slots` (a power of two) hashes of plain names, 0 where a slot is empty, probed one after the
 * other. A name of one character has all endings with it. Returns 1 if there may be something, 0 if there is nothing. */
__attribute__((visibility("default"))) int ff_privacy_may_hold(
    const uint8_t *text, size_t size, const uint64_t *names, size_t slots);

/* Where a record (one JSON object) has what: its fields, and the entries of its `properties`, `lib` and
 * `identities`, in their order. First four words: where the values of `type` and `event` begin and end (0, 0: not there). Then of
 * each six words: the object it is in (0: the record, 1, 2, 3: those three), where
 * its name begins and ends, with the quotes, where its value does, and 1 if the value may hold something; 2 for
 * one of the three objects, whose entries follow. Returns how many there are, -1 for more than `most` and for
 * whatever is unusual: escapes in a name, a name that is there twice. */
__attribute__((visibility("default"))) int ff_privacy_entries(
    const uint8_t *text, size_t size, const uint64_t *names, size_t slots, uint32_t *found, int most);

/* The hash of a plain name in UTF-8, as the table holds it. */
__attribute__((visibility("default"))) uint64_t ff_privacy_name(const uint8_t *name, size_t size);

#endif
