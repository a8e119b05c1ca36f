/* pe-evaluator score --metric relaxed: relaxed accuracy (ChartQA; Masry et al. 2022, as lmms-eval has it).
 *
 * Where both are numbers and the answer is not 0, the reply is right within 5 % of the answer; else where the texts
 * are equal in lower case.  A number is what Python's float() reads, so 1_000 is one and 1,000 is none; "45%" is .45.
 * An answer inf or nan is never met. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "evaluator/metrics/answers.h"
#include "evaluator/metrics/python.h"

extern const struct metric metric_relaxed;

struct self {
    struct answers answers;
};

static bool number_of(const char *text, double *value)
{
    if (!str_ends_with(text, "%")) return python_float(text, value);
    char *copy = mem_strdup(text);
    size_t len = strlen(copy);
    while (len && copy[len - 1] == '%') copy[--len] = 0;
    bool number = python_float(copy, value);
    *value /= 100;
    free(copy);
    return number;
}

static bool same_text(const char *a, const char *b)
{
    char *lower_a = python_lower(a), *lower_b = python_lower(b);
    bool same = !strcmp(lower_a, lower_b);
    free(lower_a);
    free(lower_b);
    return same;
}

static bool correct(const char *reply, const char *answer)
{
    double p = 0, t = 0;
    if (number_of(reply, &p) && number_of(answer, &t) && t != 0) return fabs(p - t) / fabs(t) <= 0.05;
    return same_text(reply, answer);
}

/* ChartQA's two halves by the names its files and copies of it give them. */
static void name_half(char **name)
{
    const char *half = !*name                       ? NULL
                       : strstr(*name, "human")     ? "human"
                       : strstr(*name, "augmented") ? "augmented"
                                                    : NULL;
    if (!half) return;
    free(*name);
    *name = mem_strdup(half);
}

static int open_relaxed(void *self, const char *truth, const char *predictions, struct metric_result *result,
                        struct error *error)
{
    struct answers *a = &((struct self *)self)->answers;
    if (answers_read(a, truth, predictions, false, error) < 0) return -1;
    for (int64_t i = 0; i < a->count; i++) {
        struct question *q = &a->questions[i];
        name_half(&q->type);
        name_half(&q->group);
        for (int64_t k = 0; q->reply && k < question_answers(q) && !a->values[i]; k++)
            a->values[i] = correct(question_reply(q), question_answer(q, k));
    }
    answers_report(a, "relaxed_overall", "relaxed", result);
    return 0;
}

static void close_relaxed(void *self)
{
    answers_free(&((struct self *)self)->answers);
}

const struct metric metric_relaxed = {
    .name = "relaxed",
    .summary = "relaxed accuracy, numbers within 5 % (ChartQA): relaxed_overall, relaxed_human, relaxed_augmented",
    .headline = "relaxed_overall",
    .bytes = sizeof(struct self),
    .open = open_relaxed,
    .close = close_relaxed,
};
