/* pe-evaluator score --metric pope: yes or no (POPE; Li et al. 2023, as lmms-eval counts).
 *
 * A reply is what it is in lower case without spaces around it; what is then neither "yes" nor "no" is wrong and counts
 * in neither precision nor recall.  yes_ratio is of the replies (lmms-eval 0.7.3 gives that of the truth). */
#include <stdlib.h>
#include <string.h>

#include "evaluator/metrics/answers.h"
#include "evaluator/metrics/python.h"

extern const struct metric metric_pope;

struct self {
    struct answers answers;
};

enum word { NO, YES, NEITHER };

static enum word word_of(const char *text)
{
    char *plain = python_strip(python_lower(text));
    enum word word = !strcmp(plain, "yes") ? YES : !strcmp(plain, "no") ? NO : NEITHER;
    free(plain);
    return word;
}

static double share(int64_t part, int64_t rest)
{
    return part + rest > 0 ? (double)part / (double)(part + rest) : 0;
}

static int open_pope(void *self, const char *truth, const char *predictions, struct metric_result *result,
                     struct error *error)
{
    struct answers *a = &((struct self *)self)->answers;
    if (answers_read(a, truth, predictions, false, error) < 0) return -1;
    int64_t counts[2][3] = {{0}}; /* [truth][reply] */
    for (int64_t i = 0; i < a->count; i++) {
        const struct question *q = &a->questions[i];
        enum word is = question_answers(q) == 1 ? word_of(question_answer(q, 0)) : NEITHER;
        if (is == NEITHER)
            return error_set(error, ERROR_FAILED, "%s: question %s: its answer must be yes or no", truth, q->id);
        enum word said = q->reply ? word_of(question_reply(q)) : NEITHER;
        counts[is][said]++;
        a->values[i] = is == said;
        result->unparsed += q->reply && said == NEITHER;
    }
    double precision = share(counts[YES][YES], counts[NO][YES]), recall = share(counts[YES][YES], counts[YES][NO]);
    double f1 = precision + recall > 0 ? 2 * (precision * recall) / (precision + recall) : 0;
    int64_t yes = counts[YES][YES] + counts[NO][YES];
    answers_report(a, "accuracy", "accuracy", result);
    json_object_set_new(result->figures, "precision", json_real(precision));
    json_object_set_new(result->figures, "recall", json_real(recall));
    json_object_set_new(result->figures, "f1", json_real(f1));
    json_object_set_new(result->figures, "yes_ratio", json_real(share(yes, a->count - yes)));
    return 0;
}

static void close_pope(void *self)
{
    answers_free(&((struct self *)self)->answers);
}

const struct metric metric_pope = {
    .name = "pope",
    .summary = "is it there, yes or no (POPE): accuracy precision recall f1 yes_ratio",
    .headline = "accuracy",
    .bytes = sizeof(struct self),
    .open = open_pope,
    .close = close_pope,
};
