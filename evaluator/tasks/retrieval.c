/* pe-evaluator retrieval: serve/retrieval.h over data sets with captions. */
#include <string.h>

#include "evaluator/metrics/retrieval.h"
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

static int report(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    struct retrieval_scores m;
    if (retrieval_score(&x->retrieval, &s->embedder, &s->host, &m, error) < 0) return -1;
    json_t *metrics = json_object();
    retrieval_figures(metrics, &m, x->retrieval.table.count, x->retrieval.text_count);
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
