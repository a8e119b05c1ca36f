/* The metrics over texts: the layouts that truth and predictions are published in, figures worked out by hand, and what
 * must not be scored. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "evaluator/metrics/metric.h"
#include "test/harness.h"

/* Files of a case: "NAME\nCONTENT", of a folder several. */
enum { FILES = 3 };
struct setting {
    const char *metric, *options; /* words with a space between them */
    const char *truth[FILES], *predictions[FILES];
};

static void write_files(const char *folder, const char *const files[FILES])
{
    struct error error = {0};
    EXPECT(fs_make_folders(folder, &error) == 0, "%s", error.text);
    for (int i = 0; i < FILES && files[i]; i++) {
        const char *end = strchr(files[i], '\n');
        char *name = strndup(files[i], (size_t)(end - files[i])), *path = fs_join(folder, name);
        EXPECT(fs_write(path, end + 1, strlen(end + 1), &error) == 0, "%s", error.text);
        free(name);
        free(path);
    }
}

/* The path of a case's only file, or of their folder; the caller frees it. */
static char *path_of(const char *folder, const char *const files[FILES])
{
    if (files[1]) return mem_strdup(folder);
    char *name = strndup(files[0], strcspn(files[0], "\n")), *path = fs_join(folder, name);
    free(name);
    return path;
}

/* The figures, a new reference, with units, unparsed and missing; NULL: error. */
static json_t *score(const struct setting *s, struct error *error)
{
    static int number;
    char truth_folder[256], predictions_folder[256], *words = mem_strdup(s->options ? s->options : ""), *rest = words;
    snprintf(truth_folder, sizeof truth_folder, "%s/truth-%d", test_folder(), number);
    snprintf(predictions_folder, sizeof predictions_folder, "%s/predictions-%d", test_folder(), number++);
    write_files(truth_folder, s->truth);
    write_files(predictions_folder, s->predictions);
    char *truth = path_of(truth_folder, s->truth), *predictions = path_of(predictions_folder, s->predictions);
    const struct metric *metric = NULL;
    for (int i = 0; metric_list[i]; i++)
        if (!strcmp(metric_list[i]->name, s->metric)) metric = metric_list[i];
    char *argv[8];
    int argc = 0;
    for (char *word; (word = strsep(&rest, " "));)
        if (*word) argv[argc++] = word;
    struct option none[] = {{0}};
    struct option_program program = {"test", NULL, "", metric->options ? metric->options : none};
    void *self = mem_zalloc(1, metric->bytes);
    struct metric_result r = {.figures = json_object()};
    EXPECT(options_parse(&program, self, argc, argv, true, error) == 0, "%s", error->text);
    bool sound = metric->open(self, truth, predictions, &r, error) == 0;
    if (sound) {
        int32_t *times = mem_alloc((size_t)r.units, sizeof *times);
        for (int64_t i = 0; i < r.units; i++) times[i] = 1;
        double headline = json_number_value(json_object_get(r.figures, metric->headline)), sum = 0;
        for (int64_t i = 0; i < r.units && r.values; i++) sum += r.values[i];
        if (r.values) EXPECT(fabs(sum / (double)r.units - headline) < 1e-12, "mean of values %g, %g", sum, headline);
        if (metric->resample)
            EXPECT(fabs(metric->resample(self, times) - headline) < 1e-12, "each once: %g", headline);
        else
            EXPECT(r.values, "%s gives neither values nor a resample", s->metric);
        free(times);
        json_object_set_new(r.figures, "units", json_integer(r.units));
        json_object_set_new(r.figures, "unparsed", json_integer(r.unparsed));
        json_object_set_new(r.figures, "missing", json_integer(r.missing));
    }
    metric->close(self);
    options_free(&program, self);
    free(self);
    free(truth);
    free(predictions);
    free(words);
    if (sound) return r.figures;
    json_decref(r.figures);
    return NULL;
}

struct figure {
    const char *key;
    double value;
};

