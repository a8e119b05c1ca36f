/* Signs of bad texts. */
#include "serve/flags.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "base/memory.h"

static bool refuses(const char *text)
{
    static const char *const signs[] = {"i'm sorry", "i am sorry", "sorry,",      "i cannot", "i can't",
                                        "i can not", "i'm unable", "i am unable", "as an ai", "as a language model"};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (!strncasecmp(text, signs[i], strlen(signs[i]))) return true;
    return false;
}

enum { RUN = 4, MOST_WORDS = 4096 };

/* The same four words in a row more than three times. */
static bool repeats(const char *text)
{
    uint64_t words[MOST_WORDS];
    int count = 0;
    for (const char *at = text; *at && count < MOST_WORDS;) {
        at += strspn(at, " \t\r\n");
        size_t len = strcspn(at, " \t\r\n");
        if (len) words[count++] = XXH3_64bits(at, len);
        at += len;
    }
    for (int i = 0; i + RUN <= count; i++) {
        int times = 0;
        for (int k = i; k + RUN <= count; k++) times += !memcmp(words + i, words + k, RUN * sizeof *words);
        if (times > 3) return true;
    }
    return false;
}

json_t *flags_of(const char *text, bool cut)
{
    json_t *flags = json_array();
    if (!*text) json_array_append_new(flags, json_string("empty"));
    if (cut) json_array_append_new(flags, json_string("cut"));
    if (refuses(text)) json_array_append_new(flags, json_string("refusal"));
    if (repeats(text)) json_array_append_new(flags, json_string("repetition"));
    return flags;
}

static void count(json_t *counts, const char *name)
{
    json_object_set_new(counts, name, json_integer(json_integer_value(json_object_get(counts, name)) + 1));
}

static void tally_text(struct tally *t, json_t *entry)
{
    const char *text = json_string_value(json_object_get(entry, "text"));
    json_t *flags = json_object_get(entry, "flags"), *flag;
    if (!text) return;
    count(t->seen, text);
    if (json_integer_value(json_object_get(t->seen, text)) > 1 && *text) {
        if (!flags) json_object_set_new(entry, "flags", flags = json_array());
        json_array_append_new(flags, json_string("duplicate"));
    }
    size_t i;
    json_array_foreach (flags, i, flag) count(t->flags, json_string_value(flag));
    t->texts++;
    t->tokens += json_integer_value(json_object_get(entry, "tokens"));
    t->flagged += json_array_size(flags) > 0;
}

void tally_row(void *context, json_t *row)
{
    struct tally *t = context;
    json_t *entry;
    size_t i;
    if (!t->flags) t->flags = json_object(), t->seen = json_object();
    t->items++;
    json_array_foreach (json_object_get(row, "texts"), i, entry) tally_text(t, entry);
    if (json_object_get(row, "text")) tally_text(t, row);
}

void tally_print(const struct tally *t, const char *folder, const char *name)
{
    const char *flag;
    json_t *times;
    printf("%-12s %s/%s.jsonl\n%-12s %ld\n%-12s %ld, %.1f tokens each\n%-12s %ld", "rows", folder, name, "items",
           (long)t->items, "texts", (long)t->texts, t->texts ? (double)t->tokens / (double)t->texts : 0., "flagged",
           (long)t->flagged);
    json_object_foreach (t->flags, flag, times) printf(", %s %lld", flag, (long long)json_integer_value(times));
    printf("\n");
}

void tally_free(struct tally *t)
{
    json_decref(t->flags);
    json_decref(t->seen);
    *t = (struct tally){0};
}
