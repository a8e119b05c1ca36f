/* FCOS (Tian et al. 2019) on the simple feature pyramid: two towers of convolutions, shared by all levels, that say of
 * every cell which class is there, how far the edges of its box are, and how near the cell is to its middle.
 *
 *   level -> (3x3 -> group norm, 32 groups -> ReLU) * convs -> 3x3: a logit for each class
 *   level -> (3x3 -> group norm, 32 groups -> ReLU) * convs -> 3x3 -> ReLU: left, upper, right, lower distance by the
 *                                                              level's stride;  3x3: a logit of centre-ness
 *
 * Rules are torchvision 0.29's (models/detection/fcos.py); cells, targets and boxes are in nn/cells.h. */
#ifndef NN_FCOS_H
#define NN_FCOS_H

#include "nn/cells.h"
#include "nn/pyramid.h"

enum { FCOS_GROUPS = 32 };

struct fcos {
    int64_t width, channels, convs, classes; /* width: of the encoder's map; channels: a multiple of FCOS_GROUPS */
    int64_t patch;                           /* pixels a cell of that map is wide and high, even */
    struct extent size;                      /* pixels of a picture */
};

/* Its parameters in order (those of the pyramid first), and how many; list may be NULL. */
int fcos_parameters(const struct fcos *f, struct named_shape *list);
/* By its name: towers N(0, 0.01) with biases of 0 and norms of 1 and 0, the bias of the classes -ln 99 (1 in 100). */
void fcos_draw(struct parameter *parameter, uint64_t seed);

/* What is true of the cells, in device memory: level after level, of each level picture after picture. */
struct fcos_truth {
    const int32_t *classes;              /* -1: none */
    const float *distances, *centreness; /* [cells, 4] pixels; [cells], -1: none */
};
/* [pictures, 1], float: weight * (focal + GIoU + centre-ness), summed over the cells of a picture.  x [pictures *
 * cells, width], which needs no gradient.  Several segments of the tape. */
struct tensor *fcos_loss(struct tape *t, const struct fcos *f, struct tensor *const *p, struct tensor *x,
                         int64_t pictures, const struct fcos_truth *truth, float weight);

/* What the head says, level by level: logits [pictures * cells, classes], distances [.., 4] by the level's side,
 * centre-ness [.., 1].  They live until take returns. Not recorded. */
void fcos_predict(struct tape *t, const struct fcos *f, struct tensor *const *p, struct tensor *x, int64_t pictures,
                  void (*take)(void *context, int level, const struct tensor *logits, const struct tensor *distances,
                               const struct tensor *centreness),
                  void *context);

#endif
