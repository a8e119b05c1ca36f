/* pe-evaluator score --metric choice: multiple choice, accuracy over questions and over groups (tasks, subjects).
 *
 * What a reply means is the data set's own rule (choice_rules.h).  A reply that means no choice is wrong and counted
 * as unparsed; MMMU's evaluator draws a choice then, here only with --choice-random.  MVBench's leaves empty replies
 * out of its means, so they are left out here under its rule. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "evaluator/metrics/answers.h"
#include "evaluator/metrics/choice_rules.h"

extern const struct metric metric_choice;

struct self {
    char *rule; /* options */
    int64_t random;
    struct answers answers;
    struct choice_reader *reader;
};

#define RULES "letter|ai2d|mmmu|mvbench|perceptiontest" /* as enum choice_rule */
#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_CHOICE, "choice-rule", AT(rule), "auto", 0, 0, "auto|" RULES, "how a reply is read (auto: the layout's own, letter for rows of our own)"},
    {OPTION_INT, "choice-random", AT(random), "-1", -1, 1e15, NULL, "seed: a reply that means no choice is a drawn one, as MMMU has it; -1: it is wrong"},
    {0}};
/* clang-format on */

static enum choice_rule rule_of(const struct self *x)
{
    const char *rules = RULES, *word = x->rule;
    const char *layout = x->answers.layout->name;
    if (!strcmp(word, "auto"))
        word = !strcmp(layout, "AI2D")             ? "ai2d"
               : !strcmp(layout, "MMMU")           ? "mmmu"
               : !strcmp(layout, "MVBench")        ? "mvbench"
               : !strcmp(layout, "PerceptionTest") ? "perceptiontest"
                                                   : "letter";
    enum choice_rule rule = CHOICE_LETTER;
    for (const char *at = strstr(rules, word); at > rules; at--) rule += *at == '|';
    return rule;
}

/* The number of the choice an answer names: one choice's text, or a letter; NO_CHOICE: neither, or not the same. */
static int64_t named(const struct question *q, const char *answer, int64_t count)
{
    int64_t letter = answer[0] && !answer[1] && isalpha((unsigned char)answer[0])
                         ? toupper((unsigned char)answer[0]) - 'A'
                         : NO_CHOICE;
    if (letter >= count) letter = NO_CHOICE;
    for (size_t i = 0; i < json_array_size(q->choices); i++)
        if (!strcmp(json_string_value(json_array_get(q->choices, i)), answer))
            return letter == NO_CHOICE || letter == (int64_t)i ? (int64_t)i : NO_CHOICE;
    return letter;
}

/* The right choices, a bit each; 0 with an error. */
static uint32_t right_choices(const struct self *x, const struct question *q, int64_t count, struct error *error)
{
    uint32_t right = q->right >= 0 ? 1u << q->right : 0;
    for (int64_t i = 0; i < question_answers(q) && q->right < 0; i++) {
        int64_t choice = named(q, question_answer(q, i), count);
        if (choice == NO_CHOICE) {
            error_set(error, ERROR_FAILED, "%s: question %s: answer \"%s\" is not one of its choices or their letters",
                      x->answers.truth, q->id, question_answer(q, i));
            return 0;
        }
        right |= 1u << choice;
    }
    return right;
}

static int score(struct self *x, int64_t i, enum choice_rule rule, struct metric_result *result, struct error *error)
{
    const struct question *q = &x->answers.questions[i];
    const char *reply = question_reply(q);
    bool open = rule == CHOICE_MMMU && (!q->choices || (q->type && !strcmp(q->type, "open")));
    int64_t count = q->choices ? (int64_t)json_array_size(q->choices) : CHOICES;
    if (open) {
        x->answers.values[i] = reply && choice_holds(x->reader, reply, q->answers);
        return 0;
    }
    if (count > CHOICES)
        return error_set(error, ERROR_FAILED, "%s: question %s has %ld choices, more than letters", x->answers.truth,
                         q->id, (long)count);
    uint32_t right = right_choices(x, q, count, error);
    if (!right) return -1;
    if (!reply) return 0;
    int64_t choice = choice_read(x->reader, rule, reply, q->choices, count);
    result->unparsed += choice == NO_CHOICE;
    if (choice == NO_CHOICE && x->random >= 0) {
        struct rng rng = rng_open((uint64_t)x->random, RNG_SAMPLE, (uint64_t)i, 0);
        choice = (int64_t)rng_below(&rng, (uint64_t)count);
    }
    x->answers.values[i] = choice >= 0 && (right >> choice & 1);
    if (rule == CHOICE_MVBENCH && !*reply) x->answers.values[i] = NAN;
    return 0;
}

static int open_choice(void *self, const char *truth, const char *predictions, struct metric_result *result,
                       struct error *error)
{
    struct self *x = self;
    struct answers *a = &x->answers;
    if (answers_read(a, truth, predictions, false, error) < 0) return -1;
    x->reader = choice_reader_open();
    enum choice_rule rule = rule_of(x);
    for (int64_t i = 0; i < a->count; i++)
        if (score(x, i, rule, result, error) < 0) return -1;
    answers_report(a, "accuracy", "accuracy", result);
    return 0;
}

static double resample(void *self, const int32_t *times)
{
    return answers_resample(&((struct self *)self)->answers, times);
}

static void close_choice(void *self)
{
    struct self *x = self;
    choice_reader_close(x->reader);
    answers_free(&x->answers);
}

const struct metric metric_choice = {
    .name = "choice",
    .summary =
        "multiple choice (AI2D, MMMU, MVBench, PerceptionTest): accuracy, also per group and its mean over groups",
    .headline = "accuracy",
    .options = options,
    .bytes = sizeof(struct self),
    .open = open_choice,
    .resample = resample,
    .close = close_choice,
};
