/* Growing command lines. */
#include "evaluator/words.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/str.h"

void words_add(struct words *w, const char *word)
{
    w->list = mem_realloc(w->list, (size_t)w->count + 2, sizeof *w->list);
    w->list[w->count++] = mem_strdup(word);
    w->list[w->count] = NULL;
}

static void add_key(struct words *w, const char *key)
{
    struct str text = {0};
    str_printf(&text, "--%s", key);
    words_add(w, text.data);
    str_free(&text);
}

void words_option(struct words *w, const char *key, const char *value)
{
    add_key(w, key);
    words_add(w, value);
}

void words_options(struct words *w, const char *key, const struct option_list *values)
{
    if (values->count) add_key(w, key);
    for (int64_t i = 0; i < values->count; i++) words_add(w, values->items[i]);
}

void words_free(struct words *w)
{
    for (int i = 0; i < w->count; i++) free(w->list[i]);
    free(w->list);
    *w = (struct words){0};
}
