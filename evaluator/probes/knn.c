/* pe-evaluator probe --kind knn: nn/knn.h over layers (DINOv2's protocol). */
#include "evaluator/neighbours.h"
#include "evaluator/probe_data.h"
#include "evaluator/task.h"

struct self {
    struct probe_settings settings;
    char *k_list; /* options */
    double temperature;
    struct neighbours neighbours;
    struct probe_data data;
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_TABLE, .offset = AT(settings), .table = probe_options},
    {OPTION_STRING, "k", AT(k_list), NEIGHBOURS_K, 0, 0, NULL, NEIGHBOURS_K_DOC},
    {OPTION_REAL, "temperature", AT(temperature), NEIGHBOURS_TEMPERATURE, 1e-3, 1e3, NULL, NEIGHBOURS_TEMPERATURE_DOC},
    {0}};
/* clang-format on */

static enum session_use use(const void *self)
{
    (void)self;
    return USE_PICTURES;
}

/* Rows of the pass have a direction (serve/features.h). */
static int measure(void *self, struct session *s, int64_t train_samples, int64_t classes, struct labelled_rows train,
                   struct labelled_rows test, json_t *figures, struct error *error)
{
    const struct self *x = self;
    (void)train_samples;
    if (neighbours_check(&x->neighbours, world_sum(s->world, train.count), error) < 0) return -1;
    knn_unit(train.rows, train.count, train.dim);
    knn_unit(test.rows, test.count, test.dim);
    return neighbours_score(&x->neighbours, &s->host, s->world, &train, &test, classes, NULL, figures, error);
}

static int open_knn(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    if (neighbours_parse(&x->neighbours, "--k", x->k_list, x->temperature, error) < 0) return -1;
    int rc = probe_open(&x->data, s, &x->settings, (struct probe_kind){"knn_probe", false, measure, x}, error);
    return rc < 0 ? -1 : neighbours_check(&x->neighbours, x->data.train_input->data.samples, error);
}

static int report(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    return probe_report(&x->data, s, error);
}

static void close_knn(void *self)
{
    struct self *x = self;
    probe_close(&x->data);
}

const struct task task_knn = {
    .name = "knn",
    .summary = "k nearest neighbours by cosine (DINOv2's protocol)",
    .options = options,
    .bytes = sizeof(struct self),
    .use = use,
    .open = open_knn,
    .report = report,
    .close = close_knn,
    .layered = true,
};
