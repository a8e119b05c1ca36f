/* Buffers that grow. */
#include "serve/store.h"

#include <stdlib.h>
#include <string.h>

void feature_store_open(struct feature_store *s, const struct encoder *encoder, const int64_t *layers, int64_t count,
                        enum feature feature)
{
    *s = (struct feature_store){.count = (int)count};
    s->wants = mem_alloc((size_t)count, sizeof *s->wants);
    s->held = mem_zalloc((size_t)count, sizeof *s->held);
    s->rows = mem_zalloc((size_t)count, sizeof *s->rows);
    s->cols = mem_alloc((size_t)count, sizeof *s->cols);
    for (int64_t i = 0; i < count; i++) {
        s->wants[i] = (struct want){layers[i], feature};
        s->cols[i] = encoder->columns(encoder->self, layers[i], feature);
    }
}

void feature_store_close(struct feature_store *s)
{
    for (int i = 0; i < s->count; i++) free(s->rows[i]);
    free(s->rows);
    free(s->wants);
    free(s->held);
    free(s->cols);
    free(s->samples);
    free(s->labels);
    *s = (struct feature_store){0};
}

void feature_store_share(struct feature_store *s, int64_t first, int64_t end)
{
    s->everywhere = true;
    s->first = first;
    s->end = end;
}

/* Pages come when touched: what grows ahead of need costs address space alone. */
static void grow(struct feature_store *s)
{
    s->room = s->room ? 2 * s->room : 1024;
    s->samples = mem_realloc(s->samples, (size_t)s->room, sizeof *s->samples);
    s->labels = mem_realloc(s->labels, (size_t)s->room, sizeof *s->labels);
    for (int i = 0; i < s->count; i++)
        s->rows[i] = mem_realloc(s->rows[i], (size_t)(s->room * s->cols[i]), sizeof **s->rows);
}

static int keep(void *self, int want, const struct feature_rows *rows, struct error *error)
{
    struct feature_store *s = self;
    (void)error;
    if (s->everywhere && (rows->sample < s->first || rows->sample >= s->end)) return 0;
    if (rows->label < 0) {
        s->unlabelled += want == 0;
        return 0;
    }
    int64_t at = s->held[want]++;
    if (at == s->room) grow(s);
    s->samples[at] = rows->sample; /* the same for each want: all of them get the same samples in the same order */
    s->labels[at] = rows->label;
    memcpy(s->rows[want] + at * s->cols[want], rows->data, (size_t)s->cols[want] * sizeof **s->rows);
    return 0;
}

struct taker feature_store_taker(struct feature_store *s)
{
    return (struct taker){.wants = s->wants, .count = s->count, .everywhere = s->everywhere, .take = keep, .self = s};
}

struct labelled_rows feature_store_rows(const struct feature_store *s, int want)
{
    return (struct labelled_rows){s->rows[want], s->samples, s->labels, s->held[want], s->cols[want]};
}

void feature_store_drop(struct feature_store *s, int want)
{
    free(s->rows[want]);
    s->rows[want] = NULL;
    s->held[want] = 0;
}
