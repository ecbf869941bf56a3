/* What digits are: somebody's phone number, identity card or bank card (numbers.py says the same, readably). For scan.c,
 * which reads characters one after the other; here, so that they are one with its loop. */
#ifndef FOOTFALL_PRIVACY_DIGITS_H
#define FOOTFALL_PRIVACY_DIGITS_H

#include <stdint.h>
#include <string.h>

enum { MOST_DIGITS = 19, GROUPS = 8 };

static int number_of(const uint8_t *digits, int from, int to) {
  int value = 0;
  for (int i = from; i < to; i++) value = value * 10 + digits[i] - '0';
  return value;
}

static int is_region(int code) {
  return (code >= 11 && code <= 15) || (code >= 21 && code <= 23) || (code >= 31 && code <= 37) ||
         (code >= 41 && code <= 46) || (code >= 50 && code <= 54) || (code >= 61 && code <= 65) || code == 71 ||
         (code >= 81 && code <= 83) || code == 91;
}

static int is_id_card(const uint8_t *d, int check) {
  static const int weights[17] = {7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2};
  static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (!is_region(number_of(d, 0, 2))) return 0;
  int year = number_of(d, 6, 10), month = number_of(d, 10, 12), day = number_of(d, 12, 14);
  if (year < 1880 || year >= 2100 || month < 1 || month > 12) return 0;
  int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (day < 1 || day > days[month - 1] + (month == 2 && leap)) return 0;
  int sum = 0;
  for (int i = 0; i < 17; i++) sum += (d[i] - '0') * weights[i];
  return "10X98765432"[sum % 11] == check;
}

static int is_mobile(const uint8_t *d, int size) {
  if (size == 15 && d[0] == '0' && d[1] == '0') d += 2, size = 13;
  if (size == 13 && d[0] == '8' && d[1] == '6') d += 2, size = 11;
  return size == 11 && d[0] == '1' && d[1] >= '3';
}

typedef struct {
  int first, last;
  uint32_t lengths; /* bit n: n digits */
} issuer;

#define FROM(a, b) (((1u << ((b) + 1)) - 1) & ~((1u << (a)) - 1))
static const issuer issuers[] = {
    {620000, 629999, FROM(16, 19)}, {810000, 817199, FROM(16, 19)}, {600000, 609999, FROM(16, 19)},
    {690000, 690999, 1u << 16 | 1u << 18 | 1u << 19}, {955800, 955999, 1u << 16 | 1u << 18 | 1u << 19},
    {103000, 103999, 1u << 19}, {400000, 499999, 1u << 13 | 1u << 16 | 1u << 18 | 1u << 19},
    {510000, 559999, 1u << 16 | 1u << 18 | 1u << 19}, {222100, 272099, 1u << 16},
    {340000, 349999, 1u << 15}, {370000, 379999, 1u << 15}, {300000, 305999, 1u << 14},
    {360000, 369999, 1u << 14}, {380000, 399999, 1u << 14}, {352800, 358999, FROM(16, 19)},
    {644000, 659999, FROM(16, 19)}, {500000, 509999, FROM(16, 19)}, {560000, 589999, FROM(16, 19)},
};

static int is_bank_card(const uint8_t *d, int size) {
  if (size < 13 || size > MOST_DIGITS) return 0;
  int prefix = number_of(d, 0, 6), known = 0;
  for (size_t i = 0; i < sizeof issuers / sizeof *issuers; i++)
    known |= prefix >= issuers[i].first && prefix <= issuers[i].last && (issuers[i].lengths >> size & 1);
  if (!known) return 0;
  int sum = 0;
  for (int i = 0; i < size; i++) {
    int digit = d[size - 1 - i] - '0';
    if (i & 1) digit = digit > 4 ? 2 * digit - 9 : 2 * digit;
    sum += digit;
  }
  return sum % 10 == 0;
}

static int is_somebodys(const uint8_t *d, int size, int behind) {
  if (size == 17 && (behind == 'X' || behind == 'x') && is_id_card(d, 'X')) return 1;
  if (is_mobile(d, size) || is_bank_card(d, size)) return 1;
  return size == 18 && is_id_card(d, d[17]);
}

typedef struct {
  uint8_t digits[GROUPS][MOST_DIGITS + 1];
  int fractions[GROUPS]; /* it stands behind the point of a number */
  int sizes[GROUPS]; /* saturated: MOST_DIGITS + 1 is too many */
  int count;         /* groups of this run so far; the last is number (count - 1) % GROUPS */
  int open;          /* the last character was a digit of it */
  int gap;           /* the last character was a space or hyphen behind a group */
} run;

/* Whether the last groups, one to eight of them, are somebody's number; `behind` is what follows. */
static int ends_somebodys(const run *r, int behind) {
  uint8_t digits[MOST_DIGITS];
  int size = 0;
  for (int back = 0; back < GROUPS && back < r->count; back++) {
    int slot = (r->count - 1 - back) % GROUPS, more = r->sizes[slot];
    if (size + more > MOST_DIGITS) return 0;
    memmove(digits + more, digits, (size_t)size);
    memcpy(digits, r->digits[slot], (size_t)more);
    size += more;
    if (size >= 11 && !r->fractions[slot] && is_somebodys(digits, size, behind)) return 1;
  }
  return 0;
}

static int take_digit(run *r, int32_t c, int is_digit, int is_fraction) {
  if (is_digit) {
    if (!r->open) {
      if (!r->gap) r->count = 0;
      r->fractions[r->count % GROUPS] = is_fraction;
      r->sizes[r->count++ % GROUPS] = 0;
      if (r->count >= 2 * GROUPS) r->count -= GROUPS;
      r->open = 1;
      r->gap = 0;
    }
    int slot = (r->count - 1) % GROUPS;
    if (r->sizes[slot] <= MOST_DIGITS) r->digits[slot][r->sizes[slot]++] = (uint8_t)c;
    return 0;
  }
  if (r->open) {
    r->open = 0;
    r->gap = c == ' ' || c == '-';
    return ends_somebodys(r, (int)c);
  }
  r->gap = 0;
  return 0;
}

#endif
