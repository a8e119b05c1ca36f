/* JSON read value by value from memory, for files that would be many times larger as a tree of jansson's.
 *
 *   for (bool more = reader_enter(r, '{'); more; more = reader_more(r, '}'))
 *       switch (reader_key(r, keys, &seen)) {
 *       case 0: width = reader_real(r); break;
 *       default: reader_skip(r);
 *       }
 *
 * The first fault fills `error` with path, line and column; from then on nothing more is read: numbers are 0, texts
 * empty, and loops end.  Of what is skipped the grammar is checked, but neither UTF-8 nor keys that are there twice. */
#ifndef EVALUATOR_METRICS_JSON_READER_H
#define EVALUATOR_METRICS_JSON_READER_H

#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct json_reader {
    const char *path, *begin, *at, *end; /* borrowed */
    struct error *error;
    bool failed;
    struct str text; /* of a string that holds escapes */
};

struct json_reader reader_open(const char *path, const char *bytes, size_t len, struct error *error);
void reader_close(struct json_reader *r);

/* Says what is wrong at `at`. */
void reader_fault(struct json_reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The first character of the next value, 0 at the end. */
char reader_peek(struct json_reader *r);

/* Into an array ('[') or object ('{'): is there a first member?  After a member, up to the `close` that belongs to it:
 * is there another? */
bool reader_enter(struct json_reader *r, char open);
bool reader_more(struct json_reader *r, char close);

/* The key of a member: its place in keys, -1 where it is none of them.  *seen collects 1 << place; a known key that is
 * there twice is a fault. */
int reader_key(struct json_reader *r, const char *const *keys, unsigned *seen);

double reader_real(struct json_reader *r);     /* finite */
int64_t reader_integer(struct json_reader *r); /* also 7.0, as some programs write ids */
bool reader_flag(struct json_reader *r);       /* true, false, 1 or 0 */
/* The bytes of a string, valid until the next one is read.  \u beyond ASCII gives a byte 255: no text that is looked
 * for holds one. */
const char *reader_string(struct json_reader *r, size_t *len);

/* Over a value; how many numbers, strings and words it holds. */
int64_t reader_skip(struct json_reader *r);

/* Nothing may follow. */
void reader_finish(struct json_reader *r);

#endif
