/* Options: one table gives defaults, JSON and command-line parsing, checks, --help, and the resolved dump of a run.
 *
 *   pe-<program> [verb] [--config FILE.json] [--key value ...]
 *
 * Precedence: table default < config file < command line.  Keys are written with '-' on the command line and may use '_' in JSON.
 * An unknown key is an error that names the nearest known one. */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum option_type {
    OPTION_STRING,  /* char *, may be NULL */
    OPTION_STRINGS, /* struct option_list: one or more words up to the next --key */
    OPTION_INT,     /* int64_t, within [min, max] */
    OPTION_REAL,    /* double, within [min, max] */
    OPTION_BOOL,    /* bool: --key, --key true, --key false */
    OPTION_CHOICE,  /* char *, one of the words of `choices` separated by '|' */
    OPTION_GROUP    /* a heading in --help */
};

struct option_list {
    char **items;
    int64_t count;
};

struct option {
    enum option_type type;
    const char *key;
    size_t offset;
    const char *fallback; /* default as text; NULL: none (0, false, NULL); "!" : required */
    double min, max;
    const char *choices;
    const char *doc;
};

struct option_program {
    const char *name, *verb, *summary; /* verb NULL when the program has none */
    const struct option *options;      /* ends with key NULL and type OPTION_STRING */
};

enum option_outcome { OPTIONS_OK, OPTIONS_DONE }; /* DONE: --help or --version was answered on stdout */

/* Parse argv[0 .. argc) (without program and verb) into `config`.  Returns OPTIONS_OK, OPTIONS_DONE, or -1 with `error`.
 * `quiet`: answer --help without printing (ranks other than 0). */
int options_parse(const struct option_program *program, void *config, int argc, char **argv, bool quiet, struct error *error);
/* For programs with verbs (programs ends with NULL): the index of argv[1] among them; or -1 with `error`, or -1 without one when --help or
 * --version was answered. */
int options_verb(const struct option_program *const *programs, const char *summary, int argc, char **argv, bool quiet, struct error *error);
void options_free(const struct option_program *program, void *config);

/* Every option with its value, in table order; a new reference. */
json_t *options_json(const struct option_program *program, const void *config);

extern const char percept_version[];

#endif