static void expect_figures(const char *what, const struct setting *s, const struct figure *want, double within)
{
    struct error error = {0};
    json_t *figures = score(s, &error);
    EXPECT(figures, "%s: %s", what, error.text);
    for (; figures && want->key; want++) {
        const json_t *got = json_object_get(figures, want->key);
        EXPECT(json_is_number(got) && fabs(json_number_value(got) - want->value) <= within, "%s: %s is %g, want %g",
               what, want->key, got ? json_number_value(got) : NAN, want->value);
    }
    json_decref(figures);
}

/* --- layouts --- */

static const struct layout_case {
    const char *name;
    struct setting setting;
    struct figure want[6];
} layout_cases[] = {
    {"our rows",
     {"exact",
      NULL,
      {"t.jsonl\n{\"id\": 1, \"answers\": [\"a\", \"b\"]}\n\n{\"id\": \"x\", \"answers\": \"c\", \"type\": \"t\"}\n"},
      {"p.jsonl\n\xef\xbb\xbf{\"id\": \"1\", \"reply\": \"b\"}\n{\"id\": \"x\", \"answer\": \"C\"}"}},
     {{"exact_match", 0.5}, {"exact_match_t", 0}, {"units", 2}, {"missing", 0}}},
    {"one row of ours, a map as predictions",
     {"exact", NULL, {"t.jsonl\n{\"id\": 1, \"answers\": 7}"}, {"p.json\n{\"1\": \"7\"}"}},
     {{"exact_match", 1}}},
    {"DocVQA",
     {"anls",
      NULL,
      {"val.json\n{\"dataset_name\": \"x\", \"data\": [{\"questionId\": 5, \"question\": \"?\", \"answers\": "
       "[\"Paris\"]}, "
       "{\"questionId\": 6, \"answers\": [\"a\"]}, {\"questionId\": 7, \"answers\": [\"$1,000\", \"1,000\"]}]}"},
      {"p.json\n[{\"questionId\": 7, \"answer\": \"1000\"}, {\"questionId\": 5, \"answer\": \"Pari\"}]"}},
     {{"anls", (0.8 + 0.8) / 3}, {"missing", 1}, {"units", 3}}},
    {"TextVQA",
     {"vqa",
      NULL,
      {"val.json\n{\"data\": [{\"question_id\": 3, \"image_id\": \"i\", \"answers\": [\"cat's\", \"Cat 's\", \"a\", "
       "\"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\"]}]}"},
      {"p.json\n[{\"question_id\": 3, \"answer\": \"the cat's\", \"image_id\": \"i\"}]"}},
     {{"accuracy", 0.6}}},
    {"VQAv2",
     {"vqa",
      NULL,
      {"annotations.json\n{\"annotations\": [{\"question_id\": 3, \"image_id\": 3, \"answer_type\": \"yes/no\", "
       "\"question_type\": \"is\", \"answers\": [{\"answer\": \"yes\", \"answer_id\": 1}, {\"answer\": \"yes\"}, "
       "{\"answer\": \"yes\"}, {\"answer\": \"yes\"}, {\"answer\": \"no\"}]}, {\"question_id\": 4, \"answer_type\": "
       "\"other\", \"answers\": [{\"answer\": \"cat's\"}, {\"answer\": \"cat 's\"}, {\"answer\": \"a\"}, {\"answer\": "
       "\"b\"}]}]}"},
      {"p.json\n[{\"question_id\": 4, \"answer\": \"cat's\"}, {\"question_id\": 3, \"answer\": \"Yes.\"}]"}},
     {{"accuracy_yes/no", 1}, {"accuracy_other", 0.25}, {"accuracy", 0.625}}},
    {"OK-VQA",
     {"vqa",
      NULL,
      {"annotations.json\n{\"annotations\": [{\"question_id\": 4, \"question_type\": \"ten\", \"answer_type\": "
       "\"other\", \"answers\": [{\"answer\": \"cat's\", \"raw_answer\": \"cats\"}, {\"answer\": \"cat 's\"}, "
       "{\"answer\": \"a\"}, {\"answer\": \"b\"}]}]}"},
      {"p.json\n[{\"question_id\": 4, \"answer\": \"cat's\"}]"}},
     {{"accuracy", 0.5}, {"accuracy_other", 0.5}}},
    {"VizWiz",
     {"vqa",
      NULL,
      {"val.json\n[{\"image\": \"v0.jpg\", \"question\": \"?\", \"answer_type\": \"unanswerable\", \"answers\": "
       "[{\"answer\": \"unanswerable\"}, {\"answer\": \"unanswerable\"}, {\"answer\": \"unanswerable\"}, "
       "{\"answer\": \"unanswerable\"}, {\"answer\": \"x\"}]}]"},
      {"p.json\n[{\"image\": \"v0.jpg\", \"answer\": \"Unanswerable\"}]"}},
     {{"accuracy", 1}, {"accuracy_unanswerable", 1}}},
    {"ChartQA, a folder",
     {"relaxed",
      NULL,
      {"test_augmented.json\n[{\"imgname\": \"a.png\", \"query\": \"q\", \"label\": \"10\"}]",
       "test_human.json\n[{\"imgname\": \"a.png\", \"query\": \"q\", \"label\": \"45%\"}, {\"query\": \"r\", "
       "\"label\": "
       "\"yes\"}]",
       "notes.txt\nnot read"},
      {"p.jsonl\n{\"id\": \"test_human/1\", \"reply\": \"YES\"}\n{\"id\": \"test_augmented/0\", \"reply\": "
       "\"10.6\"}\n{\"id\": \"test_human/0\", \"reply\": \"0.45\"}"}},
     {{"relaxed_overall", 2. / 3}, {"relaxed_human", 1}, {"relaxed_augmented", 0}, {"mean_per_group", 0.5}}},
    {"ChartQA, replies in order",
     {"relaxed",
      NULL,
      {"test_human.json\n[{\"imgname\": \"a.png\", \"query\": \"q\", \"label\": \"10\"}, {\"query\": \"r\", \"label\": "
       "\"yes\"}]"},
      {"p.json\n[{\"answer\": \"10.5\", \"annotation\": \"10\"}, {\"answer\": \"no\", \"query\": \"r\"}]"}},
     {{"relaxed_overall", 0.5}, {"units", 2}}},
    {"AI2D, a folder",
     {"choice",
      NULL,
      {"0.png.json\n{\"imageName\": \"0.png\", \"questions\": {\"What?\": {\"answerTexts\": [\"x\", \"y\", \"z\"], "
       "\"correctAnswer\": 1, \"questionId\": \"0.png-0\"}}}",
       "1.png.json\n{\"questions\": {\"Which?\": {\"answerTexts\": [\"x\", \"y\"], \"correctAnswer\": 0, "
       "\"questionId\": \"1.png-0\"}}}"},
      {"p.json\n[{\"questionId\": \"1.png-0\", \"answer\": \"b.\"}, {\"id\": \"0.png-0\", \"answer\": \" B. y\"}]"}},
     {{"accuracy", 0.5}, {"unparsed", 0}}},
    {"MVBench, two folders",
     {"choice",
      NULL,
      {"count.json\n[{\"video\": \"v.mp4\", \"question\": \"q\", \"candidates\": [\"1\", \"2\"], \"answer\": \"2\"}, "
       "{\"video\": \"v.mp4\", \"question\": \"r\", \"candidates\": [\"1\", \"2\"], \"answer\": \"1\"}]",
       "order.json\n[{\"video\": \"v.mp4\", \"question\": \"q\", \"candidates\": [\"x\", \"y\"], \"answer\": \"y\"}]"},
      {"count.jsonl\n{\"id\": 0, \"reply\": \"(B) 2\"}\n{\"id\": 1, \"reply\": \"\"}",
       "order.jsonl\n{\"id\": 0, \"reply\": \"a man is walking (B)\"}"}},
     {{"accuracy", 0.5}, {"accuracy_count", 1}, {"accuracy_order", 0}, {"mean_per_group", 0.5}}},
    {"PerceptionTest",
     {"choice",
      NULL,
      {"valid.json\n{\"v1\": {\"mc_question\": [{\"id\": 0, \"options\": [\"a\", \"b\", \"c\"], \"answer_id\": 2, "
       "\"area\": \"memory\"}, {\"id\": 1, \"options\": [\"a\", \"b\", \"c\"], \"answer_id\": 0, \"area\": "
       "\"physics\"}]}, \"v2\": {\"mc_question\": [{\"id\": 0, \"options\": [\"a\", \"b\", \"c\"], \"answer_id\": 1, "
       "\"area\": \"memory\"}]}}"},
      {"p.json\n{\"v2\": [{\"id\": 0, \"answer_id\": 1, \"answer\": \"b\"}], \"v1\": [{\"id\": 0, \"answer_id\": "
       "-1}, {\"id\": 1, \"answer\": \"it is A\"}]}"}},
     {{"accuracy", 2. / 3}, {"accuracy_memory", 0.5}, {"accuracy_physics", 1}, {"unparsed", 1}}},
    {"MMMU",
     {"choice",
      NULL,
      {"val.jsonl\n{\"id\": \"validation_Art_Theory_3\", \"question_type\": \"multiple-choice\", \"options\": [\"x\", "
       "\"y\"], \"answer\": \"B\"}\n{\"id\": \"validation_Math_1\", \"question_type\": \"open\", \"options\": [], "
       "\"answer\": \"3.14\"}\n"},
      {"p.json\n{\"validation_Art_Theory_3\": \"b\", \"validation_Math_1\": \"so x = 3.141\"}"}},
     {{"accuracy_Art_Theory", 0}, {"accuracy_Math", 1}, {"accuracy_open", 1}, {"unparsed", 1}}},
    {"POPE, two folders",
     {"pope",
      NULL,
      {"popular.json\n{\"question_id\": 1, \"image\": \"i\", \"text\": \"a?\", \"label\": \"yes\"}\n{\"question_id\": "
       "2, \"image\": \"i\", \"text\": \"b?\", \"label\": \"no\"}",
       "random.json\n{\"question_id\": 1, \"image\": \"i\", \"text\": \"c?\", \"label\": \"no\"}\n"},
      {"popular.jsonl\n{\"question\": \"a?\", \"answer\": \"Yes\"}\n{\"question\": \"b?\", \"answer\": \"yes\"}",
       "random.jsonl\n{\"question_id\": 1, \"text\": \"well\"}"}},
     {{"accuracy_popular", 0.5}, {"precision", 0.5}, {"recall", 1}, {"yes_ratio", 2. / 3}, {"unparsed", 1}}},
    {"COCO captions",
     {"cider",
      NULL,
      {"captions.json\n{\"images\": [{\"id\": 1}, {\"id\": 2}, {\"id\": 3}], \"annotations\": [{\"image_id\": 1, "
       "\"id\": "
       "9, \"caption\": \"A cat is on the mat.\"}, {\"image_id\": 2, \"id\": 8, \"caption\": \"two dogs are running in "
       "a "
       "park\"}, {\"image_id\": 1, \"id\": 7, \"caption\": \"a cat sits on a mat\"}, {\"image_id\": 2, \"id\": 6, "
       "\"caption\": \"dogs run\"}, {\"image_id\": 3, \"id\": 5, \"caption\": \"The sky is blue\"}]}"},
      {"p.json\n[{\"image_id\": 1, \"caption\": \"A cat sits on a mat\"}, {\"image_id\": 3, \"caption\": \"Blue "
       "sky!\"}, {\"image_id\": 2, \"caption\": \"two dogs run.\", \"id\": 3}]"}},
     {{"CIDEr", 3.6994605952548505}, {"units", 3}, {"missing", 0}}},
    {"boxes",
     {"grounding",
      "--grounding-bbox xywh --grounding-scale 1000",
      {"t.json\n[{\"bbox\": [10, 20, 30, 40], \"width\": 100, \"height\": 200}, {\"bbox\": [0, 0, 50, 50], \"width\": "
       "100, "
       "\"height\": 50}, {\"bbox\": [0, 0, 10, 10], \"width\": 100, \"height\": 50}]"},
      {"p.jsonl\n{\"id\": 0, \"reply\": \"the box is [100, 100, 400, 300].\"}\n{\"id\": 1, \"reply\": [0, 0, 1000, "
       "1000]}\n{\"id\": 2, \"reply\": \"nowhere\"}"}},
     {{"IoU", 0.5}, {"ACC@0.5", 2. / 3}, {"ACC@0.7", 1. / 3}, {"unparsed", 1}}},
};

