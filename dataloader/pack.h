/* pe-dataloader pack: raw sources into shards.
 *
 * Items of all sources stand in one order; shard k takes items [k * samples_per_shard, (k + 1) * samples_per_shard).  So shards do
 * not depend on each other: rank r packs shards r, r + size, ..., the result is byte-identical for any number of ranks, and a pack
 * that was killed goes on with the shards that are missing.  What cannot be used goes to quarantine.jsonl. */
#ifndef DATALOADER_PACK_H
#define DATALOADER_PACK_H

#include "config/options.h"
#include "dist/world.h"

struct pack_config {
    struct option_list input;
    char *output, *format;
    int64_t samples_per_shard, resize, quality, max_pixels, threads;
    double max_bad_fraction;
};

extern const struct option_program pack_program;

int pack_run(const struct world *world, const struct pack_config *config, struct error *error);

#endif
