/* pe-evaluator questions: what a Perception LM replies to questions about pictures and videos, and how often it is
 * right.
 *
 *   rows -> pictures -> prompt -> reply (serve/job.h) -> OUTPUT.replies.jsonl -> OUTPUT.json (evaluator/replies.h)
 *
 * Replies are greedy, and as PLM's evaluation has it one '.' at their end is dropped.  Where there are options, they
 * can be weighed instead: the reply is then the letter of the likeliest. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/memory.h"
#include "evaluator/metrics/choice_rules.h"
#include "evaluator/replies.h"
#include "evaluator/results.h"
#include "evaluator/verb.h"
#include "models/row_media.h"
#include "serve/job.h"
#include "serve/rows.h"

extern const struct verb verb_questions;

struct questions_settings {
    struct option_list data;
    char *task, *output, *prompts, *choose, *blind;
    int64_t tiles, workers, attempts;
    struct media_settings media;
    struct lm_settings lm;
};

#define AT(field) offsetof(struct questions_settings, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_GROUP, "questions", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_STRINGS, "data", AT(data), "!", 0, 0, NULL, "files of questions, a line of JSON each (pe-evaluator convert makes them of published ones)"},
    {OPTION_STRING, "task", AT(task), NULL, 0, 0, NULL, "what the questions are, unless their rows say it: docvqa infovqa chartqa textvqa vqav2 okvqa vizwiz ai2d mmmu mvbench perceptiontest pope ocrbench refcoco easyvqa; captions: coco nocaps flickr30k", OPTION_IDENTITY},
    {OPTION_STRING, "output", AT(output), "!", 0, 0, NULL, "file to write, replies beside it (.replies.jsonl); of several tasks with {task} in its name", OPTION_WRITTEN},
    {OPTION_CHOICE, "prompts", AT(prompts), "plm", 0, 0, "plm|common", "wording of lmms-eval for a Perception LM, or for all models", OPTION_IDENTITY},
    {OPTION_CHOICE, "choose", AT(choose), "generate", 0, 0, "generate|likelihood|text-likelihood", "where there are options: read a generated reply; or take the likeliest letter; or the likeliest text, a byte of it on average", OPTION_IDENTITY},
    {OPTION_CHOICE, "blind", AT(blind), "off", 0, 0, "off|grey|none", "a baseline that does not see: grey in place of each picture, of the same size; or no picture at all", OPTION_IDENTITY},
    {OPTION_INT, "max-tiles", AT(tiles), "36", 0, 128, NULL, "tiles of a picture beside its thumbnail; of several pictures each has its thumbnail alone", OPTION_IDENTITY},
    {OPTION_TABLE, .offset = AT(media), .table = media_settings_options},
    {OPTION_DEFAULT, "frames", .fallback = "32"},
    {OPTION_INT, "workers", AT(workers), "1", 1, 256, NULL, "decode threads of a rank"},
    {OPTION_INT, "attempts", AT(attempts), "3", 1, 100, NULL, "a question that so often was too slow, or ended the program, has no reply"},
    {OPTION_TABLE, .offset = AT(lm), .table = lm_options},
    {OPTION_INT, "max-new-tokens", AT(lm.new_tokens), "0", 0, 1e6, NULL, "tokens of a reply, at most; 0: as the task has it", OPTION_IDENTITY},
    {0}};
/* clang-format on */
static const struct option_program program = {PROGRAM, "questions", "questions and captions through a Perception LM",
                                              options};

enum { GREY = 128 };

struct asking {
    const struct questions_settings *config;
    struct question_rows rows;
    enum question_wording wording;
    struct media_options media;
    struct lm *lm;
};

/* --- a question --- */

