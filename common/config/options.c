/* Parsing, printing and dumping of option tables. */
#include "config/options.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/str.h"

const char percept_version[] = "0.1.0";

static bool end_of(const struct option *o)
{
    return !o->key && !o->type;
}

/* On a row of a table put in? */
static bool is_remark(const struct option *o)
{
    return o->type == OPTION_DEFAULT || o->type == OPTION_WITHOUT;
}

/* Can it be given? */
static bool is_open(const struct option *o)
{
    return o->type != OPTION_GROUP && !(o->flags & OPTION_HIDDEN);
}

/* A program's rows with those of the tables put in, offsets from the start of its config. */
struct rows {
    struct option *list; /* ends as a table does */
    size_t count;
};

/* A table, and those it is put into. */
struct nest {
    const struct option *table;
    const struct nest *outer;
};

static bool is_outer_key(const struct nest *outer, const struct option *row)
{
    for (const struct nest *n = outer; n && row->type != OPTION_GROUP; n = n->outer)
        for (const struct option *o = n->table; !end_of(o); o++)
            if (!is_remark(o) && o->type != OPTION_GROUP && o->key && !strcmp(o->key, row->key)) return true;
    return false;
}

static void add_rows(struct rows *rows, const struct nest *nest, size_t base)
{
    for (const struct option *o = nest->table; !end_of(o); o++) {
        if (is_remark(o)) continue;
        if (o->type == OPTION_TABLE) {
            add_rows(rows, &(struct nest){o->table, nest}, base + o->offset);
            continue;
        }
        if (is_outer_key(nest->outer, o)) continue;
        rows->list = mem_realloc(rows->list, rows->count + 2, sizeof *rows->list);
        rows->list[rows->count] = *o;
        rows->list[rows->count++].offset += base;
        rows->list[rows->count] = (struct option){0};
    }
}

static struct option *find(const struct option *list, const char *key);

/* The outermost table has the last word. */
static void remark(struct option *list, const struct option *table, enum option_type type)
{
    for (const struct option *o = table; !end_of(o); o++)
        if (o->type == OPTION_TABLE) remark(list, o->table, type);
    for (const struct option *o = table; !end_of(o); o++) {
        if (o->type != type) continue;
        struct option *row = find(list, o->key);
        CHECK(row || type == OPTION_WITHOUT, "--%s, of which a table says more, is no option", o->key);
        if (type == OPTION_DEFAULT)
            row->fallback = o->fallback;
        else if (row) /* its table may be read by itself, or several tables leave it out */
            row->flags |= OPTION_HIDDEN;
    }
}

/* The caller frees. */
static struct option *rows_of(const struct option_program *p)
{
    struct rows rows = {.list = mem_zalloc(1, sizeof *rows.list)};
    add_rows(&rows, &(struct nest){p->options, NULL}, 0);
    remark(rows.list, p->options, OPTION_DEFAULT);
    remark(rows.list, p->options, OPTION_WITHOUT);
    return rows.list;
}

static void *place(const struct option *o, const void *config)
{
    return (char *)(uintptr_t)config + o->offset;
}

static struct option *find(const struct option *list, const char *key)
{
    char plain[64];
    snprintf(plain, sizeof plain, "%s", key);
    for (char *c = plain; *c; c++)
        if (*c == '_') *c = '-';
    for (const struct option *o = list; !end_of(o); o++)
        if (is_open(o) && !strcmp(o->key, plain)) return (struct option *)(uintptr_t)o;
    return NULL;
}

static int unknown(const struct option *list, const char *where, const char *key, struct error *error)
{
    const char *nearest = NULL;
    int best = INT_MAX;
    for (const struct option *o = list; !end_of(o); o++) {
        int distance = is_open(o) ? str_distance(key, o->key) : best;
        if (distance < best) best = distance, nearest = o->key;
    }
    return error_set(error, ERROR_USAGE, "%s: unknown key \"%s\" (maybe --%s?); --help lists all", where, key,
                     nearest ? nearest : "help");
}

