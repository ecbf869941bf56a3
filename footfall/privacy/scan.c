#include "digits.h"
#include "scan.h"

#include <string.h>

/* Characters come through three layers: JSON's escapes are undone; in the second look, percent signs too; then
 * invisible characters are left out and full-width ones narrowed. */

enum { NOTHING_LEFT = -1, UNKNOWN = 0xFFFD };

typedef struct {
  const uint8_t *at, *end;
  int in_string;
} source;

static int hex_of(int c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

static size_t utf8_size(uint8_t lead) { return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

/* The character of `size` bytes, UNKNOWN where they are no UTF-8. */
static int32_t utf8_of(const uint8_t *bytes, size_t size) {
  static const int32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
  int32_t code = bytes[0] & (0x7F >> size);
  for (size_t i = 1; i < size; i++) {
    if ((bytes[i] & 0xC0) != 0x80) return UNKNOWN;
    code = code << 6 | (bytes[i] & 0x3F);
  }
  if (code < least[size] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return UNKNOWN;
  return code;
}

static int32_t escaped(source *s) {
  int c = *s->at++;
  if (c == 'u' && s->end - s->at >= 4) {
    int32_t code = 0;
    int i = 0;
    for (; i < 4 && hex_of(s->at[i]) >= 0; i++) code = code << 4 | hex_of(s->at[i]);
    if (i == 4) {
      s->at += 4;
      return code;
    }
  }
  switch (c) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: break;
  }
  if (c >= 0x80) s->at--, c = UNKNOWN;
  return c;
}

static int32_t next_plain(source *s) {
  if (s->at >= s->end) return NOTHING_LEFT;
  int c = *s->at++;
  if (c < 0x80) {
    if (c == '\\' && s->at < s->end) return escaped(s);
    if (c == '"') s->in_string = !s->in_string;
    return c;
  }
  if (c < 0xC2 || c > 0xF4) return UNKNOWN;
  size_t size = utf8_size((uint8_t)c);
  if ((size_t)(s->end - s->at) < size - 1) return UNKNOWN;
  int32_t code = utf8_of(s->at - 1, size);
  if (code != UNKNOWN) s->at += size - 1;
  return code;
}

/* The byte that a percent sign behind which `s` stands begins, -1 if none; takes it. %2540 is a byte, too. */
static int percent_byte(source *s) {
  source ahead = *s;
  int byte = -1;
  do {
    int high = hex_of(next_plain(&ahead)), low = high < 0 ? -1 : hex_of(next_plain(&ahead));
    if (low < 0) break;
    byte = high << 4 | low;
    *s = ahead;
  } while (byte == '%');
  return byte;
}

static int32_t next_unquoted(source *s) {
  int32_t c = next_plain(s);
  if (c != '%') return c;
  int byte = percent_byte(s);
  if (byte < 0) return '%';
  if (byte < 0x80) return byte;
  if (byte < 0xC2 || byte > 0xF4) return UNKNOWN;
  uint8_t bytes[4] = {(uint8_t)byte};
  size_t size = utf8_size(bytes[0]);
  source ahead = *s;
  for (size_t i = 1; i < size; i++) {
    if (next_plain(&ahead) != '%' || (byte = percent_byte(&ahead)) < 0) return UNKNOWN;
    bytes[i] = (uint8_t)byte;
  }
  int32_t code = utf8_of(bytes, size);
  if (code != UNKNOWN) *s = ahead;
  return code;
}

static int is_invisible(int32_t c) {
  return c == 0xAD || (c >= 0x200B && c <= 0x200F) || c == 0x2060 || c == 0xFEFF;
}

static int32_t narrow(int32_t c) {
  if (c >= 0xFF01 && c <= 0xFF5E) return c - 0xFEE0;
  return c == 0x3000 || c == 0xA0 ? ' ' : c;
}

/* ---- what is seen on the way ---- */

static const uint64_t HASH_START = 0xcbf29ce484222325u, HASH_STEP = 0x100000001b3u;

enum { ENDINGS = 16 }; /* words before the table: a bit for each two characters that a name ends with */

static int is_among(uint64_t hash, const uint64_t *names, size_t slots) {
  if (slots == 0) return 0;
  const uint64_t *table = names + ENDINGS;
  for (size_t slot = hash & (slots - 1); table[slot]; slot = (slot + 1) & (slots - 1))
    if (table[slot] == hash) return 1;
  return 0;
}

static int is_code_before(int32_t c) { /* of 验证码, 动态码, 校验码, 密码, 安全码 */
  return c == 0x8BC1 || c == 0x6001 || c == 0x9A8C || c == 0x5BC6 || c == 0x5168;
}

enum { OTHER, DIGIT, LETTER, IGNORED, ASSIGNS, SPACE };

static const uint8_t classes[0x80] = {
    ['0' ... '9'] = DIGIT, ['a' ... 'z'] = LETTER, ['A' ... 'Z'] = LETTER,
    ['_'] = IGNORED, ['-'] = IGNORED, ['$'] = IGNORED,
    ['"'] = ASSIGNS, ['\''] = ASSIGNS, ['='] = ASSIGNS, [':'] = ASSIGNS,
    [' '] = SPACE, ['\t'] = SPACE, ['\n'] = SPACE, ['\r'] = SPACE,
};

static int class_of(int32_t c) { return c < 0x80 ? classes[c] : OTHER; }

static int may_stand_before_at(int32_t c) {
  int class = class_of(c);
  return class == DIGIT || class == LETTER || c == '.' || c == '_' || c == '%' || c == '+' || c == '-' || c == '\'';
}

static uint64_t with_letter(uint64_t word, int32_t c) { return (word ^ (uint64_t)(c | 0x20)) * HASH_STEP; }

/* Inlined twice, for each way of reading: the first has to be fast, since it reads everything. */
static inline __attribute__((always_inline)) int look(
    const uint8_t *text, size_t size, const uint64_t *names, size_t slots, const int unquotes, int *percents) {
  source s = {text, text + size, 0};
  run r = {.count = 0};
  uint64_t word = HASH_START;
  int gap = 0, letters = 0, at_sign = 0, exponent = 0, hex_left = 0;
  int32_t before = 0, earlier = 0; /* the last character and the one before it */
  for (;;) {
    int32_t c = unquotes ? next_unquoted(&s) : next_plain(&s);
    if (c == NOTHING_LEFT) break;
    if (!unquotes) { /* on what stands there, before anything is left out */
      if (c == '%') hex_left = 2;
      else if (hex_left) {
        hex_left = hex_of(c) >= 0 ? hex_left - 1 : 0;
        if (hex_left == 0 && hex_of(c) >= 0) *percents = 1;
      }
      if (exponent && (c == '+' || (c >= '0' && c <= '9'))) return 1;
      exponent = (c | 0x20) == 'e' && !s.in_string && before >= '0' && before <= '9';
    }
    if (c >= 0xA0) {
      if (is_invisible(c)) continue;
      c = narrow(c);
    }
    int class = class_of(c);
    if (at_sign && (class == DIGIT || class == LETTER)) return 1;
    at_sign = c == '@' && may_stand_before_at(before);
    if (c == 0x7801 && is_code_before(before)) return 1;
    if (class == DIGIT || r.open || r.gap) {
      int is_fraction = before == '.' && class_of(earlier) == DIGIT;
      if (take_digit(&r, c, class == DIGIT, is_fraction)) return 1;
    }
    switch (class) {
      case LETTER:
        if (gap) word = HASH_START, letters = gap = 0;
        word = with_letter(word, c);
        letters = 1;
        /* Most of what comes is words: letters behind a letter change nothing but the word. */
        if (!unquotes && !hex_left && !exponent)
          for (; s.at < s.end && *s.at < 0x80 && classes[*s.at] == LETTER; s.at++) {
            earlier = before;
            before = c;
            c = *s.at;
            word = with_letter(word, c);
          }
        break;
      case DIGIT:
        if (gap) word = HASH_START, letters = gap = 0;
        word = (word ^ (uint64_t)c) * HASH_STEP;
        letters = 1;
        break;
      case IGNORED:
        if (gap) word = HASH_START, letters = gap = 0;
        break;
      case SPACE:
        gap = 1;
        break;
      default:
        if (class == ASSIGNS && letters && is_among(word, names, slots)) return 1;
        word = HASH_START, letters = gap = 0;
    }
    earlier = before;
    before = c;
  }
  return r.open && ends_somebodys(&r, 0);
}

/* ---- the first look ---- */

/* Most texts hold nothing, and that shows without a look at each character: 64 at a time are sorted into kinds, and
 * only the few that could matter are looked at. What it has doubts about is left to `look`. */

typedef uint8_t lanes __attribute__((vector_size(16)));
typedef _Bool flags __attribute__((ext_vector_type(16)));

enum { BLOCK = 64 };

typedef struct {
  uint64_t digits, gaps, quotes, assigns, exponents, pluses, odd; /* a bit each character */
} kinds;

static inline uint64_t bits_of(lanes these) {
  flags packed = __builtin_convertvector(these, flags);
  uint16_t bits;
  memcpy(&bits, &packed, sizeof bits);
  return bits;
}

static inline __attribute__((always_inline)) kinds kinds_of(const uint8_t *text) {
  kinds k = {0};
  for (int part = 0; part < BLOCK / 16; part++) {
    lanes c;
    memcpy(&c, text + 16 * part, sizeof c);
    int to = 16 * part;
    lanes quotes = (lanes)(c == '"');
    k.digits |= bits_of((lanes)((lanes)(c - '0') < 10)) << to;
    k.gaps |= bits_of((lanes)(c == ' ') | (lanes)(c == '-')) << to;
    k.quotes |= bits_of(quotes) << to;
    k.assigns |= bits_of(quotes | (lanes)(c == ':') | (lanes)(c == '=') | (lanes)(c == '\'')) << to;
    k.exponents |= bits_of((lanes)((c | 0x20) == 'e')) << to;
    k.pluses |= bits_of((lanes)(c == '+')) << to;
    k.odd |= bits_of(
                 (lanes)(c == '\\') | (lanes)(c == '%') | (lanes)(c == '@') | (lanes)(c == 0xC2) |
                 (lanes)(c == 0xE2) | (lanes)(c == 0xE3) | (lanes)(c == 0xE7) | (lanes)(c == 0xEF))
             << to;
  }
  return k;
}

/* Whether an odd character is one that `look` must see: invisible, full-width, escaped, an at sign, 码. */
static int is_doubtful(const uint8_t *at, const uint8_t *end) {
  int next = at + 1 < end ? at[1] : 0, last = at + 2 < end ? at[2] : 0;
  switch (*at) {
    case 0xC2: return next == 0xA0 || next == 0xAD;
    case 0xE2: return (next == 0x80 && last >= 0x8B && last <= 0x8F) || (next == 0x81 && last == 0xA0);
    case 0xE3: return next == 0x80 && last == 0x80;
    case 0xE7: return next == 0xA0 && last == 0x81;
    case 0xEF: return next == 0xBB || next == 0xBC || next == 0xBD;
    default: return 1;
  }
}

static int is_of_word(int class) { return class == LETTER || class == DIGIT; }

/* Whether the word before `at`, which assigns, is one of the names. */
static int is_named(const uint8_t *text, const uint8_t *at, const uint64_t *names, size_t slots) {
  const uint8_t *end = at;
  while (end > text && class_of(end[-1]) == SPACE) end--;
  if (end - text >= 2 && is_of_word(class_of(end[-1])) && is_of_word(class_of(end[-2]))) {
    unsigned ending = (end[-2] & 31u) << 5 | (end[-1] & 31u);
    if (!(names[ending / 64] >> ending % 64 & 1)) return 0;
  }
  const uint8_t *start = end;
  uint64_t hash = HASH_START;
  int letters = 0, class;
  while (start > text && (is_of_word(class = class_of(start[-1])) || class == IGNORED)) start--;
  for (; start < end; start++) {
    class = class_of(*start);
    if (class == LETTER) hash = with_letter(hash, *start), letters = 1;
    if (class == DIGIT) hash = (hash ^ *start) * HASH_STEP, letters = 1;
  }
  return letters && is_among(hash, names, slots);
}

static int is_digit(const uint8_t *at) { return *at >= '0' && *at <= '9'; }

/* Whether groups of digits that begin at `at` hold somebody's number; `*behind` is where they end. */
static int is_number(const uint8_t *text, const uint8_t *at, const uint8_t *end, const uint8_t **behind) {
  run r = {.count = 0};
  int is_fraction = at - text >= 2 && at[-1] == '.' && is_digit(at - 2), found = 0;
  for (; !found && at < end && (is_digit(at) || ((*at == ' ' || *at == '-') && is_digit(at - 1))); at++) {
    found = take_digit(&r, *at, is_digit(at), is_fraction);
    is_fraction = 0;
  }
  *behind = at;
  return found || (r.open && ends_somebodys(&r, at < end ? *at : 0));
}

typedef struct {
  const uint8_t *text, *end, *numbers; /* digits before `numbers` were looked at */
  uint64_t chained;                    /* digits and gaps behind digits of the block before */
  uint64_t quoted;                     /* all ones if the block begins within a string */
  int digit, exponent;                 /* the last character was one, or an exponent outside strings */
} first_look;

static uint64_t within_quotes(uint64_t quotes) {
  for (int shift = 1; shift < BLOCK; shift *= 2) quotes ^= quotes << shift;
  return quotes;
}

/* Whether a number of somebody's begins in the block at `block`, whose digits are `chained`. */
static int has_number(first_look *f, const uint8_t *block, uint64_t next_chained) {
  unsigned __int128 runs = (unsigned __int128)next_chained << BLOCK | f->chained;
  runs &= runs >> 1;
  runs &= runs >> 2;
  runs &= runs >> 4; /* eight */
  runs &= runs >> 3; /* eleven, which is the least */
  for (uint64_t starts = (uint64_t)runs; starts; starts &= starts - 1) {
    const uint8_t *at = block + __builtin_ctzll(starts);
    if (at >= f->numbers && is_number(f->text, at, f->end, &f->numbers)) return 1;
  }
  return 0;
}

static int is_clear(const uint8_t *text, size_t size, const uint64_t *names, size_t slots) {
  first_look f = {.text = text, .end = text + size, .numbers = text};
  for (const uint8_t *block = text;; block += BLOCK) {
    uint8_t last[BLOCK] = {0};
    size_t left = (size_t)(f.end - block);
    if (left < BLOCK) memcpy(last, block, left);
    kinds k = kinds_of(left < BLOCK ? last : block);
    for (uint64_t odd = k.odd; odd; odd &= odd - 1)
      if (is_doubtful(block + __builtin_ctzll(odd), f.end)) return 0;
    for (uint64_t assigns = k.assigns; assigns; assigns &= assigns - 1)
      if (is_named(text, block + __builtin_ctzll(assigns), names, slots)) return 0;
    uint64_t quoted = within_quotes(k.quotes) ^ f.quoted, behind_digits = k.digits << 1 | (uint64_t)f.digit;
    uint64_t exponents = k.exponents & behind_digits & ~quoted;
    if ((exponents << 1 | (uint64_t)f.exponent) & (k.digits | k.pluses)) return 0;
    uint64_t chained = k.digits | (k.gaps & behind_digits);
    if (block > text && has_number(&f, block - BLOCK, chained)) return 0;
    f.chained = chained;
    f.quoted = quoted >> 63 ? ~UINT64_C(0) : 0;
    f.digit = (int)(k.digits >> 63);
    f.exponent = (int)(exponents >> 63);
    if (left <= BLOCK) return !has_number(&f, block, 0);
  }
}

int ff_privacy_may_hold(const uint8_t *text, size_t size, const uint64_t *names, size_t slots) {
  int percents = 0;
  if (is_clear(text, size, names, slots)) return 0;
  if (look(text, size, names, slots, 0, &percents)) return 1;
  return percents && look(text, size, names, slots, 1, &percents);
}

uint64_t ff_privacy_name(const uint8_t *name, size_t size) {
  uint64_t hash = HASH_START;
  for (size_t i = 0; i < size; i++) hash = (hash ^ name[i]) * HASH_STEP;
  return hash ? hash : 1;
}
