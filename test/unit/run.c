/* What a training run is made of: its plan, the figures between two lines of its log, rows that come once, checkpoints
 * that are told apart. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "run/figures.h"
#include "run/folder.h"
#include "run/plan.h"
#include "test/harness.h"

static void plan(void)
{
    struct plan p, all[3];
    struct error e = {0};
    struct plan_wish wish = {.epochs = 2, .batch = 24, .slices = 6};
    EXPECT(plan_make(&p, &wish, 100, 0, 1, &e) == 0 && p.steps == 9 && p.mine == 6 && p.rows == 4,
           "%s: %ld steps, %ld slices of %ld", e.text, (long)p.steps, (long)p.mine, (long)p.rows);
    int64_t next = 0;
    for (int r = 0; r < 3; r++) {
        EXPECT(plan_make(&all[r], &wish, 100, r, 3, &e) == 0 && all[r].first == next && all[r].local == all[r].mine * 4,
               "%s", e.text);
        next = all[r].first + all[r].mine;
    }
    EXPECT(next == 6, "%ld slices on 3 ranks", (long)next);
    /* sample 5 of step 4 (from 0): place 4 * 24 + 5 = 101 of the stream, whoever holds it */
    struct place here = plan_place(&p, 4, 1, 1), there = plan_place(&all[0], 4, 1, 1);
    EXPECT(here.epoch == 1 && here.at == 1 && there.epoch == 1 && there.at == 1, "epoch %lu, place %lu",
           (unsigned long)here.epoch, (unsigned long)here.at);
    EXPECT(!plan_epochs_end(&p, 1, 4) && plan_epochs_end(&p, 1, 5) && !plan_epochs_end(&p, 0, 5) &&
               plan_epochs_end(&p, 0.5, 3),
           "ends of epochs");
    EXPECT(plan_make(&p, &(struct plan_wish){.batch = 8}, 100, 0, 1, &e) < 0 &&
               strstr(e.text, "--steps or as --epochs"),
           "%s", e.text);
    struct error uneven = {0};
    EXPECT(plan_make(&p, &(struct plan_wish){.steps = 1, .batch = 8, .slices = 3}, 100, 0, 1, &uneven) < 0 &&
               uneven.code == ERROR_USAGE,
           "%s", uneven.text);
}

static void figures(void)
{
    struct figures f = {0};
    struct str line = {0};
    json_t *row = json_object();
    for (int step = 1; step <= 4; step++) {
        figures_set(&f, "loss", "Loss", FIGURE_MEAN, step);
        figures_set(&f, "tokens", NULL, FIGURE_RATE, 100);
        figures_set(&f, "scale", "Scale", FIGURE_LAST, 10 * step);
        figures_sum(&f);
    }
    figures_report(&f, 4, 2, &line, row);
    EXPECT(json_real_value(json_object_get(row, "loss")) == 2.5 &&
               json_real_value(json_object_get(row, "last_loss")) == 4,
           "mean and last");
    EXPECT(json_real_value(json_object_get(row, "tokens_per_second")) == 200 &&
               json_real_value(json_object_get(row, "scale")) == 40,
           "rate and last");
    EXPECT(!strcmp(line.data, " Loss: 4 (2.5) Scale: 40"), "\"%s\"", line.data);
    EXPECT(f.list[0].sum == 0, "sums begin anew");
    json_decref(row);
    str_free(&line);
}

