/* The table of layouts, and telling one from a row. */
#include "evaluator/metrics/layouts.h"

#include <string.h>

/* clang-format off */
/* What OK-VQA calls its kinds of questions; VQAv2 calls them by their first words. */
static const char ok_vqa_types[] = "one|two|three|four|five|six|seven|eight|nine|ten|other";

static const struct layout layouts[] = {
    {"DocVQA", "data", "questionId", "questionId", "answers", .text = "question"},
    {"TextVQA", "data", "question_id", "question_id", "answers", .text = "question"},
    {"OK-VQA", "annotations", "question_type", "question_id", "answers", .type = "answer_type", .words = ok_vqa_types},
    {"VQA", "annotations", "question_id", "question_id", "answers", .type = "answer_type"},
    {"captions", "annotations", "image_id", "image_id", "caption", .captions = true},
    {"AI2D", "questions", "answerTexts", "questionId", .right = "correctAnswer", .choices = "answerTexts",
     .unique = true},
    {"PerceptionTest", "mc_question", "options", "id", .right = "answer_id", .choices = "options", .group = "area"},
    {"ChartQA", NULL, "query", NULL, "label", .type = "type", .text = "query"},
    {"MVBench", NULL, "candidates", NULL, "answer", .choices = "candidates", .text = "question"},
    {"MMMU", NULL, "question_type", "id", "answer", .choices = "options", .type = "question_type"},
    {"POPE", NULL, "label", "question_id", "label", .group = "category", .text = "text"},
    {"rows", NULL, "answers", "id", "answers", .right = "right", .choices = "choices", .type = "type", .group = "group",
     .text = "question"},
    {"boxes", NULL, "bbox", NULL, "bbox"},
    {"VizWiz", NULL, "image", "image", "answers", .type = "answer_type", .text = "question"},
};
/* clang-format on */

/* word NULL: it is none. */
static bool is_one_of(const char *word, const char *words)
{
    size_t len = word ? strlen(word) : 0;
    for (const char *at = words; len && at; at = strchr(at, '|')) {
        at += *at == '|';
        if (!strncmp(at, word, len) && (!at[len] || at[len] == '|')) return true;
    }
    return false;
}

const struct layout *layout_find(const char *list, const json_t *row, struct error *error)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        const struct layout *l = &layouts[i];
        if (!l->list != !list || (list && strcmp(l->list, list))) continue;
        const json_t *mark = json_object_get(row, l->mark);
        if (!mark || (l->words && !is_one_of(json_string_value(mark), l->words))) continue;
        if (!l->id || json_object_get(row, l->id)) return l;
    }
    error_set(error, ERROR_FAILED,
              "no layout of truth that is known, or one without answers; rows of our own are "
              "{\"id\": .., \"answers\": [..]}");
    return NULL;
}