static int show(const void *context, struct fed *f, struct error *error)
{
    const struct asking *a = context;
    const struct question_row *q = &a->rows.list[f->item];
    const char *blind = a->config->blind;
    struct row_media media;
    int size = lm_picture_size(a->lm);
    if (row_media_read(&media, q->row, q->root, &a->media, size, (int)a->config->tiles, error) < 0)
        return error_prefix(error, "question %s", q->id);
    f->pixels = media.pixels;
    f->video = media.video;
    f->count = strcmp(blind, "none") ? media.count : 0;
    f->record.width = media.width;
    f->record.height = media.height;
    if (!strcmp(blind, "grey")) memset(f->pixels, GREY, (size_t)f->count * (size_t)size * (size_t)size * 3);
    return 0;
}

/* Ask for what is weighed: all letters at once, or each option's text. */
static void ask_choices(struct asking *a, struct job_item *item, const struct turn *turn, const json_t *choices)
{
    struct token_ids given = {0};
    const struct bpe *bpe = a->lm->bpe;
    bool letters = !strcmp(a->config->choose, "likelihood");
    for (size_t i = 0; i < json_array_size(choices); i++) {
        const char letter = (char)('A' + i), *text = json_string_value(json_array_get(choices, i));
        bpe_encode(bpe, letters ? &letter : text, letters ? 1 : strlen(text), &given);
        if (letters) continue;
        job_ask_on(item, turn, 1, 0, &(struct job_terms){.given = &given});
        given.count = 0;
    }
    CHECK(!letters || given.count == (int64_t)json_array_size(choices), "%ld tokens for %zu letters", (long)given.count,
          json_array_size(choices));
    if (letters) job_ask_on(item, turn, 1, 0, &(struct job_terms){.given = &given, .each = true});
    token_ids_free(&given);
}

/* The options that are weighed, NULL: a reply is generated. */
static const json_t *weighed(const struct asking *a, const struct question_row *q)
{
    return q->task->choices && strcmp(a->config->choose, "generate") ? question_choices(q->row) : NULL;
}

static int ask(void *context, struct job_item *item, struct error *error)
{
    struct asking *a = context;
    const struct question_row *q = &a->rows.list[item->number];
    const struct fed *f = item->fed;
    const json_t *choices = weighed(a, q);
    struct str prompt = {0};
    (void)error;
    question_prompt(q->task, a->wording, q->row, &prompt);
    struct turn turn = {TURN_USER, prompt.data, f->count * lm_picture_rows(a->lm)};
    json_object_set_new(item->row, "width", json_integer(f->record.width));
    json_object_set_new(item->row, "height", json_integer(f->record.height));
    int64_t most = a->config->lm.new_tokens ? a->config->lm.new_tokens : q->task->most;
    if (choices)
        ask_choices(a, item, &turn, choices);
    else
        job_ask_on(item, &turn, 1, 0, &(struct job_terms){.most = most});
    str_free(&prompt);
    return 0;
}

/* A text's log-probability, a byte of it on average: of longer options the sum alone is lower. */
static double text_likelihood(const struct asking *a, const struct job_text *text, const char *choice)
{
    struct token_ids ids = {0};
    double sum = 0;
    bpe_encode(a->lm->bpe, choice, strlen(choice), &ids);
    for (int64_t i = 0; i < ids.count; i++) sum += text->given[i];
    token_ids_free(&ids);
    return sum / (double)strlen(choice);
}

/* The likeliest; of equals the first. */
static void choose(struct asking *a, struct job_item *item, const json_t *choices)
{
    bool letters = !strcmp(a->config->choose, "likelihood");
    json_t *list = json_array();
    double most = -INFINITY;
    char best = 'A';
    for (size_t i = 0; i < json_array_size(choices); i++) {
        double value = letters ? item->texts[0].given[i]
                               : text_likelihood(a, &item->texts[i], json_string_value(json_array_get(choices, i)));
        json_array_append_new(list, json_real(value));
        if (value > most) most = value, best = (char)('A' + i);
    }
    json_object_set_new(item->row, "likelihoods", list);
    json_object_set_new(item->row, "reply", json_sprintf("%c", best));
}

