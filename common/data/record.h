/* One sample as it lies in a shard: media, captions, label, metadata.
 *
 *   offset  0  u32  magic 0x63655250 ("PRec")         all integers little-endian
 *           4  u16  version, 1
 *           6  u16  media: 1 JPEG, 3 WebP  (enum image_format)
 *           8  u32  media bytes
 *          12  u32  number of captions
 *          16  i32  class label, -1 none
 *          20  u32  bytes of metadata (JSON, UTF-8)
 *          24  u32  bytes of captions
 *          28  u32  width,  32 u32 height of the picture
 *          36  u32  0
 *          40  u64  XXH3-64 of bytes [48, end), seeded with that of bytes [0, 40)
 *          48  media | captions: each u32 length + UTF-8 | metadata
 *
 * Reading checks sizes and checksum first. */
#ifndef DATA_RECORD_H
#define DATA_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum { RECORD_HEADER = 48 };

struct record {
    int media; /* enum image_format */
    int width, height, label;
    const uint8_t *bytes; /* media */
    size_t len;
    const char *captions; /* packed as above */
    uint32_t caption_count, captions_len;
    const char *metadata;
    size_t metadata_len;
};

/* Append one caption to a packed list. */
void record_add_caption(struct str *captions, const char *text, size_t len);
/* The i-th caption; *len its bytes (no 0 follows). */
const char *record_caption(const struct record *record, uint32_t i, size_t *len);

void record_encode(const struct record *record, struct str *out);
/* Fields point into bytes. */
int record_decode(const uint8_t *bytes, size_t len, struct record *record, struct error *error);

#endif