static void layouts(void)
{
    for (size_t i = 0; i < sizeof layout_cases / sizeof *layout_cases; i++)
        expect_figures(layout_cases[i].name, &layout_cases[i].setting, layout_cases[i].want, 1e-12);
}

/* --- figures by hand --- */

static void vqa_of_ten(void)
{
    static const double want[] = {0, 0.3, 0.6, 0.9, 1, 1};
    for (int equal = 0; equal < 6; equal++) {
        char truth[256] = "t.jsonl\n{\"id\": 1, \"answers\": [";
        for (int i = 0; i < 10; i++)
            snprintf(truth + strlen(truth), sizeof truth - strlen(truth), "%s\"%s%d\"", i ? ", " : "",
                     i < equal ? "x" : "y", i < equal ? 0 : i);
        strcat(truth, "]}");
        struct setting s = {"vqa", NULL, {truth}, {"p.jsonl\n{\"id\": 1, \"reply\": \"X0\"}"}};
        struct figure figures[] = {{"accuracy", want[equal]}, {0}};
        expect_figures("ten answers", &s, figures, 1e-12);
    }
}

static const char *const animals = "t.jsonl\n"
                                   "{\"id\": 1, \"answers\": [\"a cat is on the mat\", \"a cat sits on a mat\"]}\n"
                                   "{\"id\": 2, \"answers\": [\"two dogs are running in a park\", \"dogs run\"]}\n"
                                   "{\"id\": 3, \"answers\": [\"the sky is blue\"]}";

