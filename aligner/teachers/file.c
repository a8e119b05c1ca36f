/* Rows made beforehand: FILE.npy, float32 [samples, cells, columns], of the whole pictures of the training data in
 * their order, cells row by row.  What a teacher said of a picture holds for its mirror image, mirrored; not for a
 * part. */
#include <math.h>
#include <string.h>

#include "aligner/teacher.h"
#include "base/memory.h"
#include "data/npy.h"

struct file {
    struct npy npy;
    const char *path;
};

static int check(const struct file *f, const struct pupil *p, struct error *error)
{
    const struct npy *n = &f->npy;
    if (n->dims != 3 || !n->real || n->bytes != sizeof(float) || n->shape[2] < 1)
        return error_set(error, ERROR_FAILED, "%s: rows of a teacher are float32 [samples, cells, columns]", f->path);
    if (n->shape[0] != p->data->samples)
        return error_set(error, ERROR_FAILED, "%s: rows of %ld samples, --train-data has %ld", f->path,
                         (long)n->shape[0], (long)p->data->samples);
    if (n->shape[1] != p->grid * p->grid)
        return error_set(error, ERROR_FAILED, "%s: %ld cells a picture, the student has %ld x %ld at %ld pixels",
                         f->path, (long)n->shape[1], (long)p->grid, (long)p->grid, (long)p->size);
    return 0;
}

static int open(void *self, const struct pupil *p, const struct teacher_settings *c, struct error *error)
{
    struct file *f = self;
    const struct augmentation *a = p->augmentation;
    if (!c->rows)
        return error_set(error, ERROR_USAGE, "--teacher file: give --teacher-rows, the .npy file of its rows");
    if (a->scale_min < 1 || (a->stretch && (a->ratio_min < 1 || a->ratio_max > 1)))
        return error_set(error, ERROR_USAGE,
                         "--teacher file: its rows are of whole pictures; give --aug-ratio-min 1 --aug-ratio-max 1 "
                         "--aug-scale-min 1, or --aug none");
    f->path = c->rows;
    return npy_open(&f->npy, c->rows, error) < 0 ? -1 : check(f, p, error);
}

static int64_t columns(const void *self)
{
    const struct file *f = self;
    return f->npy.shape[2];
}

static struct taught *make(const void *self, const struct pupil *p, int64_t sample, uint64_t epoch,
                           const struct record *r, struct error *error)
{
    const struct file *f = self;
    int64_t wide = f->npy.shape[2], cells = p->grid * p->grid;
    size_t bytes = (size_t)wide * sizeof(float);
    const unsigned char *from = f->npy.data + (size_t)(sample * cells) * bytes;
    struct image_info info;
    if (image_probe(r->bytes, r->len, &info, error) < 0) return NULL;
    struct augment_view view =
        augment_view_of(info.width, info.height, p->augmentation, p->seed, epoch, (uint64_t)sample);
    struct taught *out = mem_alloc(sizeof *out + (size_t)cells * bytes, 1);
    out->columns = wide;
    for (int64_t i = 0; i < cells; i++) {
        int64_t x = i % p->grid, at = i - x + (view.flipped ? p->grid - 1 - x : x);
        memcpy(out->rows + i * wide, from + (size_t)at * bytes, bytes);
    }
    float sum = 0; /* finite where all are */
    for (int64_t i = 0; i < cells * wide; i++) sum += 0 * out->rows[i];
    if (isfinite(sum)) return out;
    free(out);
    error_set(error, ERROR_FAILED, "%s: a row of this sample is not finite", f->path);
    return NULL;
}

static void close(void *self)
{
    struct file *f = self;
    npy_close(&f->npy);
}

const struct teacher teacher_file = {
    .name = "file", .bytes = sizeof(struct file), .open = open, .columns = columns, .make = make, .close = close};
