/* Rows by sample number. */
#include "serve/table.h"

#include <stdlib.h>
#include <string.h>

void feature_table_open(struct feature_table *t, const struct encoder *encoder, int64_t count, struct want want)
{
    *t = (struct feature_table){
        .want = want, .count = count, .cols = encoder->columns(encoder->self, want.layer, want.feature)};
    t->rows = mem_map((size_t)(count * t->cols), sizeof *t->rows);
    t->labels = mem_alloc((size_t)count, sizeof *t->labels);
}

void feature_table_close(struct feature_table *t)
{
    mem_unmap(t->rows, (size_t)(t->count * t->cols), sizeof *t->rows);
    free(t->labels);
    *t = (struct feature_table){0};
}

static int keep(void *self, int want, const struct feature_rows *rows, struct error *error)
{
    struct feature_table *t = self;
    (void)want, (void)error;
    if (rows->rows) memcpy(t->rows + rows->sample * t->cols, rows->data, (size_t)t->cols * sizeof *t->rows);
    t->labels[rows->sample] = rows->rows ? rows->label : LABEL_MISSING;
    return 0;
}

struct taker feature_table_taker(struct feature_table *t)
{
    return (struct taker){
        .wants = &t->want, .count = 1, .everywhere = true, .skips = t->skips, .take = keep, .self = t};
}

int missing_check(int64_t missing, int64_t samples, double max_bad, struct error *error)
{
    if ((double)missing <= max_bad * (double)samples) return 0;
    return error_set(error, ERROR_FAILED,
                     "%ld of %ld samples could not be read, more than --max-bad-fraction %g; the log names them",
                     (long)missing, (long)samples, max_bad);
}
