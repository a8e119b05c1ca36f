/* pe-evaluator zeroshot: serve/zeroshot.h over data sets with class labels. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "evaluator/report/predictions.h"
#include "evaluator/task.h"
#include "serve/zeroshot.h"

#define RESULT "zeroshot_classification"
enum { KEPT = 5 }; /* classes of a sample */

struct self {
    struct option_list data;
    char *average, *templates, *classes; /* options */
    int64_t border;
    double max_bad;
    bool keep;
    struct prompts prompts;
    struct zeroshot zeroshot;
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_STRINGS, "data", AT(data), "!", 0, 0, NULL, "labelled data set: packed, an ImageFolder, clip_benchmark's folder, tars"},
    {OPTION_CHOICE, "frame-average", AT(average), "raw", 0, 0, "raw|unit",
     "of a video's frames: raw features averaged, then scaled to unit length; or features of unit length averaged"},
    {OPTION_STRING, "templates", AT(templates), NULL, 0, 0, NULL, "published ones (imagenet1k, ...) or a file, one a line, {c} for the class name; without: the data's own, else \"a photo of a {c}.\""},
    {OPTION_STRING, "classnames", AT(classes), NULL, 0, 0, NULL, "published ones (imagenet1k, imagenet-a, objectnet, ...) or a file, one a line in the order of the labels; without: the data's own"},
    {OPTION_INT, "border", AT(border), "-1", -1, 1000, NULL, "pixels cut off each side of a picture; -1: the frame that pictures of --classnames have (objectnet: 2)"},
    {OPTION_REAL, "max-bad-fraction", AT(max_bad), "0", 0, 1, NULL, "the share of samples that may be left out because they cannot be read; more are an error"},
    {OPTION_BOOL, "keep-predictions", AT(keep), NULL, 0, 0, NULL, "also write OUTPUT.predictions.jsonl (without .json): of each sample the best classes and the place of its own, for `report`"},
    {0}};
/* clang-format on */

static int open_classes(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    struct input *in = session_data(s, &x->data, error);
    int rc = in ? prompts_open(&x->prompts, &in->data, x->classes, x->templates, error) : -1;
    if (world_agree(s->world, rc, error) < 0) return -1;
    int border = (int)(x->border < 0 ? x->prompts.border : x->border);
    CHECK(!in->taker_count || in->source.border == border, "tasks that share pictures want other borders");
    in->source.border = border;
    struct zeroshot_config config = {.prompts = &x->prompts,
                                     .kept = &s->class_vectors,
                                     .samples = in->data.samples,
                                     .feature = strcmp(x->average, "unit") ? FEATURE_EMBEDDING : FEATURE_FRAMES,
                                     .max_bad = x->max_bad,
                                     .most = x->keep ? KEPT : 0};
    rc = zeroshot_open(&x->zeroshot, &s->embedder, &config, error);
    input_add(in, zeroshot_taker(&x->zeroshot));
    return rc;
}

static json_t *figures(const struct prompts *p, const struct zeroshot_scores *s)
{
    const struct classification_scores *c = &s->of;
    json_t *m = json_object();
    json_object_set_new(m, "acc1", json_real(c->acc1));
    json_object_set_new(m, "acc5", p->class_count < 5 ? json_null() : json_real(c->acc5)); /* it could not miss */
    json_object_set_new(m, "mean_per_class_recall", json_real(c->mean_per_class_recall));
    json_object_set_new(m, "stderr", json_real(c->deviation));
    json_object_set_new(m, "samples", json_integer(c->samples));
    json_object_set_new(m, "missing", json_integer(s->missing));
    json_object_set_new(m, "unlabelled", json_integer(s->unlabelled));
    if (p->class_of) json_object_set_new(m, "outside", json_integer(s->outside));
    json_object_set_new(m, "classes", json_integer(p->class_count));
    json_object_set_new(m, "classnames", json_text(p->names_from));
    json_object_set_new(m, "templates", json_text(p->templates_from));
    json_object_set_new(m, "template_count", json_integer(p->template_count));
    return m;
}

/* (all) Samples without a class are not there. */
static int write_predictions(const struct self *x, const struct session *s, const struct nearest *n,
                             struct error *error)
{
    const struct prompts *p = &x->prompts;
    json_t *head = predictions_head(RESULT, &x->data), *rows = json_array(), *names = json_array();
    for (int64_t c = 0; c < p->class_count; c++) json_array_append_new(names, json_text(p->names[c]));
    json_object_set_new(head, "classes", names);
    for (int64_t i = 0; i < x->zeroshot.table.count && !s->world->rank; i++) {
        int32_t label = x->zeroshot.table.labels[i];
        if (n->places[i] < 0) continue;
        json_t *row =
                   json_pack("{s:I, s:i}", "sample", (json_int_t)i, "label", p->class_of ? p->class_of[label] : label),
               *found = predictions_row(n, i, NULL);
        json_object_update(row, found);
        json_array_append_new(rows, row);
        json_decref(found);
    }
    int rc = s->world->rank ? 0 : predictions_write(s->output, json_incref(head), json_incref(rows), error);
    json_decref(head);
    json_decref(rows);
    return world_agree(s->world, rc, error);
}

static int report(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    struct zeroshot_scores scores;
    if (zeroshot_score(&x->zeroshot, s->world, &s->host, &scores, error) < 0)
        return error_prefix(error, "%s", x->data.items[0]);
    int rc = x->keep ? write_predictions(x, s, &scores.nearest, error) : 0;
    nearest_free(&scores.nearest);
    return rc < 0 ? -1 : session_report(s, x->data.items[0], RESULT, figures(&x->prompts, &scores), error);
}

static void close_classes(void *self)
{
    struct self *x = self;
    zeroshot_close(&x->zeroshot);
    prompts_close(&x->prompts);
}

const struct task task_zeroshot = {
    .name = "zeroshot",
    .summary = "zero-shot classification: acc1, acc5, mean_per_class_recall",
    .result = RESULT,
    .options = options,
    .bytes = sizeof(struct self),
    .use = task_reads_texts,
    .open = open_classes,
    .report = report,
    .close = close_classes,
};
