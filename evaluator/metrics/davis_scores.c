/* Sequences, and figures over all their objects. */
#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/str.h"
#include "evaluator/metrics/davis.h"

const char davis_headline[] = "J&F-Mean";

int davis_objects(const uint16_t *first, int64_t pixels)
{
    enum { VOID = 255 };
    int highest = 0;
    for (int64_t i = 0; i < pixels; i++)
        if (first[i] > highest && first[i] != VOID) highest = first[i];
    return highest;
}

void davis_sequence_open(struct davis_sequence *s, const char *name, int64_t objects, int64_t frames)
{
    CHECK(objects > 0 && frames > 0, "%ld objects in %ld frames of %s", (long)objects, (long)frames, name);
    size_t values = (size_t)(objects * frames);
    *s = (struct davis_sequence){mem_strdup(name), objects, frames, mem_zalloc(values, sizeof *s->j),
                                 mem_zalloc(values, sizeof *s->f)};
}

void davis_sequence_add(struct davis_sequence *s, int64_t frame, const uint16_t *truth, const uint16_t *predicted,
                        int height, int width)
{
    for (int64_t i = 0; i < s->objects; i++) {
        struct davis_measure m = davis_measure(truth, predicted, height, width, (int)i + 1);
        s->j[i * s->frames + frame] = m.j;
        s->f[i * s->frames + frame] = m.f;
    }
}

void davis_sequence_close(struct davis_sequence *s)
{
    free(s->name);
    free(s->j);
    free(s->f);
    *s = (struct davis_sequence){0};
}

static void add(struct davis_statistics *sum, struct davis_statistics one)
{
    sum->mean += one.mean;
    sum->recall += one.recall;
    sum->decay += one.decay;
}

static void set(json_t *figures, const char *key, double sum, int64_t objects)
{
    json_object_set_new(figures, key, json_real(sum / (double)objects));
}

void davis_scores_open(struct davis_scores *scores, const struct davis_sequence *sequences, int64_t count,
                       json_t *figures)
{
    struct davis_statistics j_sum = {0}, f_sum = {0};
    int64_t n = 0, total = 0;
    for (int64_t q = 0; q < count; q++) total += sequences[q].objects;
    json_t *each = json_object();
    *scores = (struct davis_scores){total, mem_zalloc((size_t)total + 1, sizeof *scores->keys),
                                    mem_alloc((size_t)total + 1, sizeof *scores->values)};
    for (const struct davis_sequence *s = sequences; s < sequences + count; s++)
        for (int64_t i = 0; i < s->objects; i++, n++) {
            struct davis_statistics j = davis_statistics(s->j + i * s->frames, s->frames),
                                    f = davis_statistics(s->f + i * s->frames, s->frames);
            struct str key = {0};
            str_printf(&key, "%s/%ld", s->name, (long)i + 1);
            scores->keys[n] = str_steal(&key);
            scores->values[n] = (j.mean + f.mean) / 2;
            json_object_set_new(each, scores->keys[n], json_pack("[f, f]", j.mean, f.mean));
            add(&j_sum, j);
            add(&f_sum, f);
        }
    set(figures, davis_headline, (j_sum.mean + f_sum.mean) / 2, total);
    set(figures, "J-Mean", j_sum.mean, total);
    set(figures, "J-Recall", j_sum.recall, total);
    set(figures, "J-Decay", j_sum.decay, total);
    set(figures, "F-Mean", f_sum.mean, total);
    set(figures, "F-Recall", f_sum.recall, total);
    set(figures, "F-Decay", f_sum.decay, total);
    json_object_set_new(figures, "objects", each);
}

void davis_scores_close(struct davis_scores *scores)
{
    for (int64_t i = 0; i < scores->objects; i++) free(scores->keys[i]);
    free(scores->keys);
    free(scores->values);
    *scores = (struct davis_scores){0};
}
