/* Built-in lists, and the choice between them and what the data say. */
#include "serve/prompts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/embed.h"
#include "base/json.h"
#include "base/memory.h"

EMBED_FILE(prompts_templates, "common/serve/prompts/templates.json");
EMBED_FILE(prompts_classes, "common/serve/prompts/classes.json");

/* --- published --- */

static json_t *load(const unsigned char *begin, const unsigned char *end)
{
    json_t *root = json_loadb((const char *)begin, (size_t)(end - begin), 0, NULL);
    CHECK(root, "a built-in list of prompts is no JSON");
    return root;
}

static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b) && !(strchr("-_", *a) && strchr("-_", *b)))
            return false;
    return *a == *b;
}

/* Borrowed; NULL: there is none of this name. */
static const json_t *find(const json_t *root, const char *name)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)root, key, value)
        if (same_name(key, name)) return json_is_string(value) ? find(root, json_string_value(value)) : value;
    return NULL;
}

static int no_such(const json_t *root, const char *name, const char *what, struct error *error)
{
    struct str known = {0};
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)root, key, value) str_printf(&known, known.len ? ", %s" : "%s", key);
    error_set(error, ERROR_USAGE, "%s: neither a file nor published %s (%s)", name, what, known.data);
    str_free(&known);
    return -1;
}

static char **texts_of(const json_t *array, int64_t *count)
{
    *count = (int64_t)json_array_size(array);
    char **out = mem_alloc((size_t)*count + 1, sizeof *out);
    for (int64_t i = 0; i < *count; i++) out[i] = mem_strdup(json_string_value(json_array_get(array, (size_t)i)));
    return out;
}

static void list_room(struct class_list *list, int64_t count, bool folders)
{
    *list = (struct class_list){.names = mem_zalloc((size_t)count + 1, sizeof *list->names), .count = count};
    if (folders) list->folders = mem_zalloc((size_t)count + 1, sizeof *list->folders);
}

/* {"classes": [name | [folder, name]], "border"} | {"of": another list, "folders": those of it | absent: all} */
static void publish(const json_t *root, const json_t *set, struct class_list *list)
{
    const json_t *of = json_object_get(set, "of"), *classes = json_object_get(set, "classes"),
                 *folders = json_object_get(set, "folders");
    if (of) classes = json_object_get(find(root, json_string_value(of)), "classes");
    size_t at = 0, count = json_array_size(folders ? folders : classes);
    list_room(list, (int64_t)count, json_is_array(json_array_get(classes, 0)));
    list->published = true;
    list->border = (int)json_integer_value(json_object_get(set, "border"));
    for (size_t i = 0; i < count; i++) {
        const json_t *class = json_array_get(classes, i);
        const char *folder = json_string_value(json_array_get(folders, i));
        while (folder && strcmp(json_string_value(json_array_get(class = json_array_get(classes, at), 0)), folder))
            at++;
        bool pair = json_is_array(class);
        if (pair) list->folders[i] = mem_strdup(json_string_value(json_array_get(class, 0)));
        list->names[i] = mem_strdup(json_string_value(pair ? json_array_get(class, 1) : class));
    }
}

/* --- files --- */

static int read_list(struct class_list *list, const char *path, struct error *error)
{
    char **lines;
    int64_t count;
    if (texts_read(path, false, &lines, &count, error) < 0) return -1;
    bool folders = strchr(lines[0], '\t') != NULL;
    int rc = 0;
    list_room(list, count, folders);
    for (int64_t i = 0; i < count && rc == 0; i++) {
        char *tab = strchr(lines[i], '\t');
        if (folders && !tab) rc = error_set(error, ERROR_FAILED, "%s: line %ld has no tab", path, (long)i + 1);
        if (folders && tab) list->folders[i] = strndup(lines[i], (size_t)(tab - lines[i]));
        list->names[i] = mem_strdup(folders && tab ? tab + 1 : lines[i]);
    }
    texts_free(lines, count);
    if (rc < 0) class_list_close(list);
    return rc;
}

int class_list_open(struct class_list *list, const char *name, struct error *error)
{
    json_t *root = load(prompts_classes, prompts_classes_end);
    const json_t *set = find(root, name);
    int rc = 0;
    if (set)
        publish(root, set, list);
    else
        rc = fs_exists(name) ? read_list(list, name, error) : no_such(root, name, "class names", error);
    json_decref(root);
    return rc;
}

void class_list_close(struct class_list *list)
{
    texts_free(list->names, list->count);
    if (list->folders) texts_free(list->folders, list->count);
    *list = (struct class_list){0};
}

/* --- templates --- */

/* Where the name goes, and what comes after; NULL: nowhere. */
static const char *place(const char *template, const char **rest)
{
    const char *at = strstr(template, "{c}"), *other = strstr(template, "{}");
    *rest = at ? at + strlen("{c}") : other ? other + strlen("{}") : NULL;
    return at ? at : other;
}

int templates_check(char *const *templates, int64_t count, struct error *error)
{
    const char *rest;
    for (int64_t i = 0; i < count; i++)
        if (!place(templates[i], &rest))
            return error_set(error, ERROR_USAGE, "template \"%s\" has no {c}", templates[i]);
    return 0;
}

char *template_fill(const char *template, const char *name)
{
    struct str out = {0};
    const char *rest, *at = place(template, &rest);
    str_append(&out, template, (size_t)(at - template));
    str_puts(&out, name);
    str_puts(&out, rest);
    return str_steal(&out);
}