static bool in_choices(const char *choices, const char *value)
{
    size_t len = strlen(value);
    for (const char *at = choices; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (!strncmp(at, value, len) && (at[len] == '|' || !at[len])) return true;
    return false;
}

static int set(const struct option *o, void *config, const char *value, struct error *error)
{
    void *to = place(o, config);
    char *end = NULL;
    errno = 0;
    switch (o->type) {
    case OPTION_CHOICE:
        if (!in_choices(o->choices, value))
            return error_set(error, ERROR_USAGE, "--%s %s: must be one of %s", o->key, value, o->choices);
        /* fall through */
    case OPTION_STRING:
        free(*(char **)to);
        *(char **)to = mem_strdup(value);
        return 0;
    case OPTION_STRINGS: {
        struct option_list *list = to;
        list->items = mem_realloc(list->items, (size_t)list->count + 1, sizeof *list->items);
        list->items[list->count++] = mem_strdup(value);
        return 0;
    }
    case OPTION_BOOL:
        if (!strcmp(value, "true") || !strcmp(value, "1"))
            *(bool *)to = true;
        else if (!strcmp(value, "false") || !strcmp(value, "0"))
            *(bool *)to = false;
        else
            return error_set(error, ERROR_USAGE, "--%s %s: must be true or false", o->key, value);
        return 0;
    case OPTION_INT: {
        long long number = strtoll(value, &end, 10);
        if (!*value || *end || errno)
            return error_set(error, ERROR_USAGE, "--%s %s: not a whole number", o->key, value);
        if ((double)number < o->min || (double)number > o->max)
            return error_set(error, ERROR_USAGE, "--%s %s: must lie in [%.0f, %.0f]", o->key, value, o->min, o->max);
        *(int64_t *)to = number;
        return 0;
    }
    case OPTION_REAL: {
        double number = strtod(value, &end);
        if (!*value || *end || !isfinite(number))
            return error_set(error, ERROR_USAGE, "--%s %s: not a number", o->key, value);
        if (number < o->min || number > o->max)
            return error_set(error, ERROR_USAGE, "--%s %s: must lie in [%g, %g]", o->key, value, o->min, o->max);
        *(double *)to = number;
        return 0;
    }
    default: break;
    }
    return error_set(error, ERROR_USAGE, "--%s cannot be set", o->key);
}

static void clear_list(const struct option *o, void *config)
{
    struct option_list *list = place(o, config);
    for (int64_t i = 0; i < list->count; i++) free(list->items[i]);
    free(list->items);
    *list = (struct option_list){0};
}

static int set_json(const struct option *o, void *config, const char *path, const json_t *value, struct error *error)
{
    char text[64];
    if (o->type == OPTION_STRINGS) clear_list(o, config);
    if (json_is_null(value)) return 0;
    if (json_is_array(value) && o->type == OPTION_STRINGS) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            const char *item = json_string_value(json_array_get(value, i));
            if (!item) return error_set(error, ERROR_USAGE, "%s: key \"%s\" must be a list of strings", path, o->key);
            if (set(o, config, item, error) < 0) return -1;
        }
        return 0;
    }
    if (json_is_string(value)) return set(o, config, json_string_value(value), error);
    if (json_is_boolean(value)) return set(o, config, json_is_true(value) ? "true" : "false", error);
    if (json_is_integer(value))
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(text, sizeof text, "%.17g", json_real_value(value));
    else
        return error_set(error, ERROR_USAGE, "%s: key \"%s\" has a value of the wrong type", path, o->key);
    return set(o, config, text, error);
}

static int read_file(const struct option *list, void *config, const char *path, struct error *error)
{
    json_t *root = json_read(path, error);
    if (!root) {
        error->code = ERROR_USAGE;
        return -1;
    }
    int rc = json_is_object(root) ? 0 : error_set(error, ERROR_USAGE, "%s: not a JSON object", path);
    const char *key;
    json_t *value;
    if (rc == 0)
        json_object_foreach (root, key, value) {
            const struct option *o = find(list, key);
            rc = o ? set_json(o, config, path, value, error) : unknown(list, path, key, error);
            if (rc < 0) break;
        }
    json_decref(root);
    return rc;
}

