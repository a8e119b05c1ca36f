/* The table, and the shapes of prompts. */
#include "evaluator/question_tasks.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "evaluator/metrics/python.h"

#define SHORT "\nAnswer the question using a single word or phrase."
#define WORD "\nAnswer the question with a single word."
#define BEST "Only give the best option.\n"
#define DIRECT "\nProvide a short and direct response."
#define LETTER "Answer with the option's letter from the given choices directly."
#define UNANSWERABLE "\nWhen the provided information is insufficient, respond with 'Unanswerable'." SHORT
#define SENTENCE "Provide a one-sentence caption for the provided image."
#define BRIEF "Describe the image briefly."
/* Coordinates as PLM was taught them: 0 to 999; the prompt is ours, as none was published. */
#define BOX "\nReply with its bounding box as [x1, y1, x2, y2], whole numbers from 0 to 999."

/* clang-format off */
const struct question_task question_tasks[] = {
    {"docvqa",         SHAPE_PLAIN,    0,  {SHORT, SHORT}, NULL, 32, "anls", ""},
    {"infovqa",        SHAPE_PLAIN,    0,  {SHORT, SHORT}, NULL, 32, "anls", ""},
    {"chartqa",        SHAPE_PLAIN,    0,  {WORD, WORD}, NULL, 16, "relaxed", ""},
    {"textvqa",        SHAPE_CAPITAL,  0,  {DIRECT, SHORT}, NULL, 16, "vqa", "--vqa-tokenize on"},
    {"vqav2",          SHAPE_PLAIN,    0,  {"", SHORT}, NULL, 16, "vqa", "--vqa-tokenize off"},
    {"okvqa",          SHAPE_PLAIN,    0,  {"\nRespond with one word.", UNANSWERABLE}, NULL, 16, "vqa",
     "--vqa-tokenize on"},
    {"vizwiz",         SHAPE_CAPITAL,  0,  {UNANSWERABLE, UNANSWERABLE}, NULL, 16, "vqa", "--vqa-tokenize on"},
    {"ai2d",           SHAPE_LETTERS,  26, {"\n" LETTER, "\n" LETTER}, NULL, 16, "choice", "--choice-rule ai2d"},
    {"mmmu",           SHAPE_LETTERS,  26, {"\n\n" LETTER, "\n\n" LETTER}, "\n" SHORT, 128, "choice",
     "--choice-rule mmmu"},
    {"mvbench",        SHAPE_BRACKETS, 5,  {BEST, BEST}, NULL, 16, "choice", "--choice-rule mvbench"},
    {"perceptiontest", SHAPE_LETTERS,  4,  {"\n" LETTER, "\n" LETTER}, NULL, 16, "choice",
     "--choice-rule perceptiontest"},
    {"pope",           SHAPE_STRIPPED, 0,  {"\nYour response must be concise.", SHORT}, NULL, 128, "pope", ""},
    {"ocrbench",       SHAPE_STRIPPED, 0,  {DIRECT, ""}, NULL, 128, "contains", ""},
    {"refcoco",        SHAPE_PLAIN,    0,  {BOX, BOX}, NULL, 32, "grounding", "--grounding-scale 999"},
    {"easyvqa",        SHAPE_PLAIN,    0,  {SHORT, SHORT}, NULL, 16, "exact", "--exact-ignore-case"},
    {"coco",           SHAPE_CAPTION,  0,  {BRIEF, SENTENCE}, NULL, 64, "cider", ""},
    {"nocaps",         SHAPE_CAPTION,  0,  {BRIEF, SENTENCE}, NULL, 64, "cider", ""},
    {"flickr30k",      SHAPE_CAPTION,  0,  {SENTENCE, SENTENCE}, NULL, 64, "cider", ""},
    {0}};
/* clang-format on */

const struct question_task *question_task_of(const char *name)
{
    for (const struct question_task *t = question_tasks; t->name; t++)
        if (!strcmp(t->name, name)) return t;
    return NULL;
}

void question_task_names(struct str *out)
{
    for (const struct question_task *t = question_tasks; t->name; t++)
        str_printf(out, "%s%s", t > question_tasks ? ", " : "", t->name);
}

const json_t *question_choices(const json_t *row)
{
    const json_t *choices = json_object_get(row, "options");
    if (!choices) choices = json_object_get(row, "choices");
    return json_array_size(choices) ? choices : NULL;
}

/* Python's str.capitalize. */
static void put_capitalized(const char *text, struct str *out)
{
    utf8proc_uint8_t bytes[4];
    const char *rest = text;
    utf8proc_int32_t first = *text ? utf8_next(&rest, NULL) : 0;
    if (!first) return;
    str_append(out, bytes, (size_t)utf8proc_encode_char(utf8proc_totitle(first), bytes));
    char *small = python_lower(rest);
    str_puts(out, small);
    free(small);
}

static void put_question(enum question_shape shape, const char *question, struct str *out)
{
    if (shape == SHAPE_CAPITAL) {
        put_capitalized(question, out);
        return;
    }
    char *text = mem_strdup(question);
    str_puts(out, shape == SHAPE_STRIPPED ? python_strip(text) : text);
    free(text);
}

void question_prompt(const struct question_task *task, enum question_wording wording, const json_t *row,
                     struct str *out)
{
    const char *question = json_string_value(json_object_get(row, "question"));
    const json_t *choices = task->choices ? question_choices(row) : NULL;
    bool brackets = task->shape == SHAPE_BRACKETS;
    if (brackets) str_puts(out, "Question:");
    if (task->shape != SHAPE_CAPTION) put_question(task->shape, question, out);
    if (brackets) str_puts(out, "\nOption:\n");
    for (size_t i = 0; i < json_array_size(choices); i++) {
        const char *choice = json_string_value(json_array_get(choices, i));
        char letter = (char)('A' + i);
        if (brackets)
            str_printf(out, "(%c) %s\n", letter, choice);
        else
            str_printf(out, "\n%c. %s", letter, choice);
    }
    str_puts(out, task->choices && !choices ? task->open : task->ending[wording]);
}
