/* Two passes over strips of logits: statistics, then gradients. */
#include "nn/contrastive.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "dist/share.h"

static size_t feature_bytes(const struct contrastive *c, const struct similarity *m, int64_t rows)
{
    return (size_t)(rows * m->dim) * c->device->kernels->real_bytes;
}

typedef void buffer_visit(struct device *d, void **block, size_t bytes);

/* Every buffer with its size: walked to take and to give back. */
static void each_of(struct contrastive *c, struct similarity *m, buffer_visit *visit)
{
    struct device *d = c->device;
    int64_t global = c->block * c->slices;
    if (!m->dim) return;
    visit(d, &m->visitor, c->comm->world->size > 1 ? feature_bytes(c, m, c->block) : 0);
    visit(d, (void **)&m->strip, (size_t)(c->rows * c->block) * sizeof(float));
    visit(d, (void **)&m->row_max, (size_t)c->local * sizeof(float));
    visit(d, (void **)&m->row_sum, (size_t)c->local * sizeof(float));
    visit(d, (void **)&m->row_lse, (size_t)c->local * sizeof(float));
    visit(d, (void **)&m->col_max, (size_t)global * sizeof(float));
    visit(d, (void **)&m->col_sum, (size_t)global * sizeof(float));
    visit(d, (void **)&m->col_lse, (size_t)global * sizeof(float));
}

static void each_buffer(struct contrastive *c, buffer_visit *visit)
{
    struct device *d = c->device;
    bool narrow = d->kernels->real_bytes != sizeof(float);
    each_of(c, &c->own, visit);
    visit(d, &c->strip_gradient, narrow ? (size_t)(c->rows * c->block) * d->kernels->real_bytes : 0);
    visit(d, (void **)&c->texts, (size_t)(c->buffers * c->block * c->own.dim) * sizeof(float));
    visit(d, (void **)&c->totals, (size_t)(c->slices * CONTRASTIVE_TOTALS) * sizeof(double));
}

static void take(struct device *d, void **block, size_t bytes)
{
    *block = bytes ? d->kernels->map(d, bytes) : NULL;
}

static void give_back(struct device *d, void **block, size_t bytes)
{
    d->kernels->unmap(d, *block, bytes);
}

/* Slices joined until they are as large as the device would have them, where ranks have the same number of whole ones.
 * */
static int64_t join_slices(const struct comm *comm, int64_t slice, int64_t slices)
{
    int64_t size = comm->world->size, most = slices % size ? 1 : slices / size, join = 1;
    while (!comm->exact && join < most && (join * slice < comm->device->kernels->slice_columns || most % join)) join++;
    return join;
}

void contrastive_open(struct contrastive *c, struct device *device, struct comm *comm, int64_t slice, int64_t dim,
                      int64_t slices)
{
    int64_t size = comm->world->size, rank = comm->world->rank, join = join_slices(comm, slice, slices);
    *c = (struct contrastive){.device = device,
                              .comm = comm,
                              .own.dim = dim,
                              .block = slice * join,
                              .slices = slices / join,
                              .weight = 1,
                              .rows = device->kernels->strip_rows};
    c->first = share_first(c->slices, size, rank);
    c->mine = share_first(c->slices, size, rank + 1) - c->first;
    c->local = c->mine * c->block;
    CHECK(c->mine > 0, "%ld slices over %ld ranks", (long)slices, (long)size);
    /* directly what this rank has must be one sum */
    c->leaf = comm->exact ? c->first : 0;
    c->sums.leaves = comm->exact ? c->slices : c->mine;
    c->buffers = tree_buffers(c->sums.leaves, c->leaf, c->leaf + c->mine);
    if (c->rows > c->block) c->rows = c->block;
    each_buffer(c, take);
    for (int i = 0; i < c->buffers; i++) tree_lend(&c->sums, c->texts + i * c->block * dim);
    if (!c->strip_gradient) c->strip_gradient = c->own.strip;
}

void contrastive_teach(struct contrastive *c, int64_t dim, double weight, double distill_weight, double teacher_scale)
{
    const struct kernels *k = c->device->kernels;
    c->teacher.dim = dim;
    c->weight = weight;
    c->distill_weight = distill_weight;
    each_of(c, &c->teacher, take);
    c->teacher.log_scale = c->teacher_log_scale = k->map(c->device, sizeof(float));
    k->fill(c->device, c->teacher_log_scale, (float)log(teacher_scale), 1);
    /* both gradients are made of the same logits, so the first must not lie over them */
    if (c->strip_gradient == c->own.strip)
        c->strip_gradient = k->map(c->device, (size_t)(c->rows * c->block) * sizeof(float));
}

