/* The optimizer's state through checkpoint files: written by any number of ranks, read by any other, and refused when a
 * part is not there. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "models/moments.h"
#include "test/harness.h"

enum { BLOCKS = 5 };

/* A rank of so many, without the others: nothing here asks them. */
struct rank {
    struct world world;
    struct device device;
    struct comm comm;
    struct parameters parameters;
    struct optimizer optimizer;
};

static void rank_open(struct rank *r, int rank, int size, int64_t blocks)
{
    struct error error = {0};
    *r = (struct rank){.world = {.rank = rank, .size = size}, .optimizer = {.sharded = true}};
    if (device_open(&r->device, "cpu", "fp32", NULL, 1, 0, &error) < 0 ||
        comm_open(&r->comm, &r->world, &r->device, "exact", &error) < 0)
        EXPECT(0, "%s", error.text);
    parameters_add(&r->parameters, "weight", 2, (int64_t[]){blocks, SQUARE_BLOCK});
    parameters_allocate(&r->parameters);
    parameters_place(&r->parameters, &r->device, true);
    optimizer_open(&r->optimizer, &r->comm, &r->parameters);
}

static void rank_close(struct rank *r)
{
    optimizer_close(&r->optimizer);
    parameters_free(&r->parameters);
    comm_close(&r->comm);
    device_close(&r->device);
}

/* Files of `size` ranks over a store of `blocks`; returns their checksums. */
static json_t *saved(const char *folder, int size, int64_t blocks)
{
    json_t *sums = json_object();
    struct checkpoint_writer w = {.aside = (char *)folder};
    for (int rank = 0; rank < size; rank++) {
        struct rank r;
        struct error error = {0};
        rank_open(&r, rank, size, blocks);
        for (int64_t i = r.optimizer.first; i < r.optimizer.end; i++)
            r.optimizer.m[i - r.optimizer.first] = (float)i, r.optimizer.v[i - r.optimizer.first] = (float)-i;
        EXPECT(moments_save(&r.optimizer, &w, sums, &error) == 0, "%s", error.text);
        rank_close(&r);
    }
    return sums;
}

/* Read by each of `size` ranks; says: what those say that lack something, NULL: none does. */
static void loaded(const char *folder, const json_t *files, int size, const char *says)
{
    int refused = 0;
    for (int rank = 0; rank < size; rank++) {
        struct rank r;
        struct error error = {0};
        rank_open(&r, rank, size, BLOCKS);
        const struct optimizer *o = &r.optimizer;
        if (moments_load(&r.optimizer, folder, files, &error) < 0) {
            refused++;
            EXPECT(says && strstr(error.text, says), "rank %d of %d: %s", rank, size, error.text);
        } else
            for (int64_t i = o->first; i < o->end; i++)
                if (o->m[i - o->first] != (float)i || o->v[i - o->first] != (float)-i) {
                    EXPECT(0, "rank %d of %d: moment %ld is %g", rank, size, (long)i, (double)o->m[i - o->first]);
                    break;
                }
        rank_close(&r);
    }
    EXPECT(!says == !refused, "%d of %d ranks refuse", refused, size);
}

static void any_ranks(void)
{
    for (int from = 1; from <= BLOCKS + 1; from++) {
        json_t *files = saved(test_folder(), from, BLOCKS);
        EXPECT(json_object_size(files) == (size_t)(from < BLOCKS ? from : BLOCKS), "%zu files of %d ranks",
               json_object_size(files), from);
        for (int to = 1; to <= BLOCKS + 1; to++) loaded(test_folder(), files, to, NULL);
        json_decref(files);
    }
}

/* Stores were once longer than their parameters. */
static void longer_store(void)
{
    json_t *files = saved(test_folder(), 4, 16);
    for (int to = 1; to <= 3; to++) loaded(test_folder(), files, to, NULL);
    json_decref(files);
}

static void missing_part(void)
{
    json_t *files = saved(test_folder(), 3, BLOCKS), *none = json_object();
    json_object_del(files, "optimizer-00001-of-00003.safetensors");
    loaded(test_folder(), files, 1, "2 files of optimizer state do not hold moment 4096 of 20480");
    loaded(test_folder(), files, 2, "do not hold moment");
    loaded(test_folder(), none, 2, "0 files of optimizer state do not hold moment");
    json_decref(files);
    json_decref(none);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"moments_of_any_ranks", any_ranks},
                                     {"moments_of_a_longer_store", longer_store},
                                     {"moments_missing", missing_part},
                                     {0}});
}
