/* pe-evaluator score --metric exact: replies that are, letter for letter, one of the answers (exact_match of lmms-eval,
 * which has the same two options). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "evaluator/metrics/answers.h"
#include "evaluator/metrics/python.h"

extern const struct metric metric_exact;

struct self {
    bool ignore_case, ignore_punctuation; /* options */
    struct answers answers;
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_BOOL, "exact-ignore-case", AT(ignore_case), "false", 0, 0, NULL, "compare in lower case"},
    {OPTION_BOOL, "exact-ignore-punctuation", AT(ignore_punctuation), "false", 0, 0, NULL, "compare without punctuation of ASCII"},
    {0}};
/* clang-format on */

static char *compared(const struct self *x, const char *text)
{
    char *out = x->ignore_case ? python_lower(text) : mem_strdup(text), *to = out;
    for (const char *at = out; *at; at++)
        if (!x->ignore_punctuation || !ispunct((unsigned char)*at)) *to++ = *at;
    *to = 0;
    return out;
}

static double score(const void *self, const struct question *q)
{
    const struct self *x = self;
    char *reply = compared(x, question_reply(q));
    bool right = false;
    for (int64_t i = 0; i < question_answers(q) && !right; i++) {
        char *answer = compared(x, question_answer(q, i));
        right = !strcmp(answer, reply);
        free(answer);
    }
    free(reply);
    return right;
}

static int open_exact(void *self, const char *truth, const char *predictions, struct metric_result *result,
                      struct error *error)
{
    struct self *x = self;
    return answers_score(&x->answers, truth, predictions, score, x, "exact_match", result, error);
}

static void close_exact(void *self)
{
    answers_free(&((struct self *)self)->answers);
}

const struct metric metric_exact = {
    .name = "exact",
    .summary = "replies equal to an answer: exact_match",
    .headline = "exact_match",
    .options = options,
    .bytes = sizeof(struct self),
    .open = open_exact,
    .close = close_exact,
};
