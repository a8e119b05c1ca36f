/* Several data sets as one, packed or files (dataset.h): sample numbers run through them in order. */
#ifndef DATA_COLLECTION_H
#define DATA_COLLECTION_H

#include "data/dataset.h"
#include "data/media.h"

struct collection {
    struct dataset *sets;
    int64_t count, samples, videos;
    int64_t *shares, epoch; /* samples an epoch takes of each set, and in all */
};

int collection_open(struct collection *collection, char *const *folders, int64_t count, struct error *error);
void collection_close(struct collection *collection);
/* Before reading: shards are not compared with their checksums (--verify-shards off). */
void collection_trust(struct collection *collection);
/* An epoch takes factor x samples of each set (one factor a set): more than once, or a part that changes from epoch to
 * epoch. */
int collection_weigh(struct collection *collection, char *const *factors, int64_t count, struct error *error);

/* Which sample is at this place of the epoch: a keyed permutation. */
int64_t collection_draw(const struct collection *collection, uint64_t seed, uint64_t epoch, uint64_t place);
/* dataset_read, dataset_read_texts and dataset_reach of that sample. */
int collection_read(const struct collection *collection, int64_t sample, struct record *record, struct error *error);
int collection_read_texts(const struct collection *collection, int64_t sample, struct record *record,
                          struct error *error);
int collection_reach(const struct collection *collection, int64_t sample, struct error *error);
/* Pictures a sample has at most: 1 where the data has no video. */
int64_t collection_pictures(const struct collection *collection, const struct media_options *media);
/* Of its data sets in their order (dataset_identity); shares do not count. */
uint64_t collection_identity(const struct collection *collection);

#endif
