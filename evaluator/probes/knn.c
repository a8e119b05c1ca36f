/* pe-evaluator probe --kind knn: nn/knn.h over layers (DINOv2's protocol). */
#include <errno.h>
#include <stdlib.h>

#include "base/str.h"
#include "evaluator/probe_data.h"
#include "evaluator/task.h"
#include "nn/knn.h"

enum { K_COUNT = 64, K_MOST = 10000, HEADLINE = 20 };

struct self {
    struct probe_settings settings;
    char *k_list; /* options */
    double temperature;
    int64_t k[K_COUNT];
    struct knn_settings knn;
    struct probe_data data;
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_TABLE, .offset = AT(settings), .table = probe_options},
    {OPTION_STRING, "k", AT(k_list), "10,20,100,200", 0, 0, NULL,
     "neighbours that vote; acc1 is that of 20, or of the first of the list where 20 is not in it"},
    {OPTION_REAL, "temperature", AT(temperature), "0.07", 1e-3, 1e3, NULL, "of the softmax that weighs them"},
    {0}};
/* clang-format on */

static int read_k(struct self *x, struct error *error)
{
    const char *text = x->k_list;
    int64_t count = 0, last = 0;
    for (char *rest; count < K_COUNT; text = rest + 1) {
        errno = 0;
        int64_t k = x->k[count++] = strtol(text, &rest, 10);
        if (rest == text || errno || k <= last || k > K_MOST || (*rest && *rest != ',')) break;
        last = k;
        if (*rest) continue;
        x->knn = (struct knn_settings){x->k, count, x->temperature};
        return 0;
    }
    return error_set(error, ERROR_USAGE, "--k %s: give numbers from 1 to %d, ascending, like 10,20,100,200", x->k_list,
                     K_MOST);
}

static enum session_use use(const void *self)
{
    (void)self;
    return USE_PICTURES;
}

static int check_k(const struct self *x, int64_t samples, struct error *error)
{
    int64_t most = x->knn.k[x->knn.k_count - 1];
    if (most <= samples) return 0;
    return error_set(error, ERROR_USAGE, "--k %s: there are %ld labelled samples to choose %ld from", x->k_list,
                     (long)samples, (long)most);
}

/* Rows of the pass have a direction (serve/features.h). */
static int measure(void *self, struct session *s, int64_t train_samples, int64_t classes, struct labelled_rows train,
                   struct labelled_rows test, json_t *figures, struct error *error)
{
    const struct self *x = self;
    struct classification_scores scores[K_COUNT];
    int64_t headline = 0;
    (void)train_samples;
    if (check_k(x, world_sum(s->world, train.count), error) < 0) return -1;
    knn_unit(train.rows, train.count, train.dim);
    knn_unit(test.rows, test.count, test.dim);
    if (knn_score(&s->host, s->world, &train, &test, classes, &x->knn, scores, error) < 0) return -1;
    for (int64_t i = 0; i < x->knn.k_count; i++)
        if (x->k[i] == HEADLINE) headline = i;
    probe_figures(figures, &scores[headline]);
    json_object_set_new(figures, "k", json_integer(x->k[headline]));
    for (int64_t i = 0; i < x->knn.k_count; i++) {
        struct str key = {0};
        str_printf(&key, "knn_%ld_acc1", (long)x->k[i]);
        json_object_set_new(figures, key.data, json_real(scores[i].acc1));
        str_free(&key);
    }
    return 0;
}

static int open_knn(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    if (read_k(x, error) < 0) return -1;
    int rc = probe_open(&x->data, s, &x->settings, (struct probe_kind){"knn_probe", false, measure, x}, error);
    return rc < 0 ? -1 : check_k(x, x->data.train_input->data.samples, error);
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
