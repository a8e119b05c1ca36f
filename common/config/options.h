/* Options: one table gives defaults, JSON and command-line parsing, checks, --help, and the resolved dump of a run.
 *
 *   pe-<program> [verb] [--config FILE.json] [--key value ...]
 *
 * Precedence: table default < config file < command line.  Keys are written with '-' on the command line and may use
 * '_' in JSON. An unknown key is an error that names the nearest known one.
 *
 * What several programs need is one table, put into theirs:
 *
 *   struct embed_settings { struct machine_settings machine; char *images; };
 *   {OPTION_TABLE, .offset = offsetof(struct embed_settings, machine), .table = machine_options},
 *   {OPTION_DEFAULT, "precision", .fallback = "bf16"} */
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
    OPTION_GROUP,   /* a heading in --help */
    OPTION_TABLE,   /* the rows of another table, whose offsets count from `offset`, but for those whose key the outer
                       table has itself */
    OPTION_DEFAULT, /* another default for `key` of a table put in */
    OPTION_WITHOUT  /* `key` of a table put in does nothing here: it is no option, and has its default */
};

enum {                      /* flags */
       OPTION_IDENTITY = 1, /* part of what makes a run the same run (options_identity) */
       OPTION_WRITTEN = 2,  /* a path that is written, so no other option may name the same file or folder */
       OPTION_HIDDEN = 4    /* set by OPTION_WITHOUT */
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
    unsigned flags;
    const struct option *table; /* OPTION_TABLE: ends as this one does */
};

struct option_program {
    const char *name, *verb, *summary; /* verb NULL when the program has none */
    const struct option *options;      /* ends with {0} */
};

enum option_outcome { OPTIONS_OK, OPTIONS_DONE }; /* DONE: --help or --version was answered on stdout */

/* Parse argv[0 .. argc) (without program and verb) into `config`.  Returns OPTIONS_OK, OPTIONS_DONE, or -1 with
 * `error`. `quiet`: answer --help without printing (ranks other than 0). */
int options_parse(const struct option_program *program, void *config, int argc, char **argv, bool quiet,
                  struct error *error);
/* For programs with verbs (programs ends with NULL): the index of argv[1] among them; or -1 with `error`, or -1 without
 * one when --help or --version was answered. */
int options_verb(const struct option_program *const *programs, const char *summary, int argc, char **argv, bool quiet,
                 struct error *error);
/* Refuses a path that another option than `key` names, by whatever path: a file named after --key is about to be
 * written there.  (options_parse sees itself to those with OPTION_WRITTEN.) */
int options_unread(const struct option_program *program, const void *config, const char *key, const char *path,
                   struct error *error);
void options_free(const struct option_program *program, void *config);

/* Every option with its value, in table order; a new reference.  As a --config file it gives the same values again. */
json_t *options_json(const struct option_program *program, const void *config);
/* The same of the options with OPTION_IDENTITY alone. */
json_t *options_identity(const struct option_program *program, const void *config);

extern const char percept_version[];

#endif
