/* pe-evaluator score --metric contains: does the reply hold an answer (OCRBench; Liu et al. 2023, as lmms-eval has it)?
 *
 * Both in lower case, without spaces around them, line ends as spaces, full-width forms of ASCII as ASCII.  Of
 * questions of --contains-formulas' type both as they are without spaces: case matters in a formula. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "evaluator/metrics/answers.h"
#include "evaluator/metrics/python.h"

extern const struct metric metric_contains;

struct self {
    char *formulas; /* option */
    struct answers answers;
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_STRING, "contains-formulas", AT(formulas), "Handwritten Mathematical Expression Recognition", 0, 0, NULL, "type of the questions whose answers are formulas"},
    {0}};
/* clang-format on */

/* U+FF01 .. U+FF5E and U+3000 as the ASCII they are the wide form of; the caller frees. */
static char *narrowed(const char *text)
{
    struct str out = {0};
    str_puts(&out, "");
    while (*text) {
        const char *from = text;
        int32_t code = utf8_next(&text, NULL);
        if (code >= 0xff01 && code <= 0xff5e)
            str_putc(&out, (char)(code - 0xfee0));
        else if (code == 0x3000)
            str_putc(&out, ' ');
        else
            str_append(&out, from, (size_t)(text - from));
    }
    return str_steal(&out);
}

static char *compared(const char *text, bool formula)
{
    if (formula) return python_replace(python_replace(python_strip(mem_strdup(text)), "\n", ' '), " ", 0);
    char *narrow = narrowed(text), *out = python_replace(python_strip(python_lower(narrow)), "\n", ' ');
    free(narrow);
    return out;
}

static double score(const void *self, const struct question *q)
{
    const struct self *x = self;
    bool formula = q->type && !strcmp(q->type, x->formulas), held = false;
    char *reply = compared(question_reply(q), formula);
    for (int64_t i = 0; i < question_answers(q) && !held; i++) {
        char *answer = compared(question_answer(q, i), formula);
        held = strstr(reply, answer);
        free(answer);
    }
    free(reply);
    return held;
}

static int open_contains(void *self, const char *truth, const char *predictions, struct metric_result *result,
                         struct error *error)
{
    struct self *x = self;
    return answers_score(&x->answers, truth, predictions, score, x, "accuracy", result, error);
}

static void close_contains(void *self)
{
    answers_free(&((struct self *)self)->answers);
}

const struct metric metric_contains = {
    .name = "contains",
    .summary = "replies that hold an answer (OCRBench): accuracy, also per type",
    .headline = "accuracy",
    .options = options,
    .bytes = sizeof(struct self),
    .open = open_contains,
    .close = close_contains,
};