static void cider_of_sets(void)
{
    struct setting same = {"cider",
                           NULL,
                           {animals},
                           {"p.json\n{\"1\": \"a cat is on the mat\", \"2\": \"two dogs are "
                            "running in a park\", \"3\": \"the sky is blue\"}"}};
    expect_figures("first references", &same, (struct figure[]){{"CIDEr", (6.2893 + 5.2521 + 10) / 3}, {0}}, 1e-4);
    struct setting some = {"cider", NULL, {animals}, {"p.json\n{\"1\": \"\", \"3\": \"the sky is blue\"}"}};
    expect_figures("one empty, one missing", &some, (struct figure[]){{"CIDEr", 10. / 3}, {"missing", 1}, {0}}, 1e-12);
    struct setting two = some, pair = {"cider",
                                       NULL,
                                       {"t.jsonl\n{\"id\": 1, \"answers\": [\"a cat\"]}\n{\"id\": 3, "
                                        "\"answers\": [\"the sky is blue\"]}"},
                                       {some.predictions[0]}};
    two.options = "--cider-predicted-only true";
    expect_figures("predicted alone", &two, (struct figure[]){{"CIDEr", 5}, {"missing", 1}, {0}}, 1e-12);
    expect_figures("a set of two", &pair, (struct figure[]){{"CIDEr", 5}, {"missing", 0}, {0}}, 1e-12);
    expect_figures("what is left out is said", &two, (struct figure[]){{"left_out", 1}, {0}}, 0);
    struct setting one = {
        "cider", NULL, {"t.jsonl\n{\"id\": 1, \"answers\": [\"a cat\"]}"}, {"p.json\n{\"1\": \"a cat\"}"}};
    expect_figures("one picture", &one, (struct figure[]){{"CIDEr", 0}, {0}}, 0);
}