/* Rows of metrics.jsonl: those of later steps than the one a run goes on from are cut off, and so is a torn one. */
static void rows(void)
{
    char path[300], *text;
    size_t len;
    struct metrics m;
    struct error e = {0};
    snprintf(path, sizeof path, "%s/metrics.jsonl", test_folder());
    EXPECT(metrics_open(&m, test_folder(), 0, &e) == 0, "%s", e.text);
    for (int step = 1; step <= 5; step++) metrics_write(&m, "train", step, json_pack("{s:f}", "loss", 1. / step));
    metrics_write(&m, "val", 5, json_pack("{s:f}", "recall", .5));
    fputs("{\"step\":6,\"tor", m.lines);
    metrics_close(&m);
    EXPECT(metrics_open(&m, test_folder(), 3, &e) == 0, "%s", e.text);
    metrics_write(&m, "train", 4, json_pack("{s:f}", "loss", .25));
    metrics_close(&m);
    EXPECT(fs_read(path, &text, &len, &e) == 0, "%s", e.text);
    int line = 0;
    for (char *at = text; *at; at = strchr(at, '\n') + 1) {
        json_t *row = json_loads(at, JSON_DISABLE_EOF_CHECK, NULL);
        EXPECT(json_integer_value(json_object_get(row, "step")) == ++line, "row %d: %.40s", line, at);
        EXPECT(json_is_string(json_object_get(row, "split")) && json_real_value(json_object_get(row, "time")) > 1.7e9,
               "%.60s", at);
        json_decref(row);
    }
    EXPECT(line == 4, "%d rows", line);
    free(text);
}

/* A checkpoint of one file, "weights". */
static void write_checkpoint(const struct world *world, int64_t step, int64_t keep)
{
    struct checkpoint_writer w;
    struct error e = {0};
    json_t *sums = json_object(), *state = json_pack("{s:I}", "step", (json_int_t)step);
    EXPECT(checkpoint_begin(&w, world, test_folder(), step, &e) == 0, "%s", e.text);
    char *path = checkpoint_file(&w, "weights");
    EXPECT(fs_write(path, "abc", 3, &e) == 0, "%s", e.text);
    json_object_set_new(sums, "weights", json_string("78af5f94892f3950")); /* XXH3 of "abc" */
    EXPECT(checkpoint_commit(&w, world, 0, sums, state, keep, &e) == 0, "%s", e.text);
    json_decref(state);
    free(path);
}

static void damage(int64_t step)
{
    char path[300];
    struct error e = {0};
    snprintf(path, sizeof path, "%s/checkpoints/step-%08ld/weights", test_folder(), (long)step);
    EXPECT(fs_write(path, "abd", 3, &e) == 0, "%s", e.text);
}

static int64_t found(const struct world *world, struct error *error)
{
    char *folder = NULL;
    json_t *state = NULL;
    int64_t step = checkpoint_find(world, test_folder(), &folder, &state, error) == 1
                       ? json_integer_value(json_object_get(state, "step"))
                       : -1;
    free(folder);
    json_decref(state);
    return step;
}

static void checkpoints(void)
{
    struct world world = {.size = 1, .node_ranks = 1};
    struct error e = {0};
    char path[300], latest[300];
    EXPECT(found(&world, &e) == -1 && !e.code, "there is none: %s", e.text);
    for (int64_t step = 1; step <= 4; step++) write_checkpoint(&world, step, 3);
    EXPECT(found(&world, &e) == 4, "%s", e.text);
    damage(4);
    EXPECT(found(&world, &e) == 3, "%s", e.text);
    snprintf(path, sizeof path, "%s/checkpoints/step-00000009.tmp", test_folder());
    EXPECT(fs_make_folders(path, &e) == 0, "%s", e.text);
    write_checkpoint(&world, 3, 1); /* written anew beside the damaged one */
    EXPECT(found(&world, &e) == 3, "the one just written was removed: %s", e.text);
    EXPECT(!fs_exists(path), "what a killed save left is still there");
    snprintf(path, sizeof path, "%s/checkpoints/step-00000002", test_folder());
    EXPECT(!fs_exists(path), "one is kept");
    damage(3);
    EXPECT(found(&world, &e) == -1 && strstr(e.text, "none of 2 checkpoints is sound"), "%s", e.text);
    write_checkpoint(&world, 5, 0);
    snprintf(path, sizeof path, "%s/checkpoints/step-00000003", test_folder());
    EXPECT(checkpoint_supersede(test_folder(), path, &(struct error){0}) == 0, "going on from 3");
    snprintf(latest, sizeof latest, "%s/checkpoints/latest", test_folder());
    EXPECT(fs_same(latest, path), "latest is not where the run goes on");
}

int main(int argc, char **argv)
{
    return test_main(
        argc, argv,
        (struct test[]){{"plan", plan}, {"figures", figures}, {"rows", rows}, {"checkpoints", checkpoints}, {0}});
}
