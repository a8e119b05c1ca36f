/* Teachers of places: who says which cells of a picture belong together.
 *
 * A teacher gives each cell of the student's grid a row; what counts is the cosine of two rows.  SAM's row is what it
 * answers at that cell to each of a grid of points; other teachers stand for it.  Rows are made by decode threads, of a
 * sample as its picture is seen.  To add a teacher: a file of such functions, and a line in teacher_list.c.  One that
 * looks at the pixels on the device makes its rows where the slice's are brought there (spatial_step.c). */
#ifndef ALIGNER_TEACHER_H
#define ALIGNER_TEACHER_H

#include "config/options.h"
#include "data/augment.h"
#include "data/collection.h"

struct teacher_settings {
    char *kind, *masks, *rows;
    int64_t points;
};

/* For whom: pictures [size, size], seen in grid x grid cells. */
struct pupil {
    int64_t size, grid, max_pixels;
    const struct collection *data;
    const struct augmentation *augmentation;
    uint64_t seed;
};

/* Of a sample: a row for each cell, row by row. */
struct taught {
    int64_t columns;
    float rows[]; /* [grid * grid, columns] */
};

struct teacher {
    const char *name;
    size_t bytes; /* of self, zeroed */
    int (*open)(void *self, const struct pupil *pupil, const struct teacher_settings *settings, struct error *error);
    int64_t (*columns)(const void *self); /* at most */
    /* Any thread; from mem_alloc.  NULL with `error`. */
    struct taught *(*make)(const void *self, const struct pupil *pupil, int64_t sample, uint64_t epoch,
                           const struct record *record, struct error *error);
    void (*close)(void *self);
};

extern const struct teacher *const teacher_list[]; /* ends with NULL */

#endif
