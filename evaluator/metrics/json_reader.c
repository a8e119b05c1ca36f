/* Scanning JSON. */
#include "evaluator/metrics/json_reader.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum { DEPTH_MAX = 100, NUMBER_MAX = 500 };

struct json_reader reader_open(const char *path, const char *bytes, size_t len, struct error *error)
{
    if (!len) bytes = "";
    return (struct json_reader){
        .path = path, .begin = bytes, .at = bytes + utf8_mark(bytes, len), .end = bytes + len, .error = error};
}

void reader_close(struct json_reader *r)
{
    str_free(&r->text);
}

void reader_fault(struct json_reader *r, const char *format, ...)
{
    if (r->failed) return;
    char what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    long line = 1;
    const char *start = r->begin;
    for (const char *end; (end = memchr(start, '\n', (size_t)(r->at - start))); start = end + 1) line++;
    error_set(r->error, ERROR_FAILED, "%s:%ld:%ld: %s", r->path, line, (long)(r->at - start) + 1, what);
    r->failed = true;
    r->at = r->end;
}

char reader_peek(struct json_reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t')) r->at++;
    return r->at < r->end ? *r->at : 0;
}

bool reader_enter(struct json_reader *r, char open)
{
    if (reader_peek(r) != open) {
        reader_fault(r, "expected %c", open);
        return false;
    }
    r->at++;
    if (reader_peek(r) != (open == '[' ? ']' : '}')) return true;
    r->at++;
    return false;
}

bool reader_more(struct json_reader *r, char close)
{
    char c = reader_peek(r);
    if (c != ',' && c != close) {
        reader_fault(r, "expected , or %c", close);
        return false;
    }
    r->at++;
    return c == ',';
}

/* --- strings --- */

static char escaped(struct json_reader *r)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found = r->at < r->end && *r->at ? strchr(from, *r->at) : NULL;
    if (found) {
        r->at++;
        return to[found - from];
    }
    unsigned code = 0;
    int digits = 0;
    if (r->end - r->at > 4 && *r->at == 'u')
        for (; digits < 4; digits++) {
            char c = r->at[1 + digits];
            if (c >= '0' && c <= '9')
                code = 16 * code + (unsigned)(c - '0');
            else if ((c | 32) >= 'a' && (c | 32) <= 'f')
                code = 16 * code + (unsigned)((c | 32) - 'a' + 10);
            else
                break;
        }
    if (digits < 4) {
        reader_fault(r, "not an escape");
        return 0;
    }
    r->at += 5;
    return code < 128 ? (char)code : (char)255;
}

const char *reader_string(struct json_reader *r, size_t *len)
{
    *len = 0;
    if (reader_peek(r) != '"') {
        reader_fault(r, "expected a string");
        return "";
    }
    const char *start = ++r->at;
    bool plain = true;
    str_clear(&r->text);
    while (r->at < r->end && *r->at != '"') {
        if ((unsigned char)*r->at < 32) break;
        if (*r->at++ != '\\') continue;
        plain = false;
        str_append(&r->text, start, (size_t)(r->at - 1 - start));
        str_putc(&r->text, escaped(r));
        start = r->at;
    }
    if (r->at >= r->end || *r->at != '"') {
        reader_fault(r, "a string without its end");
        return "";
    }
    if (!plain) str_append(&r->text, start, (size_t)(r->at - start));
    *len = plain ? (size_t)(r->at - start) : r->text.len;
    r->at++;
    return plain ? start : r->text.data;
}

int reader_key(struct json_reader *r, const char *const *keys, unsigned *seen)
{
    size_t len;
    const char *start = r->at, *key = reader_string(r, &len);
    int found = -1;
    for (int i = 0; keys[i] && found < 0; i++)
        if (!strncmp(keys[i], key, len) && !keys[i][len]) found = i;
    if (found >= 0 && *seen >> found & 1 && !r->failed) {
        r->at = start;
        reader_fault(r, "\"%s\" is there twice", keys[found]);
    }
    if (found >= 0) *seen |= 1u << found;
    if (reader_peek(r) == ':')
        r->at++;
    else
        reader_fault(r, "expected :");
    return found;
}

/* --- numbers --- */

static bool is_digit(const struct json_reader *r, const char *at)
{
    return at < r->end && *at >= '0' && *at <= '9';
}

struct number {
    const char *start, *end; /* its text; equal where there is none */
    bool negative, exact;    /* exact: value = digits * 10^power */
    uint64_t digits;
    int power;
};

