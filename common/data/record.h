/* One sample as it lies in a shard: media, captions, label, metadata.
 *
 *   offset  0  u32  magic 0x63655250 ("PRec")         all integers little-endian
 *           4  u16  version, 1
 *           6  u16  media: 1 JPEG, 3 WebP, 4 frames, 5 video file  (enum record_media)
 *           8  u32  media bytes
 *          12  u32  number of captions
 *          16  i32  class label, -1 none
 *          20  u32  bytes of metadata (JSON, UTF-8)
 *          24  u32  bytes of captions
 *          28  u32  width,  32 u32 height of the picture, or of each frame as stored
 *          36  u32  number of frames stored (media 4), of the file (media 5), 0 of a picture
 *          40  u64  XXH3-64 of bytes [48, end), seeded with that of bytes [0, 40)
 *          48  media | captions: each u32 length + UTF-8 | metadata
 *
 * Media 4 are pictures of a video in order of time:  u32 count | count x { u32 bytes, u32 milliseconds after the
 * video's begin } | the pictures, JPEG or WebP, one after the other.
 *
 * Reading checks sizes and checksum first. */
#ifndef DATA_RECORD_H
#define DATA_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum { RECORD_HEADER = 48 };
enum record_media { /* the first three as enum image_format */
                    RECORD_JPEG = 1,
                    RECORD_PNG = 2, /* never in a shard: of a file read as it lies there */
                    RECORD_WEBP = 3,
                    RECORD_FRAMES = 4,
                    RECORD_VIDEO = 5
};

struct record {
    enum record_media media;
    int width, height, label, frames;
    const uint8_t *bytes; /* media */
    size_t len;
    const char *captions; /* packed as above */
    uint32_t caption_count, captions_len;
    const char *metadata;
    size_t metadata_len;
    void *memory; /* what record_release frees; NULL: the fields point into a shard */
};
void record_release(struct record *record); /* a zeroed record is fine */

/* "key" of the metadata, "" without one; the caller frees. */
char *record_key(const struct record *record);

/* Append one caption to a packed list. */
void record_add_caption(struct str *captions, const char *text, size_t len);
/* The i-th caption; *len its bytes (no 0 follows). */
const char *record_caption(const struct record *record, uint32_t i, size_t *len);

/* One stored frame. */
struct record_frame {
    const uint8_t *bytes;
    size_t len;
    double seconds; /* after the video's begin */
};
/* Media bytes of RECORD_FRAMES from its pictures, and the i-th of them. */
void record_put_frames(struct str *out, const struct record_frame *frames, int count);
struct record_frame record_frame(const struct record *record, int i);

void record_encode(const struct record *record, struct str *out);
/* Fields point into bytes. */
int record_decode(const uint8_t *bytes, size_t len, struct record *record, struct error *error);

#endif