void contrastive_close(struct contrastive *c)
{
    if (!c->device) return;
    if (c->strip_gradient == c->own.strip)
        c->strip_gradient = NULL;
    else if (c->teacher.dim && c->device->kernels->real_bytes == sizeof(float)) {
        c->device->kernels->unmap(c->device, c->strip_gradient, (size_t)(c->rows * c->block) * sizeof(float));
        c->strip_gradient = NULL;
    }
    if (c->teacher.dim) c->device->kernels->unmap(c->device, c->teacher_log_scale, sizeof(float));
    each_of(c, &c->teacher, give_back);
    each_buffer(c, give_back);
    *c = (struct contrastive){0};
}

static const void *row_of(const struct contrastive *c, const struct similarity *m, const void *features, int64_t row)
{
    return (const char *)features + feature_bytes(c, m, row);
}

static int owner_of(const struct contrastive *c, int64_t slice)
{
    return (int)share_owner(c->slices, c->comm->world->size, slice);
}

/* Text slice j to all ranks; returns where it lies. */
static const void *visit(struct contrastive *c, struct similarity *m, const void *texts, int64_t j)
{
    int owner = owner_of(c, j);
    const void *own = owner == c->comm->world->rank ? row_of(c, m, texts, (j - c->first) * c->block) : NULL;
    if (c->comm->world->size == 1) return own;
    size_t bytes = feature_bytes(c, m, c->block);
    if (own) c->device->kernels->copy(c->device, m->visitor, own, bytes);
    comm_broadcast(c->comm, m->visitor, bytes, owner);
    return m->visitor;
}

/* The totals of this rank's slice a. */
static double *totals_of(const struct contrastive *c, int64_t a)
{
    return c->totals + (c->first + a) * CONTRASTIVE_TOTALS;
}

static void logits(struct contrastive *c, struct similarity *m, const void *images, const void *texts, int64_t row,
                   int64_t rows)
{
    c->device->kernels->matmul(c->device, m->strip, true, c->block, row_of(c, m, images, row), m->dim, false, texts,
                               m->dim, false, rows, c->block, m->dim, false);
}

static int64_t strip_rows(const struct contrastive *c, int64_t row, int64_t end)
{
    return end - row < c->rows ? end - row : c->rows;
}

/* lse of this rank's rows and of all columns; also the row maxima, for the accuracy. */
static void statistics(struct contrastive *c, struct similarity *m, const void *images, const void *texts)
{
    const struct kernels *k = c->device->kernels;
    int64_t block = c->block;
    k->fill(c->device, m->row_max, -INFINITY, c->local);
    k->fill(c->device, m->row_sum, 0, c->local);
    for (int64_t j = 0; j < c->slices; j++) {
        const void *visitor = visit(c, m, texts, j);
        /* column statistics of each slice of rows, joined in the order of slices */
        k->fill(c->device, m->col_max + c->first * block, -INFINITY, c->mine * block);
        k->fill(c->device, m->col_sum + c->first * block, 0, c->mine * block);
        for (int64_t a = 0; a < c->mine; a++)
            for (int64_t r = a * block; r < (a + 1) * block; r += c->rows) {
                int64_t rows = strip_rows(c, r, (a + 1) * block), at = (c->first + a) * block;
                logits(c, m, images, visitor, r, rows);
                k->softmax_stats(c->device, m->row_max + r, m->row_sum + r, m->col_max + at, m->col_sum + at, m->strip,
                                 block, rows, block, m->log_scale);
            }
        comm_gather(c->comm, m->col_max, c->slices, (size_t)block * sizeof(float));
        comm_gather(c->comm, m->col_sum, c->slices, (size_t)block * sizeof(float));
        k->merge_stats(c->device, m->col_lse + j * block, m->col_max, m->col_sum, c->slices, block);
    }
    k->merge_stats(c->device, m->row_lse, m->row_max, m->row_sum, 1, c->local);
}

/* The texts of slice j, the student's and the teacher's. */
struct visitors {
    int64_t j;
    const void *texts, *teacher_texts;
};

/* Slopes of the losses by the logits of one strip, into strip_gradient. */
static void strip_slopes(struct contrastive *c, const void *images, const struct visitors *v, int64_t a, int64_t r)
{
    const struct kernels *k = c->device->kernels;
    int64_t block = c->block, rows = strip_rows(c, r, (a + 1) * block),
            diagonal = c->first + a == v->j ? r - a * block : -(block + c->rows);
    double *totals = totals_of(c, a), share = 1 / (2. * (double)(block * c->slices));
    struct similarity *own = &c->own, *teacher = &c->teacher;
    logits(c, own, images, v->texts, r, rows);
    if (c->weight > 0 || !teacher->dim)
        k->contrastive_gradient(c->device, c->strip_gradient, totals + CONTRASTIVE_SCALE, own->strip, block,
                                own->row_lse + r, own->col_lse + v->j * block, rows, block, diagonal, own->log_scale,
                                (float)(c->weight * share));
    if (!teacher->dim) return;
    logits(c, teacher, c->teacher_images, v->teacher_texts, r, rows);
    k->distill_gradient(c->device, c->strip_gradient, totals + CONTRASTIVE_SCALE, totals + CONTRASTIVE_DIVERGENCE,
                        own->strip, teacher->strip, block, own->row_lse + r, own->col_lse + v->j * block,
                        teacher->row_lse + r, teacher->col_lse + v->j * block, rows, block, own->log_scale,
                        teacher->log_scale, (float)(c->distill_weight * share), c->weight > 0);
}

