/* Parsing, printing and dumping of option tables. */
#include "config/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/str.h"

const char percept_version[] = "0.1.0";

static bool end_of(const struct option *o)
{
    return !o->key;
}

static void *place(const struct option *o, const void *config)
{
    return (char *)(uintptr_t)config + o->offset;
}

static const struct option *find(const struct option_program *p, const char *key)
{
    char plain[64];
    snprintf(plain, sizeof plain, "%s", key);
    for (char *c = plain; *c; c++)
        if (*c == '_') *c = '-';
    for (const struct option *o = p->options; !end_of(o); o++)
        if (o->type != OPTION_GROUP && !strcmp(o->key, plain)) return o;
    return NULL;
}

static int unknown(const struct option_program *p, const char *where, const char *key, struct error *error)
{
    const char *nearest = NULL;
    int best = 1 << 20;
    for (const struct option *o = p->options; !end_of(o); o++) {
        int distance = o->type == OPTION_GROUP ? best : str_distance(key, o->key);
        if (distance < best) best = distance, nearest = o->key;
    }
    return error_set(error, ERROR_USAGE, "%s: unknown key \"%s\" (maybe --%s?); --help lists all", where, key, nearest ? nearest : "help");
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
        if (!in_choices(o->choices, value)) return error_set(error, ERROR_USAGE, "--%s %s: must be one of %s", o->key, value, o->choices);
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
        if (!strcmp(value, "true") || !strcmp(value, "1")) *(bool *)to = true;
        else if (!strcmp(value, "false") || !strcmp(value, "0")) *(bool *)to = false;
        else return error_set(error, ERROR_USAGE, "--%s %s: must be true or false", o->key, value);
        return 0;
    case OPTION_INT: {
        long long number = strtoll(value, &end, 10);
        if (!*value || *end || errno) return error_set(error, ERROR_USAGE, "--%s %s: not a whole number", o->key, value);
        if ((double)number < o->min || (double)number > o->max)
            return error_set(error, ERROR_USAGE, "--%s %s: must lie in [%.0f, %.0f]", o->key, value, o->min, o->max);
        *(int64_t *)to = number;
        return 0;
    }
    case OPTION_REAL: {
        double number = strtod(value, &end);
        if (!*value || *end || !isfinite(number)) return error_set(error, ERROR_USAGE, "--%s %s: not a number", o->key, value);
        if (number < o->min || number > o->max)
            return error_set(error, ERROR_USAGE, "--%s %s: must lie in [%g, %g]", o->key, value, o->min, o->max);
        *(double *)to = number;
        return 0;
    }
    case OPTION_GROUP: break;
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
    if (json_is_integer(value)) snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value)) snprintf(text, sizeof text, "%.17g", json_real_value(value));
    else return error_set(error, ERROR_USAGE, "%s: key \"%s\" has a value of the wrong type", path, o->key);
    return set(o, config, text, error);
}

static int read_file(const struct option_program *p, void *config, const char *path, struct error *error)
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
        json_object_foreach(root, key, value)
        {
            const struct option *o = find(p, key);
            rc = o ? set_json(o, config, path, value, error) : unknown(p, path, key, error);
            if (rc < 0) break;
        }
    json_decref(root);
    return rc;
}

static void print_help(const struct option_program *p)
{
    printf("%s%s%s - %s\n\nusage: %s%s%s [--config FILE.json] [--key value ...]\n", p->name, p->verb ? " " : "", p->verb ? p->verb : "",
           p->summary, p->name, p->verb ? " " : "", p->verb ? p->verb : "");
    static const char *const kinds[] = {"TEXT", "TEXT...", "N", "X", "", "", ""};
    for (const struct option *o = p->options; !end_of(o); o++) {
        if (o->type == OPTION_GROUP) {
            printf("\n%s\n", o->key);
            continue;
        }
        struct str left = {0};
        str_printf(&left, "  --%s %s", o->key, o->type == OPTION_CHOICE ? o->choices : kinds[o->type]);
        printf("%-42s%s %s", left.data, left.len >= 42 ? "\n                                         " : "", o->doc);
        if (o->fallback && !strcmp(o->fallback, "!")) printf(" (required)");
        else if (o->fallback) printf(" (%s)", o->fallback);
        printf("\n");
        str_free(&left);
    }
    printf("\n  --config FILE.json                       keys and values of this list; the command line wins\n"
           "  --help, --version\n\nExit status: 0 done, 1 failed, 2 wrong usage, 75 stopped by a signal after saving (run again to go on).\n");
}

