/* pe-evaluator zeroshot: serve/zeroshot.h over data sets with class labels. */
#include <stdlib.h>
#include <string.h>

#include "evaluator/task.h"
#include "serve/zeroshot.h"

struct self {
    struct option_list data;
    char *average, *template_file, *name_file; /* options */
    struct input *input;
    char **names, **templates;
    int64_t class_count, template_count;
    struct zeroshot zeroshot;
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_STRINGS, "data", AT(data), "!", 0, 0, NULL, "data set with class labels"},
    {OPTION_CHOICE, "frame-average", AT(average), "raw", 0, 0, "raw|unit",
     "of a video's frames: raw features averaged, then scaled to unit length; or features of unit length averaged"},
    {OPTION_STRING, "templates", AT(template_file), NULL, 0, 0, NULL,
     "one template a line with {c} for the class name (\"a photo of a {c}.\")"},
    {OPTION_STRING, "classnames", AT(name_file), NULL, 0, 0, NULL,
     "one class name a line, in the order of the labels (those of the data set)"},
    {0}};
/* clang-format on */

static int read_names(struct self *x, struct error *error)
{
    if (x->name_file) return texts_read(x->name_file, false, &x->names, &x->class_count, error);
    return zeroshot_names(&x->input->data, &x->names, &x->class_count, error);
}

static int read_templates(struct self *x, struct error *error)
{
    if (texts_read(x->template_file, true, &x->templates, &x->template_count, error) < 0) return -1;
    int rc = zeroshot_check_templates(x->templates, x->template_count, error);
    return rc < 0 ? error_prefix(error, "%s", x->template_file) : 0;
}

static int read_all(struct self *x, struct session *s, struct error *error)
{
    x->input = session_data(s, &x->data, error);
    if (!x->input || read_names(x, error) < 0) return -1;
    return x->template_file ? read_templates(x, error) : 0;
}

static int open_classes(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    char *standard[] = {(char[]){"a photo of a {c}."}};
    if (world_agree(s->world, read_all(x, s, error), error) < 0) return -1;
    bool own = x->templates != NULL;
    int rc = zeroshot_open(&x->zeroshot, &s->embedder, x->names, x->class_count, own ? x->templates : standard,
                           own ? x->template_count : 1, x->input->data.samples,
                           strcmp(x->average, "unit") ? FEATURE_EMBEDDING : FEATURE_FRAMES, error);
    input_add(x->input, zeroshot_taker(&x->zeroshot));
    return rc;
}

static int report(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    struct classification_scores m;
    if (zeroshot_score(&x->zeroshot, s->world, &s->host, &m, error) < 0)
        return error_prefix(error, "%s", x->data.items[0]);
    json_t *metrics =
        json_pack("{s:f, s:f, s:f, s:I, s:I}", "acc1", m.acc1, "acc5", m.acc5, "mean_per_class_recall",
                  m.mean_per_class_recall, "samples", (json_int_t)m.samples, "classes", (json_int_t)x->class_count);
    if (m.unlabelled) json_object_set_new(metrics, "unlabelled", json_integer(m.unlabelled));
    return session_report(s, x->data.items[0], "zeroshot_classification", metrics, error);
}

static void close_classes(void *self)
{
    struct self *x = self;
    texts_free(x->templates, x->template_count);
    if (x->name_file) texts_free(x->names, x->class_count);
    zeroshot_close(&x->zeroshot);
}

const struct task task_zeroshot = {
    .name = "zeroshot",
    .summary = "zero-shot classification: acc1, acc5, mean_per_class_recall",
    .options = options,
    .bytes = sizeof(struct self),
    .use = task_reads_texts,
    .open = open_classes,
    .report = report,
    .close = close_classes,
};
