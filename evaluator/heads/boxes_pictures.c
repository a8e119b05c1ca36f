/* Pictures as the encoder sees them, and what each cell is to find in them. */
#include <math.h>
#include <stdlib.h>

#include "base/fs.h"
#include "evaluator/heads/boxes.h"

bool boxes_counts(const struct object *o)
{
    return !o->crowd && o->box[2] > 0 && o->box[3] > 0;
}

static float clip(double x, int64_t size)
{
    return (float)fmin(fmax(x, 0), (double)size);
}

/* Where the object is seen; false: nowhere. */
static bool place_box(const struct object *o, const struct placement *p, int64_t size, struct box *box)
{
    double x0 = o->box[0] * p->scale_x - p->left, x1 = (o->box[0] + o->box[2]) * p->scale_x - p->left;
    double y0 = o->box[1] * p->scale_y - p->top, y1 = (o->box[1] + o->box[3]) * p->scale_y - p->top;
    double side = (double)size;
    *box = (struct box){{clip(p->flipped ? side - x1 : x0, size), clip(y0, size),
                         clip(p->flipped ? side - x0 : x1, size), clip(y1, size)},
                        o->category};
    return box->edges[2] > box->edges[0] && box->edges[3] > box->edges[1];
}

static void find_targets(const struct boxes *b, int64_t sample, const struct placement *p, void *target)
{
    int64_t first = b->train.starts[sample], end = b->train.starts[sample + 1], count = 0;
    struct box *boxes = mem_alloc((size_t)(end - first) + 1, sizeof *boxes);
    int32_t *classes = target;
    float *distances = (float *)(classes + b->cells);
    for (int64_t i = first; i < end; i++) {
        const struct object *o = &b->train.coco.d.truths.data[b->train.order[i]];
        if (boxes_counts(o)) count += place_box(o, p, b->size, &boxes[count]);
    }
    cells_targets(b->levels, boxes, count, NULL, classes, distances, distances + 4 * b->cells);
    free(boxes);
}

/* The boxes are where the file says only if the picture is as large as it says. */
static int check_size(const struct coco_set *set, int64_t sample, const struct image *image, struct error *error)
{
    const struct coco_image *said = &set->coco.images[sample];
    if (!said->width || !said->height || (said->width == image->width && said->height == image->height)) return 0;
    return error_set(error, ERROR_FAILED, "%d x %d pixels, but %s says %ld x %ld: boxes would lie elsewhere",
                     image->width, image->height, set->path, (long)said->width, (long)said->height);
}

/* The caller frees the image. */
static int read_picture(const struct boxes *b, const struct coco_set *set, int64_t sample, struct image *image,
                        struct error *error)
{
    char *path = fs_join(set->folder, set->files[sample]), *bytes;
    size_t len;
    int rc = fs_read(path, &bytes, &len, error);
    if (rc == 0) {
        rc = image_decode((const uint8_t *)bytes, len, b->max_pixels, image, error);
        free(bytes);
        if (rc == 0 && (rc = check_size(set, sample, image, error)) < 0) image_free(image);
        if (rc < 0) error_prefix(error, "%s", path);
    }
    free(path);
    return rc;
}

int64_t boxes_make_taught(void *self, int64_t sample, uint64_t epoch, uint8_t *pixels, void *target,
                          struct error *error)
{
    const struct boxes *b = self;
    struct image image;
    if (read_picture(b, &b->train, sample, &image, error) < 0) return -1;
    struct placement p = jitter_picture(&image, (int)b->size, &b->jitter, b->seed, epoch, (uint64_t)sample, pixels);
    find_targets(b, sample, &p, target);
    image_free(&image);
    return 1;
}

int64_t boxes_make_examined(void *self, int64_t sample, uint64_t epoch, uint8_t *pixels, void *target,
                            struct error *error)
{
    const struct boxes *b = self;
    struct image image;
    if (read_picture(b, &b->data, sample, &image, error) < 0) return -1;
    jitter_picture(&image, (int)b->size, NULL, b->seed, epoch, (uint64_t)sample, pixels);
    *(struct extent *)target = (struct extent){image.height, image.width};
    image_free(&image);
    return 1;
}