/* Replies with the choice each rule reads in them; -1: none. */
static void letters(void)
{
    static const struct {
        const char *rule, *reply;
        int choice;
    } cases[] = {
        {"letter", "b", 1},
        {"letter", " (C) the third", 2},
        {"letter", "B. y", 1},
        {"letter", "B: y", 1},
        {"letter", "**B**", 1},
        {"letter", "A dog", -1},
        {"letter", "the answer is B", -1},
        {"letter", "E", -1}, /* there are four */
        {"letter", "", -1},
        {"ai2d", "B.", 1},
        {"ai2d", "(b)", 1},
        {"ai2d", "B y", -1},
        {"mmmu", "The answer is (B) not (C)", 2},
        {"mmmu", "A dog", 0},
        {"mmmu", "b", -1},
        {"mmmu", "of all four it must be Y", 1},
        {"mvbench", "a man is walking (B)", 0},
        {"mvbench", "(B)", 1},
        {"perceptiontest", "it is b, or C", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char truth[512] = "t.jsonl\n", predictions[512] = "p.jsonl\n", options[64]; /* a question each right choice */
        for (int right = 0; right < 4; right++) {
            snprintf(truth + strlen(truth), sizeof truth - strlen(truth),
                     "{\"id\": %d, \"type\": \"%c\", \"answers\": \"%c\", \"choices\": [\"x\", \"y\", \"z\", \"w\"]}\n",
                     right, 'A' + right, 'A' + right);
            snprintf(predictions + strlen(predictions), sizeof predictions - strlen(predictions),
                     "{\"id\": %d, \"reply\": \"%s\"}\n", right, cases[i].reply);
        }
        snprintf(options, sizeof options, "--choice-rule %s", cases[i].rule);
        struct setting s = {"choice", options, {truth}, {predictions}};
        int choice = cases[i].choice;
        struct figure want[] = {{"accuracy_A", choice == 0},      {"accuracy_B", choice == 1},
                                {"accuracy_C", choice == 2},      {"accuracy_D", choice == 3},
                                {"unparsed", choice < 0 ? 4 : 0}, {0}};
        expect_figures(cases[i].reply, &s, want, 0);
    }
}

/* What MMMU draws where a reply means nothing: only when asked, the same each time, each choice. */
static void drawn_choices(void)
{
    struct str truth = {0}, predictions = {0};
    str_puts(&truth, "t.jsonl\n");
    str_puts(&predictions, "p.jsonl\n");
    for (int i = 0; i < 400; i++) {
        str_printf(&truth, "{\"id\": %d, \"answers\": \"y\", \"choices\": [\"x\", \"y\"]}\n", i);
        str_printf(&predictions, "{\"id\": %d, \"reply\": \"?\"}\n", i);
    }
    struct setting s = {"choice", "--choice-rule mmmu", {truth.data}, {predictions.data}};
    expect_figures("not drawn", &s, (struct figure[]){{"accuracy", 0}, {"unparsed", 400}, {0}}, 0);
    s.options = "--choice-rule mmmu --choice-random 3";
    expect_figures("drawn", &s, (struct figure[]){{"accuracy", 0.5}, {0}}, 0.1);
    struct error error = {0};
    json_t *once = score(&s, &error), *again = score(&s, &error);
    EXPECT(json_equal(once, again), "%s", error.text);
    json_decref(once);
    json_decref(again);
    str_free(&truth);
    str_free(&predictions);
}

/* --- what is refused --- */

#define ROWS "t.jsonl\n{\"id\": 1, \"answers\": [\"a\"]}\n{\"id\": 2, \"answers\": [\"b\"]}\n"

static const struct {
    struct setting setting;
    const char *says;
} refused[] = {
    {{"exact", NULL, {ROWS}, {"p.jsonl\n{\"id\": 1, \"reply\": \"a\"}\n\n{\"id\": \"1\", \"reply\": \"b\"}"}},
     "p.jsonl: line 3: question 1 is answered twice"},
    {{"exact", NULL, {ROWS}, {"p.json\n[{\"id\": 1, \"reply\": \"a\"}, {\"id\": 3, \"reply\": \"b\"}]"}},
     "p.json: [1]: 3 is no question of "},
    {{"exact", NULL, {ROWS}, {"p.jsonl\n{\"id\": 1, \"said\": \"a\"}\n"}}, "has no reply, answer, caption or text"},
    {{"exact", NULL, {ROWS}, {"p.jsonl\n{\"id\": 1, \"pred\": \"b\", \"answer\": \"a\"}\n"}},
     "has a pred and no reply"},
    {{"exact", NULL, {"t.jsonl\n{\"id\": 1, \"answers\": \"a\", \"type\": [1]}"}, {"p.json\n[]"}},
     "its type must be a text"},
    {{"exact", NULL, {ROWS}, {"p.jsonl\n{\"id\": 1, \"reply\": 1.5}\n"}}, "reply must be a text"},
    {{"exact", NULL, {ROWS}, {"p.jsonl\n{\"id\": 1, \"reply\": null}\n"}}, "reply must be a text"},
    {{"exact", NULL, {ROWS}, {"p.jsonl\n{\"id\": 1, \"reply\": \"a\"}\n{\"reply\": \"b\"}\n"}}, "line 2: has no id"},
    {{"exact", NULL, {ROWS}, {"p.jsonl\n{\"reply\": \"a\"}\n{\"id\": 1, \"reply\": \"b\"}\n"}},
     "line 2: has an id, other rows have none"},
    {{"exact", NULL, {ROWS}, {"p.json\n[{\"reply\": \"a\"}]"}}, "1 rows without an id for 2 questions"},
    {{"exact", NULL, {ROWS}, {"p.json\n[{\"reply\": \"a\"}, {\"reply\": \"a\"}, {\"reply\": \"a\"}]"}},
     "[2]: rows without an id are the truth's in order, and it has 2"},
    {{"exact", NULL, {ROWS}, {"p.jsonl\n{\"id\": 1, \"reply\": \"a\"\n"}}, "p.jsonl:"},
    {{"exact", NULL, {ROWS}, {"p.json\n[1]"}}, "[0]: a row must be an object"},
    {{"exact", NULL, {ROWS}, {"p.json\n{\"a\": 3}"}}, "p.json: holds no rows that are known"},
    {{"exact", NULL, {ROWS}, {"a.json\n[]", "b.json\n[]"}}, "a.json: there is no such file in "},
    {{"exact", NULL, {"t.jsonl\n{\"id\": 1, \"answers\": \"a\"}\n{\"id\": \"1\", \"answers\": \"b\"}"}, {"p.json\n[]"}},
     "t.jsonl: line 2: question 1 is there twice"},
    {{"exact", NULL, {"t.jsonl\n{\"id\": 1, \"answers\": \"a\"}\n{\"answers\": \"b\"}"}, {"p.json\n[]"}},
     "t.jsonl: line 2: has no id"},
    {{"exact", NULL, {"t.jsonl\n{\"id\": 1, \"answers\": [0.5]}"}, {"p.json\n[]"}}, "its answers must be texts"},
    {{"exact", NULL, {"t.jsonl\n{\"id\": 1, \"answers\": []}"}, {"p.json\n[]"}}, "whose answers are not published"},
    {{"exact", NULL, {"t.json\n[]"}, {"p.json\n[]"}}, "t.json: holds no questions"},
    {{"exact", NULL, {"a.txt\n", "b.txt\n"}, {"p.json\n[]"}}, "holds no .json or .jsonl"},
    {{"anls", NULL, {"test.json\n{\"data\": [{\"questionId\": 1, \"question\": \"?\"}]}"}, {"p.json\n[]"}},
     "test.json: data[0]: has no answers; a test set whose answers are not published cannot be scored here"},
    {{"vqa", NULL, {"questions.json\n{\"questions\": [{\"question_id\": 1, \"question\": \"?\"}]}"}, {"p.json\n[]"}},
     "questions.json: questions[0]: no layout of truth that is known, or one without answers"},
    {{"vqa", NULL, {ROWS}, {"p.json\n[]"}}, "question 1 has 1 answers"},
    {{"relaxed",
      NULL,
      {"a.json\n[{\"query\": \"q\", \"label\": \"1\"}]", "b.json\n[{\"id\": 1, \"answers\": \"1\"}]"},
      {"p.json\n[]"}},
     "b.json: is of layout rows, the files before it are of ChartQA"},
    {{"relaxed",
      NULL,
      {"a.json\n[{\"query\": \"q\", \"label\": \"1\"}]"},
      {"p.json\n[{\"query\": \"r\", \"answer\": \"1\"}]"}},
     "where this one asks \"q\""},
    {{"choice", NULL, {"t.jsonl\n{\"id\": 1, \"answers\": \"D\", \"choices\": [\"x\", \"y\"]}"}, {"p.json\n[]"}},
     "question 1: answer \"D\" is not one of its choices or their letters"},
    {{"choice", NULL, {"t.jsonl\n{\"id\": 1, \"answers\": \"A\", \"choices\": [\"B\", \"A\"]}"}, {"p.json\n[]"}},
     "question 1: answer \"A\" is not one of"}, /* the letter of one, the text of another */
    {{"choice", NULL, {"t.jsonl\n{\"id\": 1, \"answers\": \"A\", \"choices\": \"xy\"}"}, {"p.json\n[]"}},
     "its choices must be an array of texts"},
    {{"choice",
      NULL,
      {"t.json\n{\"questions\": {\"?\": {\"answerTexts\": [\"x\"], \"correctAnswer\": 1, \"questionId\": \"q\"}}}"},
      {"p.json\n[]"}},
     "the right choice must be a number, from 0, of its 1 choices"},
    {{"pope", NULL, {ROWS}, {"p.json\n[]"}}, "question 1: its answer must be yes or no"},
    {{"cider", NULL, {ROWS}, {"p.json\n[{\"id\": 1, \"caption\": \"a\"}, {\"id\": 1, \"caption\": \"b\"}]"}},
     "question 1 is answered twice"},
    {{"grounding", NULL, {ROWS}, {"p.json\n[]"}}, "question 1: its answer must be one box"},
    {{"grounding", NULL, {"t.json\n[{\"bbox\": [0, 0, 5, 5]}]"}, {"p.json\n[{\"id\": 0, \"reply\": \"\"}]"}},
     "say with --grounding-bbox"},
    {{"grounding", "--grounding-bbox xyxy", {"t.json\n[{\"bbox\": [9, 9, 5, 5]}]"}, {"p.json\n[]"}}, "is empty"},
    {{"grounding",
      "--grounding-scale 1000",
      {"t.jsonl\n{\"id\": 1, \"answers\": [0, 0, 5, 5]}"},
      {"p.json\n{\"1\": \"[0, 0, 9, 9]\"}"}},
     "--grounding-scale needs its picture's width"},
};

static void refusals(void)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct error error = {0};
        json_t *figures = score(&refused[i].setting, &error);
        EXPECT(!figures && strstr(error.text, refused[i].says), "case %zu: \"%s\", want \"%s\"", i, error.text,
               refused[i].says);
        json_decref(figures);
    }
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"layouts", layouts},
                                     {"vqa_of_ten_answers", vqa_of_ten},
                                     {"cider_of_sets", cider_of_sets},
                                     {"letters", letters},
                                     {"drawn_choices", drawn_choices},
                                     {"refusals", refusals},
                                     {0}});
}
