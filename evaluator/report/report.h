/* The parts of a report.  Each appends a section, or nothing where its inputs are not there.
 *
 * Pictures are few and small: of each kind the worst, the best and a fixed sample, chosen by the rows' own figures and
 * their order alone, so the same files give the same page. */
#ifndef EVALUATOR_REPORT_REPORT_H
#define EVALUATOR_REPORT_REPORT_H

#include "base/json.h"
#include "base/str.h"
#include "config/options.h"
#include "evaluator/curves.h"

enum {
    SMALL_SIDE = 192, /* pixels of the longer side, about twice what they are shown at */
    LARGE_SIDE = 384,
};

struct result {
    char *path;
    json_t *json; /* the result object */
};
struct results {
    struct result *list;
    int64_t count;
};

/* RUN/metrics.jsonl and RUN/config.json: what ran, on what, when; curves over steps. */
int report_run(struct str *out, const char *folder, struct error *error);

/* The headline of each result as a tile; all figures as a table. */
void report_tiles(struct str *out, const struct results *results);
void report_table(struct str *out, const struct results *results);
/* Of curves.json and of results of several layers. */
void report_layers(struct str *out, const struct curves *curves);

/* RESULT.predictions.jsonl beside a result (tasks zeroshot and retrieval, --keep-predictions). */
int report_classes(struct str *out, const struct result *result, int64_t examples, struct error *error);
int report_queries(struct str *out, const struct result *result, int64_t examples, struct error *error);
/* RESULT.replies.jsonl. */
int report_questions(struct str *out, const struct result *result, int64_t examples, struct error *error);
/* What the task pca has drawn. */
int report_maps(struct str *out, const struct result *result, int64_t examples, struct error *error);

/* Predictions of a result that says where they lie, and their pictures and truth (segment, depth, detect:
 * --predictions; track: --masks). */
int report_files(struct str *out, const struct result *result, int64_t examples, struct error *error);

/* Files of predictions beside pictures and truth; each list as its option has it (report.c). */
struct label_numbers {
    int64_t ignored; /* in the truth: nothing */
    bool no_zero;    /* nor is its 0 anything */
    bool lower;      /* predictions count from 0 where the truth does from 1 */
};
int report_labels(struct str *out, const struct option_list *folders, struct label_numbers numbers, int64_t examples,
                  struct error *error);
int report_depth(struct str *out, const struct option_list *folders, double scale, int64_t examples,
                 struct error *error);
int report_boxes(struct str *out, const struct option_list *files, int64_t examples, struct error *error);
int report_tracks(struct str *out, const struct option_list *folders, int64_t examples, struct error *error);

/* RESULT without .json, and this ending; the caller frees. */
char *report_beside(const char *result, const char *ending);

#endif
