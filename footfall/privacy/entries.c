#include "scan.h"

#include <string.h>

/* A record is JSON that was read before: this walk only has to find where things are, and gives up (GIVE_UP) on
 * whatever is unusual, which is then taken apart in full. */

enum { GIVE_UP = -1, ENTRY_WORDS = 6, HEAD_WORDS = 4 };

typedef struct {
  const uint8_t *text, *at, *end;
  const uint64_t *names;
  size_t slots;
  uint32_t *found;
  int most, count;
} walk;

static const char *const objects[] = {"", "properties", "lib", "identities"};

static void skip_space(walk *w) {
  while (w->at < w->end && (*w->at == ' ' || *w->at == '\t' || *w->at == '\n' || *w->at == '\r')) w->at++;
}

/* Behind the string's closing quote; `plain`: 0 if something in it is escaped. */
static int skip_string(walk *w, int *plain) {
  for (w->at++; w->at < w->end; w->at++) {
    if (*w->at == '"') {
      w->at++;
      return 0;
    }
    if (*w->at == '\\') *plain = 0, w->at++;
  }
  return GIVE_UP;
}

static int skip_value(walk *w) {
  int depth = 0, plain = 1;
  while (w->at < w->end) {
    switch (*w->at) {
      case '"':
        if (skip_string(w, &plain)) return GIVE_UP;
        if (depth == 0) return 0;
        break;
      case '{': case '[':
        depth++, w->at++;
        break;
      case '}': case ']':
        if (depth == 0) return 0; /* behind a number or a word */
        w->at++;
        if (--depth == 0) return 0;
        break;
      case ',': case ' ': case '\t': case '\n': case '\r':
        if (depth == 0) return 0;
        w->at++;
        break;
      default:
        w->at++;
    }
  }
  return GIVE_UP;
}

static int object_called(const uint8_t *name, size_t size) {
  for (int i = 1; i < 4; i++)
    if (strlen(objects[i]) == size && memcmp(objects[i], name, size) == 0) return i;
  return 0;
}

/* The next entry's row: object, where its name begins and ends (with quotes), where its value does, and a flag. */
static uint32_t *new_row(walk *w) { return w->count < w->most ? w->found + HEAD_WORDS + ENTRY_WORDS * w->count++ : NULL; }

/* Whether the object of the last row has its name twice: then the last value counts, which takes a reader. */
static int is_there_twice(const walk *w, const uint32_t *row) {
  for (const uint32_t *other = w->found + HEAD_WORDS; other < row; other += ENTRY_WORDS)
    if (other[0] == row[0] && other[2] - other[1] == row[2] - row[1] &&
        memcmp(w->text + other[1], w->text + row[1], row[2] - row[1]) == 0)
      return 1;
  return 0;
}

static void note_head(walk *w, const uint32_t *row) {
  const uint8_t *name = w->text + row[1];
  uint32_t size = row[2] - row[1];
  int at = size == 6 && memcmp(name, "\"type\"", 6) == 0 ? 0 : size == 7 && memcmp(name, "\"event\"", 7) == 0 ? 2 : -1;
  if (at >= 0) w->found[at] = row[3], w->found[at + 1] = row[4];
}

static int take_object(walk *w, int object) {
  w->at++;
  skip_space(w);
  if (w->at < w->end && *w->at == '}') return w->at++, 0;
  for (;;) {
    int plain = 1;
    skip_space(w);
    if (w->at >= w->end || *w->at != '"') return GIVE_UP;
    const uint8_t *name = w->at;
    if (skip_string(w, &plain) || !plain) return GIVE_UP;
    const uint8_t *name_end = w->at;
    skip_space(w);
    if (w->at >= w->end || *w->at++ != ':') return GIVE_UP;
    skip_space(w);
    if (w->at >= w->end) return GIVE_UP;
    const uint8_t *value = w->at;
    uint32_t *row = new_row(w);
    if (row == NULL) return GIVE_UP;
    int inner = object == 0 ? object_called(name + 1, (size_t)(name_end - name - 2)) : 0;
    row[0] = (uint32_t)object;
    row[1] = (uint32_t)(name - w->text);
    row[2] = (uint32_t)(name_end - w->text);
    row[3] = (uint32_t)(value - w->text);
    if (is_there_twice(w, row)) return GIVE_UP;
    if (inner && *value == '{') {
      row[5] = 2;
      if (take_object(w, inner)) return GIVE_UP;
    } else {
      if (skip_value(w)) return GIVE_UP;
      row[5] = (uint32_t)ff_privacy_may_hold(value, (size_t)(w->at - value), w->names, w->slots);
    }
    row[4] = (uint32_t)(w->at - w->text);
    if (object == 0) note_head(w, row);
    skip_space(w);
    if (w->at >= w->end) return GIVE_UP;
    if (*w->at == '}') return w->at++, 0;
    if (*w->at++ != ',') return GIVE_UP;
  }
}

int ff_privacy_entries(
    const uint8_t *text, size_t size, const uint64_t *names, size_t slots, uint32_t *found, int most) {
  walk w = {text, text, text + size, names, slots, found, most, 0};
  memset(found, 0, HEAD_WORDS * sizeof *found);
  if (size > 0x7FFFFFFF) return GIVE_UP;
  skip_space(&w);
  if (w.at >= w.end || *w.at != '{' || take_object(&w, 0)) return GIVE_UP;
  skip_space(&w);
  return w.at == w.end ? w.count : GIVE_UP;
}