int templates_open(const char *name, char ***templates, int64_t *count, struct error *error)
{
    json_t *root = load(prompts_templates, prompts_templates_end);
    const json_t *set = find(root, name);
    char **out = NULL;
    int64_t n = 0;
    int rc = 0;
    if (set)
        out = texts_of(set, &n);
    else
        rc = fs_exists(name) ? texts_read(name, true, &out, &n, error) : no_such(root, name, "templates", error);
    json_decref(root);
    if (rc == 0 && templates_check(out, n, error) < 0) rc = error_prefix(error, "%s", name);
    if (rc < 0) {
        texts_free(out, n);
        return -1;
    }
    *templates = out;
    *count = n;
    return 0;
}

/* --- the choice --- */

static int sets_agree(const struct collection *data, struct error *error)
{
    const struct dataset *first = data->sets;
    for (int64_t i = 1; i < data->count; i++)
        if (!texts_same(first->classes, first->class_count, data->sets[i].classes, data->sets[i].class_count))
            return error_set(error, ERROR_FAILED, "%s: other classes than the first data set; give --classnames",
                             data->sets[i].folder);
    return 0;
}

/* class_of [class_count] of the data's classes among the folders of a list; how many are there. */
static int64_t match(const struct class_list *list, const struct dataset *data, int32_t *class_of)
{
    int64_t matched = 0;
    char **called = mem_alloc((size_t)list->count + 1, sizeof *called);
    for (int64_t k = 0; k < list->count; k++) called[k] = source_class_name(list->folders[k]);
    for (int64_t i = 0; i < data->class_count; i++) {
        class_of[i] = -1;
        for (int64_t k = 0; k < list->count && class_of[i] < 0; k++)
            if (!strcmp(data->classes[i], called[k]) || !strcmp(data->classes[i], list->folders[k]))
                class_of[i] = (int32_t)k;
        matched += class_of[i] >= 0;
    }
    texts_free(called, list->count);
    return matched;
}

/* Of a list that was asked for. */
static int follow(struct prompts *p, const struct collection *data, const struct class_list *list, const char *name,
                  struct error *error)
{
    const struct dataset *first = data->sets;
    p->class_of = mem_alloc((size_t)first->class_count + 1, sizeof *p->class_of);
    p->label_count = first->class_count;
    if (list->folders && match(list, first, p->class_of)) return sets_agree(data, error);
    free(p->class_of);
    p->class_of = NULL;
    p->label_count = list->count;
    if (!list->published || !first->class_count || first->class_count == list->count) return 0;
    return error_set(error, ERROR_FAILED,
                     "%s: its %ld classes are none of the folders of --classnames %s, and not as many as its %ld names",
                     first->folder, (long)first->class_count, name, (long)list->count);
}

static int choose_classes(struct prompts *p, const struct collection *data, const char *name, struct error *error)
{
    const struct dataset *first = data->sets;
    struct class_list list;
    if (name) {
        if (class_list_open(&list, name, error) < 0) return -1;
        p->names = texts_copy(list.names, list.count);
        p->class_count = list.count;
        p->names_from = fs_last(name);
        p->border = list.border;
        int rc = follow(p, data, &list, name, error);
        class_list_close(&list);
        return rc;
    }
    if (!first->class_count)
        return error_set(error, ERROR_FAILED, "%s: the data set names no classes; give --classnames", first->folder);
    if (sets_agree(data, error) < 0) return -1;
    p->names = texts_copy(first->classes, first->class_count);
    p->class_count = p->label_count = first->class_count;
    int32_t *class_of = mem_alloc((size_t)first->class_count, sizeof *class_of);
    if (class_list_open(&list, "imagenet1k", error) < 0) return -1;
    bool wnids = match(&list, first, class_of) == first->class_count;
    for (int64_t i = 0; i < p->class_count && wnids; i++) {
        free(p->names[i]);
        p->names[i] = mem_strdup(list.names[class_of[i]]);
    }
    p->names_from = mem_strdup(wnids ? "imagenet1k" : "data set");
    free(class_of);
    class_list_close(&list);
    return 0;
}

static int choose_templates(struct prompts *p, const struct collection *data, const char *name, struct error *error)
{
    static char *standard[] = {"a photo of a {c}."};
    const struct dataset *first = data->sets;
    if (name) {
        p->templates_from = fs_last(name);
        return templates_open(name, &p->templates, &p->template_count, error);
    }
    for (int64_t i = 1; i < data->count; i++)
        if (!texts_same(first->templates, first->template_count, data->sets[i].templates, data->sets[i].template_count))
            return error_set(error, ERROR_FAILED, "%s: other templates than the first data set; give --templates",
                             data->sets[i].folder);
    bool own = first->template_count > 0;
    p->template_count = own ? first->template_count : 1;
    p->templates = texts_copy(own ? first->templates : standard, p->template_count);
    p->templates_from = mem_strdup(own ? "data set" : standard[0]);
    return templates_check(p->templates, p->template_count, error) < 0 ? error_prefix(error, "%s", first->folder) : 0;
}

int prompts_open(struct prompts *p, const struct collection *data, const char *classes, const char *templates,
                 struct error *error)
{
    *p = (struct prompts){0};
    return choose_classes(p, data, classes, error) < 0 ? -1 : choose_templates(p, data, templates, error);
}

void prompts_close(struct prompts *p)
{
    texts_free(p->names, p->class_count);
    texts_free(p->templates, p->template_count);
    free(p->class_of);
    free(p->names_from);
    free(p->templates_from);
    *p = (struct prompts){0};
}
