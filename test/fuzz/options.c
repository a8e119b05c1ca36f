/* Fuzz target: option files, through a table of every type with another put in. */
#include <stdio.h>

#include "config/options.h"

struct inner {
    double lr;
    char *opt;
};
struct outer {
    char *model;
    struct option_list data;
    int64_t steps;
    bool locked;
    struct inner inner;
};

/* clang-format off */
static const struct option inner_options[] = {
    {OPTION_REAL, "lr", offsetof(struct inner, lr), "1", 0, 10, NULL, "a number"},
    {OPTION_CHOICE, "opt", offsetof(struct inner, opt), "lamb", 0, 0, "lamb|adamw", "a choice"},
    {0}};
static const struct option outer_options[] = {
    {OPTION_STRING, "model", offsetof(struct outer, model), "!", 0, 0, NULL, "a text"},
    {OPTION_STRINGS, "train-data", offsetof(struct outer, data), "!", 0, 0, NULL, "texts"},
    {OPTION_INT, "steps", offsetof(struct outer, steps), "0", 0, 1e12, NULL, "a whole number"},
    {OPTION_BOOL, "lock-text", offsetof(struct outer, locked), "false", 0, 0, NULL, "a switch"},
    {OPTION_TABLE, .offset = offsetof(struct outer, inner), .table = inner_options},
    {OPTION_DEFAULT, "lr", .fallback = "0.5"},
    {0}};
/* clang-format on */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct option_program program = {"fuzz", NULL, "options", outer_options};
    char path[] = "build/fuzz/options-input.json", *argv[] = {"--config", path};
    FILE *file = fopen(path, "wb");
    if (!file) return 0;
    fwrite(data, 1, size, file);
    fclose(file);
    struct outer values = {0};
    struct error error = {0};
    options_parse(&program, &values, 2, argv, true, &error);
    json_t *all = options_json(&program, &values);
    json_decref(all);
    options_free(&program, &values);
    return 0;
}
