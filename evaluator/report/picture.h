/* Pictures of a report: read, scaled down, and put into the page as data URIs. */
#ifndef EVALUATOR_REPORT_PICTURE_H
#define EVALUATOR_REPORT_PICTURE_H

#include "base/str.h"
#include "data/collection.h"
#include "data/image.h"

/* Scaled so that the longer side is at most `side` pixels; smaller ones stay. */
void picture_fit(struct image *image, int side);
int picture_read(const char *path, int side, struct image *image, struct error *error);
/* Of a sample of a data set; of a video the middle frame. */
int picture_sample(const struct collection *data, int64_t sample, int side, struct image *image, struct error *error);

/* How the bytes are kept: photographs as WebP, maps with hard edges as PNG, which is exact. */
enum picture_kind { PICTURE_PHOTO, PICTURE_FLAT };
/* data:image/...;base64,... */
int picture_uri(struct str *out, const struct image *image, enum picture_kind kind, struct error *error);
/* <img> with this text in its place; it is also shown under the pointer. */
int picture_put(struct str *out, const struct image *image, enum picture_kind kind, const char *text,
                struct error *error);

#endif
