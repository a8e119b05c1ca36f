/* Prompts and limits of the known sets of questions against those of lmms-eval, and OCRBench's score
 * (test/golden/README.md). */
#include <stdlib.h>
#include <string.h>

#include "evaluator/question_tasks.h"
#include "evaluator/scoring.h"
#include "serve/rows.h"
#include "test/harness.h"

#define FOLDER "test/golden/questions"

static const char *text_of(const json_t *row, const char *key)
{
    return json_string_value(json_object_get(row, key));
}

static int check_prompt(void *seen, json_t *row, struct error *error)
{
    const struct question_task *task = question_task_of(text_of(row, "task"));
    const json_t *most = json_object_get(row, "most");
    struct str prompt = {0};
    (void)error;
    EXPECT(task, "no task %s", text_of(row, "task"));
    if (!task) return 0;
    bool plm = !strcmp(text_of(row, "wording"), "plm");
    question_prompt(task, plm ? WORDING_PLM : WORDING_COMMON, json_object_get(row, "row"), &prompt);
    EXPECT(!strcmp(prompt.data, text_of(row, "prompt")), "%s, %s: \"%s\", not \"%s\"", task->name,
           plm ? "plm" : "common", prompt.data, text_of(row, "prompt"));
    EXPECT(json_is_null(most) || task->most == json_integer_value(most), "%s: %ld tokens, not %lld", task->name,
           (long)task->most, (long long)json_integer_value(most));
    json_object_set_new(seen, task->name, json_true());
    str_free(&prompt);
    return 0;
}

static void prompts(void)
{
    struct error error = {0};
    json_t *seen = json_object();
    EXPECT(rows_each(FOLDER "/prompts.jsonl", check_prompt, seen, &error) == 0, "%s", error.text);
    for (const struct question_task *t = question_tasks; t->name; t++)
        EXPECT(json_object_get(seen, t->name) || !strcmp(t->name, "refcoco") || !strcmp(t->name, "easyvqa"),
               "no prompt of %s to compare", t->name);
    json_decref(seen);
}

static int check_value(void *values, json_t *row, struct error *error)
{
    char id[16];
    (void)error;
    snprintf(id, sizeof id, "%lld", (long long)json_integer_value(json_object_get(row, "id")));
    double got = json_number_value(json_object_get(values, id)),
           want = json_number_value(json_object_get(row, "value"));
    EXPECT(got == want, "row %s, \"%s\": %g, not %g", id, text_of(row, "reply"), got, want);
    return 0;
}

static void contains(void)
{
    struct error error = {0};
    const char *path = FOLDER "/contains.jsonl";
    json_t *figures = NULL, *values = NULL;
    int rc = scoring_run(&(struct scoring){"contains", "", path, path}, &figures, &values, &error);
    EXPECT(rc == 0 && json_object_size(values) == 300, "%s", error.text);
    EXPECT(rc == 0 && rows_each(path, check_value, values, &error) == 0, "%s", error.text);
    json_decref(figures);
    json_decref(values);
}

int main(int argc, char **argv)
{
    return test_main(
        argc, argv, (struct test[]){{"prompts_of_lmms_eval", prompts}, {"replies_that_hold_an_answer", contains}, {0}});
}
