/* Zero-shot classification during a run, of each labelled data set by itself (serve/zeroshot.h). */
#include "serve/zeroshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "log/log.h"
#include "trainer/trainer.h"

/* The i-th of a list that has none, one for all, or one each. */
static const char *item_of(const struct option_list *list, int64_t i)
{
    return list->count ? list->items[list->count > 1 ? i : 0] : NULL;
}

static int check_count(const struct option_list *list, int64_t sets, const char *key, struct error *error)
{
    if (list->count < 2 || list->count == sets) return 0;
    return error_set(error, ERROR_USAGE, "%ld --%s for %ld --zeroshot-data: give one, or one each", (long)list->count,
                     key, (long)sets);
}

static int open_set(struct trainer *t, int64_t i, struct error *error)
{
    const struct trainer_settings *c = &t->settings;
    struct labelled_set *s = &t->labelled[t->labelled_count++];
    s->name = fs_last(c->zeroshot_data.items[i]);
    for (int64_t k = 0; k < i; k++)
        if (!strcmp(t->labelled[k].name, s->name))
            return error_set(error, ERROR_USAGE, "--zeroshot-data: two sets are called %s in the metrics", s->name);
    if (collection_open(&s->data, c->zeroshot_data.items + i, 1, error) < 0 ||
        prompts_open(&s->prompts, &s->data, item_of(&c->zeroshot_classes, i), item_of(&c->zeroshot_templates, i),
                     error) < 0)
        return error_prefix(error, "--zeroshot-data");
    return 0;
}

int trainer_zeroshot_open(struct trainer *t, struct error *error)
{
    const struct trainer_settings *c = &t->settings;
    int64_t sets = c->zeroshot_data.count;
    if (check_count(&c->zeroshot_templates, sets, "zeroshot-templates", error) < 0 ||
        check_count(&c->zeroshot_classes, sets, "zeroshot-classnames", error) < 0)
        return -1;
    t->labelled = mem_zalloc((size_t)sets + 1, sizeof *t->labelled);
    for (int64_t i = 0; i < sets; i++)
        if (open_set(t, i, error) < 0) return -1;
    return 0;
}

void trainer_zeroshot_close(struct trainer *t)
{
    for (int64_t i = 0; i < t->labelled_count; i++) {
        free(t->labelled[i].name);
        prompts_close(&t->labelled[i].prompts);
        if (t->labelled[i].data.sets) collection_close(&t->labelled[i].data);
    }
    free(t->labelled);
}

static int classify(struct trainer *t, const struct labelled_set *s, struct zeroshot_scores *scores,
                    struct error *error)
{
    struct embedder e = trainer_embedder(t);
    struct picture_source source = {.data = &s->data, .count = s->data.samples, .border = s->prompts.border};
    struct zeroshot_config config = {.prompts = &s->prompts,
                                     .samples = s->data.samples,
                                     .feature = FEATURE_EMBEDDING,
                                     .max_bad = t->settings.zeroshot_max_bad};
    struct zeroshot z;
    int rc = world_agree(t->run->world, zeroshot_open(&z, &e, &config, error), error);
    struct taker taker = zeroshot_taker(&z);
    if (rc == 0) rc = features_pass(&e, &source, &taker, 1, error);
    if (rc == 0) rc = zeroshot_score(&z, t->run->world, &t->host, scores, error);
    zeroshot_close(&z);
    return rc < 0 ? error_prefix(error, "--zeroshot-data %s", s->name) : 0;
}

/* As open_clip names and logs them. */
static void add(struct str *line, json_t *row, const char *name, const char *figure, double value)
{
    struct str key = {0};
    str_printf(&key, "%s-zeroshot-val-%s", name, figure);
    str_printf(line, " %s: %.4f\t", key.data, value);
    json_object_set_new(row, key.data, json_real(value));
    str_free(&key);
}

int trainer_zeroshot(struct trainer *t, struct error *error)
{
    double start = clock_seconds();
    struct str line = {0};
    json_t *row = json_object();
    int64_t samples = 0;
    int rc = 0;
    for (int64_t i = 0; i < t->labelled_count && rc == 0; i++) {
        const struct labelled_set *s = &t->labelled[i];
        struct zeroshot_scores scores;
        rc = classify(t, s, &scores, error);
        if (rc < 0) break;
        add(&line, row, s->name, "top1", scores.of.acc1);
        if (s->prompts.class_count >= 5) add(&line, row, s->name, "top5", scores.of.acc5);
        samples += scores.of.samples;
    }
    if (rc == 0) {
        log_info("Eval Step: %ld%snum_samples: %ld\t(%.1f s)", (long)t->run->step, line.data, (long)samples,
                 clock_seconds() - start);
        training_row(t->run, "val", t->run->step, json_incref(row));
    }
    json_decref(row);
    str_free(&line);
    return rc;
}
