/* Which samples a rank sees, batch by batch.
 *
 * Samples that stand alone are dealt out to ranks in turn, a batch each.  With groups (the frames of a sequence) a
 * batch never crosses a group, and all batches of a group are one rank's, in order; the group with the most pixels goes
 * first, each to the rank that has the fewest so far.  A rank's samples ascend either way. */
#ifndef SERVE_DEAL_H
#define SERVE_DEAL_H

#include "base/extent.h"

/* Samples that belong together: the next `count` of a source. */
struct picture_group {
    int64_t count;
    struct extent stored, size; /* pixels of each of its pictures: as they are stored, and as the encoder gets them */
};

/* A batch: samples [first, first + count). */
struct picture_span {
    int64_t first, count;
    struct extent stored, size; /* as of its group; stored is zero where samples stand alone: as they come */
};

struct deal {
    int64_t samples, batch;
    struct extent size;
    int ranks;
    int64_t group_count;        /* 0: samples stand alone */
    int64_t most, most_pixels;  /* samples of the largest batch of any rank; pixels, a picture a sample */
    struct picture_span *spans; /* of groups; those of a rank begin at starts [ranks + 1] */
    int64_t *starts;
};

/* batch: samples at a time when their pictures have this size; in groups of another size as many as have as many
 * pixels, at least one.  groups [group_count] have all samples; NULL: each stands alone and has this size. */
void deal_open(struct deal *deal, int64_t samples, struct extent size, int64_t batch, int ranks,
               const struct picture_group *groups, int64_t group_count);
void deal_close(struct deal *deal);

int64_t deal_batches(const struct deal *deal, int rank);
/* Batch `number` of a rank; count 0 behind its last. */
struct picture_span deal_span(const struct deal *deal, int rank, int64_t number);

#endif