static void finish(void *context, struct job_item *item)
{
    struct asking *a = context;
    const struct question_row *q = &a->rows.list[item->number];
    const json_t *choices = weighed(a, q);
    json_object_set_new(item->row, "id", json_string(q->id));
    if (choices) {
        choose(a, item, choices);
        return;
    }
    const char *text = item->texts[0].text;
    size_t len = strlen(text);
    job_describe(&item->texts[0], item->row);
    json_object_set_new(item->row, "reply", json_stringn(text, len - (len && text[len - 1] == '.')));
}

/* --- results --- */

/* --output with {task} filled in; of several tasks it must be there. */
static char *output_of(const struct asking *a, const char *task)
{
    static const char mark[] = "{task}";
    const char *output = a->config->output, *at = strstr(output, mark);
    struct str path = {0};
    if (!at) return mem_strdup(output);
    str_append(&path, output, (size_t)(at - output));
    str_printf(&path, "%s%s", task, at + strlen(mark));
    return str_steal(&path);
}

static int report(const struct asking *a, const struct replies *replies, const struct question_task *task,
                  struct error *error)
{
    const struct questions_settings *c = a->config;
    char *output = output_of(a, task->name);
    struct results_head head = {c->data.items[0], c->lm.model, a->lm->hash, task->name};
    json_t *figures = replies_score(replies, task, output, error);
    int rc = figures ? 0 : -1;
    if (rc == 0) {
        json_object_set_new(figures, "prompts", json_string(c->prompts));
        if (task->choices) json_object_set_new(figures, "choose", json_string(c->choose));
        json_object_set_new(figures, "blind", json_string(c->blind));
        if (a->rows.task_count > 1) printf("%-28s %s\n", "task", task->name);
        rc = results_write(output, &head, figures, error);
    }
    free(output);
    return rc;
}

/* Rows of both files of the job, by question. */
static int read_said(const struct asking *a, const char *folder, json_t ***said, struct error *error)
{
    json_t **failed = NULL;
    char *path = fs_join(folder, "replies.jsonl"), *quarantine = fs_join(folder, "replies-quarantine.jsonl");
    *said = NULL;
    int rc = rows_read(path, a->rows.count, said, error);
    if (rc == 0) rc = rows_read(quarantine, a->rows.count, &failed, error);
    for (int64_t i = 0; rc == 0 && i < a->rows.count; i++)
        if (failed[i]) (*said)[i] = json_incref(failed[i]);
    rows_free_list(failed, a->rows.count);
    free(path);
    free(quarantine);
    return rc;
}

static int report_all(const struct asking *a, const char *folder, struct error *error)
{
    json_t **said;
    int rc = read_said(a, folder, &said, error);
    struct replies replies = {&a->rows, a->wording, said};
    for (int64_t i = 0; said && i < a->rows.task_count; i++) /* one that has no figure hides no other's */
        if (report(a, &replies, a->rows.tasks[i], error) < 0) rc = -1;
    rows_free_list(said, a->rows.count);
    return rc;
}

/* --- the verb --- */

static json_t *recipe_of(const struct asking *a)
{
    struct str prompts = {0};
    for (int64_t i = 0; i < a->rows.count; i++) {
        question_prompt(a->rows.list[i].task, a->wording, a->rows.list[i].row, &prompts);
        str_putc(&prompts, '\n');
    }
    json_t *recipe = options_identity(&program, a->config);
    json_object_set_new(recipe, "program", json_string(PROGRAM " questions"));
    json_object_set_new(recipe, "data", json_checksum(a->rows.identity));
    json_object_set_new(recipe, "asked", lm_text_identity(prompts.data));
    str_free(&prompts);
    return recipe;
}

/* results.json -> results.job, where the rows of the run lie. */
static char *folder_of(const struct asking *a)
{
    char *output = output_of(a, "questions"), *end = str_ends_with(output, ".json") ? strrchr(output, '.') : NULL;
    struct str path = {0};
    str_append(&path, output, end ? (size_t)(end - output) : strlen(output));
    str_puts(&path, ".job");
    free(output);
    return str_steal(&path);
}

