/* pe-evaluator retrieval: serve/retrieval.h over data sets with captions. */
#include <stdio.h>
#include <string.h>

#include "evaluator/task.h"
#include "serve/retrieval.h"

struct self {
    struct option_list data;
    char *average; /* options */
    struct retrieval retrieval;
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_STRINGS, "data", AT(data), "!", 0, 0, NULL, "data set with captions"},
    {OPTION_CHOICE, "frame-average", AT(average), "unit", 0, 0, "raw|unit",
     "of a video's frames: raw features averaged, then scaled to unit length; or features of unit length averaged"},
    {0}};
/* clang-format on */

static int open_retrieval(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    struct input *in = session_data(s, &x->data, error);
    enum feature feature = strcmp(x->average, "unit") ? FEATURE_EMBEDDING : FEATURE_FRAMES;
    if (!in || retrieval_open(&x->retrieval, &s->embedder.encoder, &in->data, in->data.samples, 0, feature, error) < 0)
        return -1;
    input_add(in, retrieval_taker(&x->retrieval));
    return 0;
}

static void add_recalls(json_t *metrics, const char *of, const double recall[RECALL_LEVELS])
{
    for (int k = 0; k < RECALL_LEVELS; k++) {
        char key[64];
        snprintf(key, sizeof key, "%s_retrieval_recall@%d", of, recall_at[k]);
        json_object_set_new(metrics, key, json_real(recall[k]));
    }
}

static int report(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    struct retrieval_scores m;
    if (retrieval_score(&x->retrieval, &s->embedder, &s->host, &m, error) < 0) return -1;
    json_t *metrics = json_object();
    add_recalls(metrics, "image", m.image);
    add_recalls(metrics, "text", m.text);
    json_object_set_new(metrics, "image_retrieval_median_rank", json_real(m.image_median_rank));
    json_object_set_new(metrics, "text_retrieval_median_rank", json_real(m.text_median_rank));
    json_object_set_new(metrics, "images", json_integer(x->retrieval.table.count));
    json_object_set_new(metrics, "texts", json_integer(x->retrieval.text_count));
    return session_report(s, x->data.items[0], "zeroshot_retrieval", metrics, error);
}

static void close_retrieval(void *self)
{
    retrieval_close(&((struct self *)self)->retrieval);
}

const struct task task_retrieval = {
    .name = "retrieval",
    .summary = "image_retrieval_recall@K and text_retrieval_recall@K, K = 1, 5, 10",
    .options = options,
    .bytes = sizeof(struct self),
    .use = task_reads_texts,
    .open = open_retrieval,
    .report = report,
    .close = close_retrieval,
};
