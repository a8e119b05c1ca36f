/* pe-evaluator score --metric anls: average normalised Levenshtein similarity (DocVQA, InfographicVQA; Biten et al.
 * 2019, as lmms-eval has it).
 *
 *   value = max over answers of 1 - distance / longest, 0 below .5
 *
 * distance: edits between the texts in lower case with spaces collapsed; longest: the longer of the texts as they are,
 * in capitals; both count code points. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "evaluator/metrics/answers.h"
#include "evaluator/metrics/python.h"

extern const struct metric metric_anls;

struct self {
    struct answers answers;
};

/* Code points of str.upper: those that become several do so when their case is folded; the two capitals among them
 * stay one. */
static int64_t capital_length(const char *text)
{
    int64_t length = 0;
    while (*text) {
        utf8proc_int32_t code = utf8_next(&text, NULL), folded[8];
        utf8proc_ssize_t n = utf8proc_decompose_char(code, folded, 8, UTF8PROC_CASEFOLD, NULL);
        length += code == 0x130 || code == 0x1e9e ? 1 : (int64_t)n;
    }
    return length;
}

/* The code points of text in lower case, spaces collapsed; [*count], the caller's to free. */
static int32_t *compared(const char *text, int64_t *count)
{
    char *plain = python_collapse(python_lower(text));
    int32_t *codes = mem_alloc(strlen(plain) + 1, sizeof *codes);
    *count = 0;
    for (const char *at = plain; *at;) codes[(*count)++] = utf8_next(&at, NULL);
    free(plain);
    return codes;
}

static int64_t distance(const int32_t *a, int64_t a_count, const int32_t *b, int64_t b_count)
{
    int64_t *row = mem_alloc((size_t)a_count + 1, sizeof *row);
    for (int64_t i = 0; i <= a_count; i++) row[i] = i;
    for (int64_t j = 0; j < b_count; j++) {
        int64_t corner = row[0]; /* of the row before */
        row[0] = j + 1;
        for (int64_t i = 0; i < a_count; i++) {
            int64_t above = row[i + 1], edit = corner + (a[i] != b[j]);
            if (above + 1 < edit) edit = above + 1;
            if (row[i] + 1 < edit) edit = row[i] + 1;
            row[i + 1] = edit;
            corner = above;
        }
    }
    int64_t edits = row[a_count];
    free(row);
    return edits;
}

static double score(const void *self, const struct question *q)
{
    (void)self;
    const char *reply = question_reply(q);
    int64_t count, longest_reply = capital_length(reply);
    int32_t *codes = compared(reply, &count);
    double least = 1;
    for (int64_t i = 0; i < question_answers(q); i++) {
        const char *answer = question_answer(q, i);
        int64_t answer_count, longest = capital_length(answer);
        int32_t *answer_codes = compared(answer, &answer_count);
        if (longest < longest_reply) longest = longest_reply;
        double part = longest ? (double)distance(answer_codes, answer_count, codes, count) / (double)longest : 0;
        if (part < least) least = part;
        free(answer_codes);
    }
    free(codes);
    return 1 - least < 0.5 ? 0 : 1 - least;
}

static int open_anls(void *self, const char *truth, const char *predictions, struct metric_result *result,
                     struct error *error)
{
    return answers_score(&((struct self *)self)->answers, truth, predictions, score, NULL, "anls", result, error);
}

static void close_anls(void *self)
{
    answers_free(&((struct self *)self)->answers);
}

const struct metric metric_anls = {
    .name = "anls",
    .summary = "average normalised Levenshtein similarity (DocVQA, InfographicVQA): anls",
    .headline = "anls",
    .bytes = sizeof(struct self),
    .open = open_anls,
    .close = close_anls,
};
