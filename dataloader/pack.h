/* pe-dataloader pack: raw sources into shards.
 *
 * Items of all sources stand in one order; shard k takes items [k * samples_per_shard, (k + 1) * samples_per_shard). 
 * So shards do not depend on each other: rank r packs shards r, r + size, ..., the result is byte-identical for any
 * number of ranks, and a pack that was killed goes on with the shards that are missing.  What cannot be used goes to
 * quarantine.jsonl. */
#ifndef DATALOADER_PACK_H
#define DATALOADER_PACK_H

#include "config/options.h"
#include "data/image.h"
#include "data/record.h"
#include "data/source.h"
#include "dist/world.h"

struct pack_settings {
    struct option_list input;
    char *output, *format, *video, *frame_rule;
    int64_t samples_per_shard, resize, quality, max_pixels, frames, threads;
    double max_bad_fraction, frame_rate, video_seconds;
};

extern const struct option_program pack_program;

int pack_run(const struct world *world, const struct pack_settings *config, struct error *error);

/* Shrink a picture so that its longer side is at most `longest`; 0: leave it. */
void pack_shrink(struct image *image, int64_t longest);
/* Media of a video sample: fills media, width, height and frames of the record, and appends its media bytes; notes what
 * the file is in the metadata. */
int video_record(const struct pack_settings *config, struct sample *sample, struct record *record, struct str *media,
                 struct error *error);

#endif
