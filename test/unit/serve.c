/* Work over a generator, on a tiny Perception LM with drawn weights: items that fail, are slow, do not fit, ask for
 * several texts or none; a stop in the middle; rows torn, of another recipe, edited by hand. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/stop.h"
#include "base/str.h"
#include "data/collection.h"
#include "models/plm_files.h"
#include "serve/job.h"
#include "serve/rows.h"
#include "test/harness.h"

static const struct world world = {.size = 1, .node_ranks = 1};

/* --- a model --- */

static char *path_in_folder(const char *name)
{
    return fs_join(test_folder(), name);
}

/* The folder of a tiny model, written once. */
static char *model_folder(void)
{
    struct error error = {0};
    struct plm_config config;
    struct plm plm;
    char *folder = path_in_folder("model"), *path = fs_join(folder, "config.json"),
         *weights = fs_join(folder, "model.safetensors");
    if (!fs_exists(weights)) {
        int rc = fs_make_folders(folder, &error);
        if (rc == 0) rc = plm_config_load(&config, "test/cases/plm", &error);
        EXPECT(rc == 0, "%s", error.text);
        json_t *json = plm_config_json(&config);
        plm_open(&plm, &config);
        plm_init(&plm, 7);
        rc = json_write(path, json, &error);
        if (rc == 0) rc = plm_save(&plm, weights, NULL, &error);
        EXPECT(rc == 0, "%s", error.text);
        plm_close(&plm);
        json_decref(json);
    }
    free(path), free(weights);
    return folder;
}

/* --- a job --- */

enum { ITEMS = 12, FAILS = 3, SLOW = 4, SLOW_ONCE = 5, TOO_LONG = 6, SILENT = 7, REFUSED = 8 };

struct trial {
    const char *output, *seed;
    int64_t sequences, rows, attempts;
    int stop_at;     /* a signal comes while this item is decoded; 0: none does */
    const char *why; /* of the item that fails; NULL: "no picture" */
    const struct collection *data;
    int64_t asked; /* items */
};

static int decode(const void *context, struct fed *f, struct error *error)
{
    const struct trial *t = context;
    const size_t tile = 32 * 32 * 3;
    if (t->stop_at && f->item == t->stop_at) raise(SIGUSR1);
    if (f->item == FAILS) return error_set(error, ERROR_FAILED, "%s", t->why ? t->why : "no picture");
    if (f->item == SLOW || (f->item == SLOW_ONCE && !f->tried)) return error_set(error, ERROR_SLOW, "took too long");
    f->count = 1 + (int)(f->item % 3);
    f->pixels = mem_alloc((size_t)f->count, tile);
    for (size_t i = 0; i < (size_t)f->count * tile; i++) f->pixels[i] = (uint8_t)(i * 7 + (size_t)f->item * 31);
    return 0;
}

/* A text of all pictures, one of each picture, and for one item one that no context holds. */
static int ask(void *context, struct job_item *item, struct error *error)
{
    struct trial *t = context;
    int64_t rows = lm_picture_rows(item->lm);
    t->asked++;
    if (item->number == REFUSED) return error_set(error, ERROR_FAILED, "nothing to ask");
    json_object_set_new(item->row, "texts", json_array());
    if (item->number == SILENT) return 0;
    job_ask(item, &(struct turn){TURN_USER, "All?", item->fed->count * rows}, 1, 0);
    for (int i = 0; i < item->fed->count; i++) job_ask(item, &(struct turn){TURN_USER, "This?", rows}, 1, i);
    if (item->number == TOO_LONG) {
        char *text = mem_zalloc(2001, 1);
        job_ask(item, &(struct turn){TURN_USER, memset(text, 'x', 2000)}, 1, 0);
        free(text);
    }
    return 0;
}

static void finish(void *context, struct job_item *item)
{
    (void)context;
    for (int i = 0; i < item->count; i++) {
        json_t *entry = json_object();
        job_describe(&item->texts[i], entry);
        json_array_append_new(json_object_get(item->row, "texts"), entry);
    }
}

static int run(struct trial *t, struct error *error)
{
    char *model = model_folder();
    struct lm_settings config = {.model = model,
                                 .tokenizer = "test/golden/bpe",
                                 .weights = "fp32",
                                 .new_tokens = 5,
                                 .sequences = t->sequences,
                                 .rows = t->rows,
                                 .context = 200,
                                 .temperature = 0.7,
                                 .top_p = 1,
                                 .seed = 3,
                                 .machine = {.device = "cpu", .precision = "fp32", .threads = 1}};
    struct lm lm;
    json_t *recipe = json_pack("{s:s}", "seed", t->seed);
    struct feed_config feed = {.decode = decode, .context = t, .threads = 2, .attempts = 2};
    struct job job = {.name = "said",
                      .verb = "said",
                      .output = t->output,
                      .items = ITEMS,
                      .texts = 16,
                      .attempts = t->attempts,
                      .recipe = recipe,
                      .data = t->data,
                      .feed = &feed,
                      .ask = ask,
                      .finish = finish,
                      .context = t};
    int rc = lm_open(&lm, &world, &config, true, error);
    if (rc == 0) rc = job_run(&job, &lm, error);
    lm_close(&lm);
    json_decref(recipe);
    free(model);
    return rc;
}

