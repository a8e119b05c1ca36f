/* pe-evaluator score --metric vqa: VQA accuracy (VQAv2, OK-VQA, TextVQA, VizWiz; Antol et al. 2015, as lmms-eval has
 * it).
 *
 * Of n people's answers, each left out once, a reply is worth min(1, how many of the others it equals / 3), and its
 * value is the mean of that: with ten answers 1, 2, 3, 4 equal ones give .3, .6, .9, 1.  Texts are equal where
 * vqa_words makes them so, also where all ten answers are alike (there vqaEval.py compares them as they are). */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "evaluator/metrics/answers.h"
#include "evaluator/metrics/vqa_words.h"

extern const struct metric metric_vqa;

enum { FULL = 3 }; /* others that must agree */

struct self {
    char *split; /* option */
    struct answers answers;
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_CHOICE, "vqa-tokenize", AT(split), "auto", 0, 0, "auto|on|off", "split words before they are compared; auto: where the truth is TextVQA, OK-VQA or VizWiz"},
    {0}};
/* clang-format on */

static double score(const struct question *q, bool split)
{
    int64_t count = question_answers(q), equal = 0;
    char *reply = vqa_words(question_reply(q), split);
    bool *same = mem_zalloc((size_t)count, sizeof *same);
    for (int64_t i = 0; i < count; i++) {
        char *answer = vqa_words(question_answer(q, i), split);
        same[i] = !strcmp(answer, reply);
        equal += same[i];
        free(answer);
    }
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double part = (double)(equal - same[i]) / FULL;
        sum += part < 1 ? part : 1;
    }
    free(same);
    free(reply);
    return sum / (double)count;
}

static int open_vqa(void *self, const char *truth, const char *predictions, struct metric_result *result,
                    struct error *error)
{
    struct self *x = self;
    struct answers *a = &x->answers;
    if (answers_read(a, truth, predictions, false, error) < 0) return -1;
    const char *layout = a->layout->name;
    bool apart = !strcmp(layout, "TextVQA") || !strcmp(layout, "VizWiz") || !strcmp(layout, "OK-VQA");
    bool split = strcmp(x->split, "auto") ? !strcmp(x->split, "on") : apart;
    for (int64_t i = 0; i < a->count; i++) {
        const struct question *q = &a->questions[i];
        if (question_answers(q) <= FULL)
            return error_set(error, ERROR_FAILED,
                             "%s: question %s has %ld answers: VQA accuracy is of ten people's, and with fewer than %d "
                             "no reply is right; try exact or anls",
                             truth, q->id, (long)question_answers(q), FULL + 1);
        if (q->reply) a->values[i] = score(q, split);
    }
    answers_report(a, "accuracy", "accuracy", result);
    return 0;
}

static void close_vqa(void *self)
{
    answers_free(&((struct self *)self)->answers);
}

const struct metric metric_vqa = {
    .name = "vqa",
    .summary = "VQA accuracy of ten people's answers (VQAv2, OK-VQA, TextVQA, VizWiz): accuracy, also per answer type",
    .headline = "accuracy",
    .options = options,
    .bytes = sizeof(struct self),
    .open = open_vqa,
    .close = close_vqa,
};