static int work(struct asking *a, struct error *error)
{
    const struct questions_settings *c = a->config;
    const struct world *world = a->lm->world;
    struct feed_config feed = {.decode = show, .context = a, .threads = (int)c->workers, .attempts = (int)c->attempts};
    char *folder = folder_of(a);
    json_t *recipe = recipe_of(a);
    struct job job = {.name = "replies",
                      .verb = "asked",
                      .output = folder,
                      .items = a->rows.count,
                      .texts = CHOICES,
                      .attempts = c->attempts,
                      .recipe = recipe,
                      .feed = &feed,
                      .ask = ask,
                      .finish = finish,
                      .context = a,
                      .silent = true};
    int rc = job_run(&job, a->lm, error);
    if (rc == 0) rc = world_agree(world, world->rank ? 0 : report_all(a, folder, error), error);
    json_decref(recipe);
    free(folder);
    return rc;
}

/* An option without text has no likelihood. */
static int check_texts(const struct question_rows *rows, struct error *error)
{
    const json_t *choice;
    size_t k;
    for (int64_t i = 0; i < rows->count; i++) {
        const struct question_row *q = &rows->list[i];
        if (!q->task->choices) continue;
        json_array_foreach ((json_t *)(uintptr_t)question_choices(q->row), k, choice)
            if (!*json_string_value(choice))
                return error_set(error, ERROR_FAILED,
                                 "question %s: option %c is empty, and an empty text has no likelihood; use --choose "
                                 "likelihood or generate",
                                 q->id, (int)('A' + k));
    }
    return 0;
}

static int open_rows(struct asking *a, struct error *error)
{
    const struct questions_settings *c = a->config;
    if (question_rows_open(&a->rows, &c->data, c->task, error) < 0) return -1;
    if (a->rows.task_count > 1 && !strstr(c->output, "{task}"))
        return error_set(error, ERROR_USAGE,
                         "--output %s: the questions are of %ld tasks, each with a result of its own: put {task} into "
                         "the name",
                         c->output, (long)a->rows.task_count);
    if (!strcmp(c->choose, "text-likelihood") && check_texts(&a->rows, error) < 0) return -1;
    return 0;
}

/* Nothing that is read may lie where a task's files are written. */
static int check_written(const struct asking *a, const char *output, struct error *error)
{
    static const char *const beside[] = {"questions", "replies"};
    int rc = options_unread(&program, a->config, "output", output, error);
    for (size_t i = 0; rc == 0 && i < sizeof beside / sizeof *beside; i++) {
        char *path = replies_path(output, beside[i]);
        rc = options_unread(&program, a->config, "output", path, error);
        free(path);
    }
    return rc;
}

/* Rank 0: what would end hours of asking without a figure is found before. */
static int rehearse(const struct asking *a, struct error *error)
{
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < a->rows.task_count; i++) {
        char *output = output_of(a, a->rows.tasks[i]->name);
        rc = check_written(a, output, error);
        if (rc == 0) rc = replies_rehearse(&a->rows, a->rows.tasks[i], output, error);
        free(output);
    }
    return rc;
}

static int questions(const struct world *world, const struct questions_settings *c, struct error *error)
{
    struct lm lm = {0};
    struct asking a = {.config = c,
                       .wording = strcmp(c->prompts, "plm") ? WORDING_COMMON : WORDING_PLM,
                       .media = media_options_of(&c->media),
                       .lm = &lm};
    int rc = world_agree(world, open_rows(&a, error), error);
    if (rc == 0) rc = world_agree(world, world->rank ? 0 : rehearse(&a, error), error);
    if (rc == 0) {
        rc = lm_open(&lm, world, &c->lm, true, error);
        if (rc == 0) rc = work(&a, error);
        lm_close(&lm);
    }
    question_rows_close(&a.rows);
    return rc;
}

static int run(const struct world *world, int argc, char **argv, struct error *error)
{
    struct questions_settings settings = {0};
    int rc = options_parse(&program, &settings, argc, argv, world->rank > 0, error);
    if (rc == OPTIONS_OK) rc = questions(world, &settings, error);
    options_free(&program, &settings);
    return rc < 0 ? -1 : 0;
}

const struct verb verb_questions = {"questions", "questions and captions through a Perception LM", run};