static char *read_all(const char *folder, const char *name)
{
    struct error error = {0};
    char *path = fs_join(folder, name), *text = NULL;
    size_t len;
    EXPECT(fs_read(path, &text, &len, &error) == 0, "%s", error.text);
    free(path);
    return text ? text : mem_strdup("");
}

static int count_lines(const char *text)
{
    int count = 0;
    for (; *text; text++) count += *text == '\n';
    return count;
}

/* --- stopping: first of all cases, as it forks, which threads do not outlive --- */

static void stopped(void)
{
    struct error error = {0};
    char *one = path_in_folder("stopped"), *two = path_in_folder("whole");
    int status = 0;
    free(model_folder());
    pid_t child = fork();
    if (!child) {
        struct trial t = {.output = one, .seed = "a", .sequences = 2, .rows = 8, .attempts = 1, .stop_at = 9};
        stop_catch();
        run(&t, &error);
        _exit(error.code);
    }
    waitpid(child, &status, 0);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == ERROR_STOPPED, "status %d", status);
    char *begun = read_all(one, "said-begun-00000.jsonl"), *rows = read_all(one, "said-rows-00000.jsonl");
    int done = count_lines(rows), put_back = 0;
    for (const char *at = begun; (at = strchr(at, '-')); at++) put_back++;
    EXPECT(done < ITEMS && put_back && count_lines(begun) - 2 * put_back == done,
           "%d lines begun, %d of them back, %d done", count_lines(begun), put_back, done);
    /* had they not been put back, one attempt would be all they have */
    struct trial again = {.output = one, .seed = "a", .sequences = 16, .rows = 512, .attempts = 1};
    struct trial whole = {.output = two, .seed = "a", .sequences = 2, .rows = 8, .attempts = 1};
    EXPECT(run(&again, &error) == 0, "%s", error.text);
    EXPECT(run(&whole, &error) == 0, "%s", error.text);
    char *got = read_all(one, "said.jsonl"), *want = read_all(two, "said.jsonl");
    EXPECT(!strcmp(got, want), "rows after a stop:\n%swant:\n%s", got, want);
    free(begun), free(rows), free(got), free(want), free(one), free(two);
}

/* --- rows --- */

static void kinds(void)
{
    struct error error = {0};
    char *folder = path_in_folder("kinds"), *wide = path_in_folder("wide");
    struct trial t = {.output = folder, .seed = "a", .sequences = 2, .rows = 8, .attempts = 2};
    struct trial other = {.output = wide, .seed = "a", .sequences = 16, .rows = 512, .attempts = 2};
    EXPECT(run(&t, &error) == 0, "%s", error.text);
    EXPECT(run(&other, &error) == 0, "%s", error.text);
    char *rows = read_all(folder, "said.jsonl"), *bad = read_all(folder, "said-quarantine.jsonl"),
         *same = read_all(wide, "said.jsonl");
    EXPECT(count_lines(rows) == ITEMS - 4, "%s", rows);
    EXPECT(!strcmp(rows, same), "another batch:\n%s\n%s", rows, same);
    EXPECT(!strcmp(bad,
                   "{\"error\":\"no picture\",\"item\":3}\n{\"error\":\"tried 2 times: took too long\",\"item\":4}\n"
                   "{\"error\":\"a prompt of 240 tokens in a context of 200 leaves no room for an "
                   "answer\",\"item\":6}\n{\"error\":\"nothing to ask\",\"item\":8}\n"),
           "%s", bad);
    json_t **list;
    char *path = fs_join(folder, "said.jsonl");
    EXPECT(rows_read(path, ITEMS, &list, &error) == 0, "%s", error.text);
    for (int i = 0; i < ITEMS; i++) {
        const json_t *texts = json_object_get(list[i], "texts");
        if (list[i])
            EXPECT(json_array_size(texts) == (i == SILENT ? 0 : (size_t)(2 + i % 3)), "item %d has %zu texts", i,
                   json_array_size(texts));
    }
    for (int i = 0; i < ITEMS; i++) { /* drawn weights write damaged bytes too: none of their texts is lost */
        const json_t *entry;
        size_t k;
        json_array_foreach (json_object_get(list[i], "texts"), k, entry)
            EXPECT(json_string_value(json_object_get(entry, "text")), "item %d, text %zu is not there", i, k);
    }
    rows_free_list(list, ITEMS);
    int64_t asked = t.asked;
    EXPECT(run(&t, &error) == 0 && t.asked == asked, "run again, it asked for %ld items", (long)(t.asked - asked));
    free(path), free(rows), free(bad), free(same), free(folder), free(wide);
}

