/* pe-evaluator retrieval: serve/retrieval.h over data sets with captions. */
#include <stdlib.h>
#include <string.h>

#include "evaluator/metrics/retrieval.h"
#include "evaluator/report/predictions.h"
#include "evaluator/task.h"
#include "serve/retrieval.h"

#define RESULT "zeroshot_retrieval"
enum { KEPT = 8 }; /* pictures of a caption */

struct self {
    struct option_list data;
    char *average, *dual_softmax; /* options */
    double max_bad;
    bool keep;
    struct retrieval retrieval;
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_STRINGS, "data", AT(data), "!", 0, 0, NULL, "data set with captions: packed, clip_benchmark's folder, tars, files with NAME.txt, a list of videos"},
    {OPTION_CHOICE, "frame-average", AT(average), "unit", 0, 0, "raw|unit",
     "of a video's frames: raw features averaged, then scaled to unit length; or features of unit length averaged"},
    {OPTION_CHOICE, "dual-softmax", AT(dual_softmax), "auto", 0, 0, "auto|on|off", "weigh scores by a softmax over all queries, as PE's evaluation does; auto: of data with videos, whose published figures are so"},
    {OPTION_REAL, "max-bad-fraction", AT(max_bad), "0", 0, 1, NULL, "the share of samples that may be left out because they cannot be read; more are an error"},
    {OPTION_BOOL, "keep-predictions", AT(keep), NULL, 0, 0, NULL, "also write OUTPUT.predictions.jsonl (without .json): of each caption the best pictures and the place of its own, for `report`"},
    {0}};
/* clang-format on */

static int open_retrieval(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    struct input *in = session_data(s, &x->data, error);
    if (!in) return -1;
    bool automatic = !strcmp(x->dual_softmax, "auto");
    struct retrieval_config config = {.data = &in->data,
                                      .samples = in->data.samples,
                                      .feature = strcmp(x->average, "unit") ? FEATURE_EMBEDDING : FEATURE_FRAMES,
                                      .dual_softmax = automatic ? in->data.videos > 0 : !strcmp(x->dual_softmax, "on"),
                                      .max_bad = x->max_bad,
                                      .most = x->keep ? KEPT : 0};
    if (retrieval_open(&x->retrieval, &s->embedder.encoder, &config, error) < 0) return -1;
    input_add(in, retrieval_taker(&x->retrieval));
    return 0;
}

/* (all) Pictures and captions were scored in the order of the samples that could be read. */
static int write_predictions(const struct self *x, const struct session *s, const struct nearest *n,
                             struct error *error)
{
    const struct retrieval *r = &x->retrieval;
    const int32_t *labels = r->table.labels;
    int64_t *samples = mem_alloc((size_t)r->table.count, sizeof *samples), images = 0, texts = 0;
    json_t *rows = json_array();
    for (int64_t i = 0; i < r->table.count; i++)
        if (labels[i] != LABEL_MISSING) samples[images++] = i;
    for (int64_t k = 0; k < r->text_count && !s->world->rank; k++) {
        if (labels[r->owner[k]] == LABEL_MISSING) continue;
        json_t *found = predictions_row(n, texts++, samples), *row;
        row = json_pack("{s:o, s:i}", "text", json_text(r->texts[k]), "sample", r->owner[k]);
        json_object_update(row, found);
        json_array_append_new(rows, row);
        json_decref(found);
    }
    free(samples);
    int rc =
        s->world->rank ? 0 : predictions_write(s->output, predictions_head(RESULT, &x->data), json_incref(rows), error);
    json_decref(rows);
    return world_agree(s->world, rc, error);
}

static int report(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    struct retrieval_figures f;
    if (retrieval_score(&x->retrieval, &s->embedder, &s->host, &f, error) < 0)
        return error_prefix(error, "%s", x->data.items[0]);
    json_t *metrics = json_object();
    retrieval_metrics(metrics, &f.of, f.images, f.texts);
    json_object_set_new(metrics, "missing", json_integer(f.missing));
    json_object_set_new(metrics, "dual_softmax", json_string(x->retrieval.config.dual_softmax ? "on" : "off"));
    int rc = x->keep ? write_predictions(x, s, &f.nearest, error) : 0;
    nearest_free(&f.nearest);
    if (rc == 0) return session_report(s, x->data.items[0], RESULT, metrics, error);
    json_decref(metrics);
    return -1;
}

static void close_retrieval(void *self)
{
    retrieval_close(&((struct self *)self)->retrieval);
}

const struct task task_retrieval = {
    .name = "retrieval",
    .summary = "image_retrieval_recall@K and text_retrieval_recall@K, K = 1, 5, 10",
    .result = RESULT,
    .options = options,
    .bytes = sizeof(struct self),
    .use = task_reads_texts,
    .open = open_retrieval,
    .report = report,
    .close = close_retrieval,
};