/* Digits from *at on. */
static void read_digits(const struct json_reader *r, const char **at, struct number *n, int step)
{
    for (; is_digit(r, *at); ++*at) {
        if (n->digits > (UINT64_MAX - 9) / 10) {
            n->exact = false;
            continue;
        }
        n->digits = 10 * n->digits + (uint64_t)(**at - '0');
        n->power += step;
    }
}

static struct number read_number(struct json_reader *r)
{
    struct number n = {.exact = true};
    reader_peek(r);
    const char *at = n.start = n.end = r->at;
    n.negative = at < r->end && *at == '-';
    at += n.negative;
    if (!is_digit(r, at)) return n;
    if (*at == '0')
        at++;
    else
        read_digits(r, &at, &n, 0);
    if (is_digit(r, at)) return n;
    if (at < r->end && *at == '.') {
        if (!is_digit(r, ++at)) return n;
        read_digits(r, &at, &n, -1);
    }
    if (at < r->end && (*at | 32) == 'e') {
        bool less = ++at < r->end && *at == '-';
        if (at < r->end && (*at == '-' || *at == '+')) at++;
        if (!is_digit(r, at)) return n;
        int power = 0;
        for (; is_digit(r, at); at++) power = power < 10000 ? 10 * power + (*at - '0') : power;
        n.power += less ? -power : power;
    }
    n.end = r->at = at;
    return n;
}

/* Digits up to 2^53 and a power of ten up to 22 are exact as doubles, so one operation on them rounds correctly
 * (Clinger 1990). */
static double value_of(const struct number *n)
{
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (n->exact && n->digits <= (uint64_t)1 << 53 && n->power >= -22 && n->power <= 22) {
        double value = (double)n->digits;
        value = n->power < 0 ? value / tens[-n->power] : value * tens[n->power];
        return n->negative ? -value : value;
    }
    char text[NUMBER_MAX + 1];
    size_t len = (size_t)(n->end - n->start);
    if (len > NUMBER_MAX) return NAN;
    memcpy(text, n->start, len);
    text[len] = 0;
    return strtod(text, NULL);
}

double reader_real(struct json_reader *r)
{
    struct number n = read_number(r);
    double value = n.end > n.start ? value_of(&n) : NAN;
    if (isfinite(value)) return value;
    r->at = n.start;
    reader_fault(r, "expected a number");
    return 0;
}

int64_t reader_integer(struct json_reader *r)
{
    struct number n = read_number(r);
    bool plain = n.exact && !n.power && n.digits <= INT64_MAX;
    if (n.end > n.start && plain) return n.negative ? -(int64_t)n.digits : (int64_t)n.digits;
    double value = n.end > n.start ? value_of(&n) : NAN;
    if (fabs(value) <= 0x1p53 && value == floor(value)) return (int64_t)value;
    r->at = n.start;
    reader_fault(r, "expected an integer");
    return 0;
}

static bool read_word(struct json_reader *r, const char *word)
{
    size_t len = strlen(word);
    reader_peek(r);
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0) return false;
    r->at += len;
    return true;
}

bool reader_flag(struct json_reader *r)
{
    if (read_word(r, "true")) return true;
    if (read_word(r, "false")) return false;
    const char *start = r->at;
    int64_t value = reader_integer(r);
    if (value != 0 && value != 1) {
        r->at = start;
        reader_fault(r, "expected 0 or 1");
    }
    return value == 1;
}

/* --- the rest --- */

static int64_t skip(struct json_reader *r, int depth)
{
    static const char *const none[] = {NULL};
    size_t len;
    int64_t count = 0;
    if (depth > DEPTH_MAX) reader_fault(r, "nested too deep");
    switch (reader_peek(r)) {
    case '[':
        for (bool more = reader_enter(r, '['); more; more = reader_more(r, ']')) count += skip(r, depth + 1);
        return count;
    case '{':
        for (bool more = reader_enter(r, '{'); more; more = reader_more(r, '}')) {
            reader_key(r, none, NULL);
            count += skip(r, depth + 1);
        }
        return count;
    case '"': reader_string(r, &len); return 1;
    default:
        if (!read_word(r, "true") && !read_word(r, "false") && !read_word(r, "null")) {
            struct number n = read_number(r);
            if (n.end == n.start) reader_fault(r, "expected a value");
        }
        return 1;
    }
}

int64_t reader_skip(struct json_reader *r)
{
    return skip(r, 0);
}

void reader_finish(struct json_reader *r)
{
    reader_peek(r);
    if (r->at < r->end) reader_fault(r, "something follows the end");
}