/* Gradients of one strip: by its images into d_images, by the visiting texts into d_texts. */
static void strip_gradients(struct contrastive *c, const void *images, const struct visitors *v, float *d_images,
                            float *d_texts, int64_t a, int64_t r)
{
    const struct kernels *k = c->device->kernels;
    int64_t block = c->block, dim = c->own.dim, rows = strip_rows(c, r, (a + 1) * block);
    strip_slopes(c, images, v, a, r);
    k->matmul(c->device, d_images + r * dim, true, dim, c->strip_gradient, block, false, v->texts, dim, true, rows, dim,
              block, v->j > 0);
    k->matmul(c->device, d_texts, true, dim, c->strip_gradient, block, true, row_of(c, &c->own, images, r), dim, true,
              block, dim, rows, r > a * block);
}

/* Gradient of text slice j: each slice of images adds to it, in the tree over slices. */
static void gradient_of(struct contrastive *c, const void *images, const struct visitors *v, float *d_images)
{
    int64_t block = c->block, count = block * c->own.dim;
    float *into;
    const float *from;
    tree_clear(&c->sums);
    for (int64_t a = c->mine - 1; a >= 0; a--) {
        float *d_texts = tree_take(&c->sums);
        for (int64_t r = a * block; r < (a + 1) * block; r += c->rows)
            strip_gradients(c, images, v, d_images, d_texts, a, r);
        tree_put(&c->sums, c->leaf + a, d_texts);
        while (tree_join(&c->sums, &into, &from)) c->device->kernels->add(c->device, into, from, count);
    }
}

static void gradients(struct contrastive *c, const void *images, const void *texts, float *d_images, float *d_texts)
{
    int64_t count = c->block * c->own.dim;
    for (int64_t j = 0; j < c->slices; j++) {
        struct visitors v = {j, visit(c, &c->own, texts, j),
                             c->teacher.dim ? visit(c, &c->teacher, c->teacher_texts, j) : NULL};
        gradient_of(c, images, &v, d_images);
        comm_reduce(c->comm, &c->sums, count, owner_of(c, j));
        if (owner_of(c, j) == c->comm->world->rank)
            c->device->kernels->copy(c->device, d_texts + (j - c->first) * count, c->sums.node[0].sum,
                                     (size_t)count * sizeof *d_texts);
    }
}

void contrastive_run(struct contrastive *c, const void *images, const void *texts, float *d_images, float *d_texts,
                     const float *log_scale)
{
    const struct kernels *k = c->device->kernels;
    struct similarity *m = &c->own;
    m->log_scale = log_scale;
    statistics(c, m, images, texts);
    if (c->teacher.dim && d_images) statistics(c, &c->teacher, c->teacher_images, c->teacher_texts);
    k->fill(c->device, (float *)(void *)totals_of(c, 0), 0, 2 * CONTRASTIVE_TOTALS * c->mine); /* zero bits are 0. */
    for (int64_t a = 0; a < c->mine; a++) {
        int64_t row = a * c->block;
        double *totals = totals_of(c, a);
        k->contrastive_loss(c->device, totals + CONTRASTIVE_LOSS, totals + CONTRASTIVE_HITS, row_of(c, m, images, row),
                            row_of(c, m, texts, row), m->row_lse + row, m->col_lse + (c->first + a) * c->block,
                            m->row_max + row, c->block, m->dim, log_scale);
    }
    if (d_images) gradients(c, images, texts, d_images, d_texts);
    comm_sum(c->comm, c->totals, c->slices, CONTRASTIVE_TOTALS);
}

struct contrastive_result contrastive_result(const struct contrastive *c, const double totals[CONTRASTIVE_TOTALS])
{
    double global = (double)(c->block * c->slices);
    return (struct contrastive_result){.loss = totals[CONTRASTIVE_LOSS] / (2 * global),
                                       .divergence = totals[CONTRASTIVE_DIVERGENCE] / (2 * global),
                                       .accuracy = totals[CONTRASTIVE_HITS] / global,
                                       .logit_scale = totals[CONTRASTIVE_SCALE]};
}