/* What an error quotes need not be UTF-8: the item is in the quarantine all the same, and is not tried again. */
static void quoted(void)
{
    struct error error = {0};
    char *folder = path_in_folder("quoted");
    struct trial t = {
        .output = folder, .seed = "a", .sequences = 16, .rows = 512, .attempts = 2, .why = "caf\xe9.mp4: no picture"};
    EXPECT(run(&t, &error) == 0, "%s", error.text);
    char *bad = read_all(folder, "said-quarantine.jsonl");
    EXPECT(strstr(bad, "{\"error\":\"caf\\\\xe9.mp4: no picture\",\"item\":3}\n"), "%s", bad);
    int64_t asked = t.asked;
    EXPECT(run(&t, &error) == 0 && t.asked == asked, "run again, it asked for %ld items", (long)(t.asked - asked));
    free(bad), free(folder);
}

/* A shard that is damaged as a whole ends the job.  That uses up nobody's attempts: whole again, all items are done. */
static void damaged(void)
{
    static const char index[] = "{\"format\": \"percept-dataset\", \"version\": 1, \"samples\": 12, \"shards\": "
                                "[{\"file\": \"s\", \"samples\": 12, \"bytes\": 4096, \"xxh3\": \"0\"}]}";
    struct error error = {0};
    struct dataset set;
    char *folder = path_in_folder("broken"), *path = fs_join(folder, "dataset.json"), *out = path_in_folder("unwhole");
    EXPECT(fs_make_folders(folder, &error) == 0 && fs_write(path, index, strlen(index), &error) == 0 &&
               dataset_list(&set, folder, &error) == 0,
           "%s", error.text);
    struct collection data = {.sets = &set, .count = 1, .samples = ITEMS};
    struct trial t = {.output = out, .seed = "a", .sequences = 2, .rows = 8, .attempts = 1, .data = &data};
    EXPECT(run(&t, &error) < 0 && strstr(error.text, "s: is missing"), "%s", error.text);
    error = (struct error){0};
    t.data = NULL;
    EXPECT(run(&t, &error) == 0, "%s", error.text);
    char *bad = read_all(out, "said-quarantine.jsonl");
    EXPECT(count_lines(bad) == 4 && !strstr(bad, "ended the program"), "%s", bad);
    dataset_close(&set);
    free(bad), free(folder), free(path), free(out);
}

static void torn(void)
{
    struct error error = {0};
    char *folder = path_in_folder("kinds"), *rows = read_all(folder, "said-rows-00000.jsonl"),
         *want = read_all(folder, "said.jsonl");
    char *path = fs_join(folder, "said-rows-00000.jsonl"), *end = rows + strlen(rows) - 40;
    struct trial t = {.output = folder, .seed = "a", .sequences = 2, .rows = 8, .attempts = 9};
    struct str left = {0};
    str_puts(&left, "0\n"); /* a number is no row; the last line is cut */
    str_append(&left, rows, (size_t)(end - rows));
    EXPECT(fs_write(path, left.data, left.len, &error) == 0, "%s", error.text);
    str_free(&left);
    EXPECT(run(&t, &error) == 0 && t.asked <= 1, "%s, %ld asked", error.text, (long)t.asked);
    char *got = read_all(folder, "said.jsonl");
    EXPECT(!strcmp(got, want), "after a torn line:\n%swant:\n%s", got, want);
    struct trial other = {.output = folder, .seed = "b", .sequences = 2, .rows = 8, .attempts = 2};
    EXPECT(run(&other, &error) < 0 && strstr(error.text, "made with other data, model or options (seed)"), "%s",
           error.text);
    free(got), free(path), free(rows), free(want), free(folder);
}

/* Rows as people leave them: read, or the line named. */
static void edited(void)
{
    static const struct {
        const char *text, *error; /* NULL: items 0 and 1 are read */
    } cases[] = {{"{\"item\":0}\n{\"item\":1}\n", NULL},
                 {"{\"item\":0}\n{\"item\":1}", NULL},
                 {"\xef\xbb\xbf{\"item\":0}\r\n\r\n{\"item\":1}\r\n", NULL},
                 {"{\"item\":0}\n{\"item\":1,}\n", "line 2: "},
                 {"{\"item\":0}\n{\"item\":2}\n", "line 2: not a row of one of the 2 items"},
                 {"{\"item\":0}\n[7]\n", "line 2: not a row"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = {0};
        json_t **list;
        char *path = path_in_folder("edited.jsonl");
        EXPECT(fs_write(path, cases[i].text, strlen(cases[i].text), &error) == 0, "%s", error.text);
        int rc = rows_read(path, 2, &list, &error);
        if (cases[i].error)
            EXPECT(rc < 0 && strstr(error.text, cases[i].error), "case %zu: %s", i, error.text);
        else {
            EXPECT(rc == 0 && list[0] && list[1], "case %zu: %s", i, error.text);
            if (rc == 0) rows_free_list(list, 2);
        }
        free(path);
    }
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"job_stopped_and_resumed", stopped},
                                     {"job_kinds_of_items", kinds},
                                     {"job_error_that_is_no_utf8", quoted},
                                     {"job_ended_by_a_damaged_shard", damaged},
                                     {"job_torn_and_other_recipe", torn},
                                     {"rows_edited", edited},
                                     {0}});
}