/* One --key with the words after it; returns how many arguments were used. */
static int take(const struct option_program *p, void *config, int argc, char **argv, struct error *error)
{
    if (strncmp(argv[0], "--", 2) || !argv[0][2]) return error_set(error, ERROR_USAGE, "\"%s\": expected --key", argv[0]);
    char key[64];
    const char *equals = strchr(argv[0], '='), *inline_value = equals ? equals + 1 : NULL;
    snprintf(key, sizeof key, "%.*s", equals ? (int)(equals - argv[0]) - 2 : 62, argv[0] + 2);
    const struct option *o = find(p, key);
    if (!o) return unknown(p, "command line", key, error);
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

int options_parse(const struct option_program *p, void *config, int argc, char **argv, bool quiet, struct error *error)
{
    const char *file = NULL;
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            if (!quiet) print_help(p);
            return OPTIONS_DONE;
        }
        if (!strcmp(argv[i], "--version")) {
            if (!quiet) printf("%s %s\n", p->name, percept_version);
            return OPTIONS_DONE;
        }
        if (!strcmp(argv[i], "--config")) {
            if (i + 1 == argc) return error_set(error, ERROR_USAGE, "--config needs a file");
            file = argv[i + 1];
        } else if (str_starts_with(argv[i], "--config=")) file = argv[i] + 9;
    }
    for (const struct option *o = p->options; !end_of(o); o++)
        if (o->fallback && strcmp(o->fallback, "!") && set(o, config, o->fallback, error) < 0) return -1;
    if (file && read_file(p, config, file, error) < 0) return -1;
    for (int i = 0; i < argc;) {
        if (!strcmp(argv[i], "--config")) {
            i += 2;
            continue;
        }
        if (str_starts_with(argv[i], "--config=")) {
            i++;
            continue;
        }
        int used = take(p, config, argc - i, argv + i, error);
        if (used < 0) return -1;
        i += used;
    }
    for (const struct option *o = p->options; !end_of(o); o++) {
        if (!o->fallback || strcmp(o->fallback, "!")) continue;
        bool missing = o->type == OPTION_STRINGS ? !((struct option_list *)place(o, config))->count
                       : o->type == OPTION_INT ? !*(int64_t *)place(o, config) : !*(char **)place(o, config);
        if (missing) return error_set(error, ERROR_USAGE, "--%s is required; --help lists all options", o->key);
    }
    return OPTIONS_OK;
}

int options_verb(const struct option_program *const *programs, const char *summary, int argc, char **argv, bool quiet, struct error *error)
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
    if (!*verb) error_set(error, ERROR_USAGE, "%s needs a verb: %s; %s --help says more", name, known.data, name);
    else if (!help && !version) error_set(error, ERROR_USAGE, "unknown verb \"%s\" (%s)", verb, known.data);
    else if (version && !quiet) printf("%s %s\n", name, percept_version);
    else if (!quiet) {
        printf("%s - %s\n\n", name, summary);
        for (int i = 0; programs[i]; i++) printf("  %s %-10s %s\n", name, programs[i]->verb, programs[i]->summary);
        printf("\n%s VERB --help lists the options of a verb.\n", name);
    }
    str_free(&known);
    return -1;
}

void options_free(const struct option_program *p, void *config)
{
    for (const struct option *o = p->options; !end_of(o); o++) {
        if (o->type == OPTION_STRINGS) clear_list(o, config);
        if (o->type == OPTION_STRING || o->type == OPTION_CHOICE) {
            free(*(char **)place(o, config));
            *(char **)place(o, config) = NULL;
        }
    }
}

json_t *options_json(const struct option_program *p, const void *config)
{
    json_t *root = json_object();
    for (const struct option *o = p->options; !end_of(o); o++) {
        const void *at = place(o, config);
        json_t *value = NULL;
        switch (o->type) {
        case OPTION_STRING:
        case OPTION_CHOICE: value = *(char *const *)at ? json_string(*(char *const *)at) : json_null(); break;
        case OPTION_INT: value = json_integer(*(const int64_t *)at); break;
        case OPTION_REAL: value = json_real(*(const double *)at); break;
        case OPTION_BOOL: value = json_boolean(*(const bool *)at); break;
        case OPTION_STRINGS: {
            const struct option_list *list = at;
            value = json_array();
            for (int64_t i = 0; i < list->count; i++) json_array_append_new(value, json_string(list->items[i]));
            break;
        }
        case OPTION_GROUP: continue;
        }
        json_object_set_new(root, o->key, value);
    }
    return root;
}