static void print_help(const struct option_program *p, const struct option *list)
{
    printf("%s%s%s - %s\n\nusage: %s%s%s [--config FILE.json] [--key value ...]\n", p->name, p->verb ? " " : "",
           p->verb ? p->verb : "", p->summary, p->name, p->verb ? " " : "", p->verb ? p->verb : "");
    static const char *const kinds[] = {"TEXT", "TEXT...", "N", "X", "", "", ""};
    for (const struct option *o = list; !end_of(o); o++) {
        if (o->type == OPTION_GROUP) {
            printf("\n%s\n", o->key);
            continue;
        }
        if (!is_open(o)) continue;
        struct str left = {0};
        str_printf(&left, "  --%s %s", o->key, o->type == OPTION_CHOICE ? o->choices : kinds[o->type]);
        printf("%-42s%s %s", left.data, left.len >= 42 ? "\n                                         " : "", o->doc);
        if (o->fallback && !strcmp(o->fallback, "!"))
            printf(" (required)");
        else if (o->fallback)
            printf(" (%s)", o->fallback);
        printf("\n");
        str_free(&left);
    }
    printf("\n  --config FILE.json                       keys and values of this list; the command line wins\n"
           "  --help, --version\n\nExit status: 0 done, 1 failed, 2 wrong usage, 75 stopped by a signal after saving "
           "(run again to go on).\n");
}

/* One --key with the words after it; returns how many arguments were used. */
static int take(const struct option *list, void *config, int argc, char **argv, struct error *error)
{
    if (strncmp(argv[0], "--", 2) || !argv[0][2])
        return error_set(error, ERROR_USAGE, "\"%s\": expected --key", argv[0]);
    char key[64];
    const char *equals = strchr(argv[0], '='), *inline_value = equals ? equals + 1 : NULL;
    snprintf(key, sizeof key, "%.*s", equals ? (int)(equals - argv[0]) - 2 : 62, argv[0] + 2);
    const struct option *o = find(list, key);
    if (!o) return unknown(list, "command line", key, error);
    if (o->type == OPTION_STRINGS) clear_list(o, config);
    if (inline_value) return set(o, config, inline_value, error) < 0 ? -1 : 1;
    bool has_value = argc > 1 && strncmp(argv[1], "--", 2);
    if (o->type == OPTION_BOOL && !has_value) return set(o, config, "true", error) < 0 ? -1 : 1;
    if (!has_value) return error_set(error, ERROR_USAGE, "--%s needs a value", key);
    int used = 1;
    do
        if (set(o, config, argv[used++], error) < 0) return -1;
    while (o->type == OPTION_STRINGS && used < argc && strncmp(argv[used], "--", 2));
    return used;
}

static int check_required(const struct option *list, const void *config, struct error *error)
{
    for (const struct option *o = list; !end_of(o); o++) {
        if (!o->fallback || strcmp(o->fallback, "!")) continue;
        const void *at = place(o, config);
        bool missing = o->type == OPTION_STRINGS ? !((const struct option_list *)at)->count
                       : o->type == OPTION_INT   ? !*(const int64_t *)at
                                                 : !*(char *const *)at;
        if (missing) return error_set(error, ERROR_USAGE, "--%s is required; --help lists all options", o->key);
    }
    return OPTIONS_OK;
}

/* Is `path` what this option names? */
static bool names(const struct option *o, const void *config, const char *path)
{
    const void *at = place(o, config);
    const struct option_list *list = at;
    bool found = o->type == OPTION_STRING && *(char *const *)at && fs_same(*(char *const *)at, path);
    for (int64_t i = 0; o->type == OPTION_STRINGS && i < list->count; i++) found |= fs_same(list->items[i], path);
    return found;
}

/* written: the option the path belongs to. */
static int check_unread(const struct option *list, const void *config, const char *written, const char *path,
                        struct error *error)
{
    for (const struct option *o = list; path && !end_of(o); o++)
        if (strcmp(o->key, written) && names(o, config, path))
            return error_set(error, ERROR_USAGE, "%s: would be written over, and --%s names it: choose another --%s",
                             path, o->key, written);
    return 0;
}

static int check_written(const struct option *list, const void *config, struct error *error)
{
    for (const struct option *o = list; !end_of(o); o++)
        if (o->flags & OPTION_WRITTEN &&
            check_unread(list, config, o->key, *(char *const *)place(o, config), error) < 0)
            return -1;
    return 0;
}

