/* The symmetric InfoNCE loss over the global batch (PE section 2.1; CLIP), without its N x N matrix.
 *
 *   l[i, j] = scale <image_i, text_j>
 *   loss = 1 / 2N sum_i ( lse_j l[i, j] + lse_j l[j, i] - 2 l[i, i] )
 *
 * The batch is cut into slices; ranks share them as in dist/share.h.  Text blocks of one slice visit all ranks in turn;
 * logits exist as strips [strip rows, one slice of columns], formed once for the softmax statistics and once for the
 * gradient. Partial results are combined in an order fixed by the slices alone, so loss and gradients are bit-identical
 * on any number of ranks, and equal the full-matrix loss up to rounding.  Where sums need not be exact (dist/comm.h) a
 * device that wants larger products joins slices.
 *
 * Distillation (PE section 2.4, appendix C.3) adds, or puts in its place, the divergence of the softmaxes of these
 * similarities from a teacher's, q of 200 <image'_i, text'_j>:   1 / 2N sum_i ( KL(q[i, :] || p[i, :]) + KL(q[:, i] ||
 * p[:, i]) ). */
#ifndef NN_CONTRASTIVE_H
#define NN_CONTRASTIVE_H

#include "dist/comm.h"

enum { CONTRASTIVE_LOSS, CONTRASTIVE_HITS, CONTRASTIVE_SCALE, CONTRASTIVE_DIVERGENCE, CONTRASTIVE_TOTALS };

/* The softmaxes of one model's similarities. */
struct similarity {
    int64_t dim;
    void *visitor;                      /* [block, dim] the visiting text slice */
    float *strip;                       /* [rows, block] */
    float *row_max, *row_sum, *row_lse; /* [local] */
    float *col_max, *col_sum;           /* [slices, block]: of the visiting texts, in each slice of rows */
    float *col_lse;                     /* [global] */
    const float *log_scale;             /* [1] ln of the scale */
};

struct contrastive {
    struct device *device;
    struct comm *comm;
    int64_t local, block;           /* local: samples a rank, block: samples a slice */
    int64_t slices, mine, first;    /* slices in all, on this rank, index of the first here */
    int64_t rows;                   /* of a strip */
    struct similarity own, teacher; /* teacher.dim 0: none */
    const void *teacher_images,
        *teacher_texts; /* [local, teacher.dim] real, set by the caller before contrastive_run */
    float *teacher_log_scale;
    double weight, distill_weight; /* of the two losses */
    void *strip_gradient;          /* [rows, block] real */
    struct tree sums;              /* of the gradient of the visiting texts over slices of images */
    int64_t leaf;                  /* of this rank's first slice there */
    int buffers;
    float *texts;   /* [buffers, block, dim] */
    double *totals; /* [slices, CONTRASTIVE_TOTALS]; row 0 then of the global batch, raw: see contrastive_result */
};

/* Memory for batches of `slices` slices, at least one a rank, of `slice` samples. */
void contrastive_open(struct contrastive *c, struct device *device, struct comm *comm, int64_t slice, int64_t dim,
                      int64_t slices);
/* Learn from a teacher whose features have `dim` columns: weight of the contrastive loss, of the divergence, the
 * teacher's logit scale. */
void contrastive_teach(struct contrastive *c, int64_t dim, double weight, double distill_weight, double teacher_scale);
void contrastive_close(struct contrastive *c);

/* (all) images, texts [local, dim] real: this rank's features, unit length.  d_images, d_texts [local, dim]: gradients,
 * overwritten, or both NULL for the loss alone.  log_scale [1]: ln of the scale.  All on the device, and so is row 0 of
 * c->totals afterwards. */
void contrastive_run(struct contrastive *c, const void *images, const void *texts, float *d_images, float *d_texts,
                     const float *log_scale);

struct contrastive_result {
    double loss;        /* contrastive, of the global batch, the same on all ranks, unweighted */
    double divergence;  /* from the teacher, unweighted; known when gradients were asked for */
    double logit_scale; /* d loss / d scale; times scale it is the gradient by its ln (kernels->scale_gradient) */
    double accuracy;    /* share of images whose own text has the largest logit, of the global batch */
};
/* From totals in host memory. */
struct contrastive_result contrastive_result(const struct contrastive *c, const double totals[CONTRASTIVE_TOTALS]);

#endif
