/* Accuracy, counted class by class where the samples are, summed over the ranks. */
#ifndef NN_TALLY_H
#define NN_TALLY_H

#include "nn/score.h"

struct tally {
    int64_t classes, *seen, *hit1, *hit5; /* [classes] each */
};

void tally_open(struct tally *tally, int64_t classes);
void tally_close(struct tally *tally);
/* A sample of this class, which `rank` classes are ahead of; NEVER: it cannot be named. */
#define NEVER INT64_MAX
void tally_add(struct tally *tally, int32_t label, int64_t rank);
/* (all) Once: the counts become those of all ranks. */
struct classification_scores tally_scores(struct tally *tally, const struct world *world);

#endif