static int parse_rows(const struct option *list, void *config, int argc, char **argv, struct error *error)
{
    const char *file = NULL;
    for (int i = 0; i < argc; i++) {
        if (str_starts_with(argv[i], "--config=")) file = argv[i] + strlen("--config=");
        if (strcmp(argv[i], "--config")) continue;
        if (i + 1 == argc) return error_set(error, ERROR_USAGE, "--config needs a file");
        file = argv[i + 1];
    }
    for (const struct option *o = list; !end_of(o); o++)
        if (o->fallback && strcmp(o->fallback, "!") && set(o, config, o->fallback, error) < 0) return -1;
    if (file && read_file(list, config, file, error) < 0) return -1;
    for (int i = 0; i < argc;) {
        bool separate = !strcmp(argv[i], "--config");
        int used = separate || str_starts_with(argv[i], "--config=") ? 1 + separate
                                                                     : take(list, config, argc - i, argv + i, error);
        if (used < 0) return -1;
        i += used;
    }
    return check_required(list, config, error) < 0 ? -1 : check_written(list, config, error);
}

int options_parse(const struct option_program *p, void *config, int argc, char **argv, bool quiet, struct error *error)
{
    bool help = false, version = false;
    for (int i = 0; i < argc && !help && !version; i++) {
        help = !strcmp(argv[i], "--help") || !strcmp(argv[i], "-h");
        version = !strcmp(argv[i], "--version");
    }
    struct option *list = rows_of(p);
    int rc = OPTIONS_DONE;
    if (!help && !version)
        rc = parse_rows(list, config, argc, argv, error);
    else if (!quiet && help)
        print_help(p, list);
    else if (!quiet)
        printf("%s %s\n", p->name, percept_version);
    free(list);
    return rc;
}

int options_verb(const struct option_program *const *programs, const char *summary, int argc, char **argv, bool quiet,
                 struct error *error)
{
    const char *verb = argc > 1 ? argv[1] : "", *name = programs[0]->name;
    struct str known = {0};
    for (int i = 0; programs[i]; i++) {
        if (!strcmp(verb, programs[i]->verb)) {
            str_free(&known);
            return i;
        }
        str_printf(&known, i ? ", %s" : "%s", programs[i]->verb);
    }
    bool help = !strcmp(verb, "--help") || !strcmp(verb, "-h"), version = !strcmp(verb, "--version");
    if (!*verb)
        error_set(error, ERROR_USAGE, "%s needs a verb: %s; %s --help says more", name, known.data, name);
    else if (!help && !version)
        error_set(error, ERROR_USAGE, "unknown verb \"%s\" (%s)", verb, known.data);
    else if (version && !quiet)
        printf("%s %s\n", name, percept_version);
    else if (!quiet) {
        printf("%s - %s\n\n", name, summary);
        for (int i = 0; programs[i]; i++) printf("  %s %-10s %s\n", name, programs[i]->verb, programs[i]->summary);
        printf("\n%s VERB --help lists the options of a verb.\n", name);
    }
    str_free(&known);
    return -1;
}

int options_unread(const struct option_program *p, const void *config, const char *key, const char *path,
                   struct error *error)
{
    struct option *list = rows_of(p);
    int rc = check_unread(list, config, key, path, error);
    free(list);
    return rc;
}

void options_free(const struct option_program *p, void *config)
{
    struct option *list = rows_of(p);
    for (const struct option *o = list; !end_of(o); o++) {
        if (o->type == OPTION_STRINGS) clear_list(o, config);
        if (o->type == OPTION_STRING || o->type == OPTION_CHOICE) {
            free(*(char **)place(o, config));
            *(char **)place(o, config) = NULL;
        }
    }
    free(list);
}

static json_t *value_of(const struct option *o, const void *at)
{
    const struct option_list *words = at;
    json_t *list;
    switch (o->type) {
    case OPTION_INT: return json_integer(*(const int64_t *)at);
    case OPTION_REAL: return json_real(*(const double *)at);
    case OPTION_BOOL: return json_boolean(*(const bool *)at);
    case OPTION_STRINGS:
        list = json_array();
        for (int64_t i = 0; i < words->count; i++) json_array_append_new(list, json_string(words->items[i]));
        return list;
    default: return *(char *const *)at ? json_string(*(char *const *)at) : json_null();
    }
}

static json_t *values(const struct option_program *p, const void *config, unsigned flags)
{
    json_t *root = json_object();
    struct option *list = rows_of(p);
    for (const struct option *o = list; !end_of(o); o++)
        if (is_open(o) && (o->flags & flags) == flags) json_object_set_new(root, o->key, value_of(o, place(o, config)));
    free(list);
    return root;
}

json_t *options_json(const struct option_program *p, const void *config)
{
    return values(p, config, 0);
}

json_t *options_identity(const struct option_program *p, const void *config)
{
    return values(p, config, OPTION_IDENTITY);
}
