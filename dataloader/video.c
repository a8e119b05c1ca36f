/* Videos as records: chosen frames as pictures, or the file as it is after its frames were seen to decode. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data/image.h"
#include "data/video.h"
#include "dataloader/pack.h"

struct span {
    int64_t first, end; /* frames */
};

/* Seconds a manifest gives for a part of the video. */
static int cut(const struct video *v, const json_t *metadata, struct span *span, struct error *error)
{
    const json_t *from = json_object_get(metadata, "start_time"), *to = json_object_get(metadata, "end_time");
    *span = (struct span){0, video_info(v)->frames};
    if (json_is_number(from))
        while (span->first < span->end && video_time(v, span->first) < json_number_value(from)) span->first++;
    if (json_is_number(to))
        while (span->end > span->first && video_time(v, span->end - 1) >= json_number_value(to)) span->end--;
    if (span->first < span->end) return 0;
    return error_set(error, ERROR_FAILED, "no frame between start_time and end_time; the video has %.2f s",
                     video_info(v)->seconds);
}

static int choose(const struct pack_settings *c, const struct video *v, struct span span, int64_t *which)
{
    int count = (int)c->frames;
    if (c->frame_rate > 0) {
        int at_rate = 0;
        int64_t frame = span.first;
        double begin = video_time(v, span.first), end = video_time(v, span.end - 1);
        for (; at_rate < count && begin + at_rate / c->frame_rate <= end; at_rate++) {
            while (frame + 1 < span.end && video_time(v, frame + 1) <= begin + at_rate / c->frame_rate + 1e-6) frame++;
            which[at_rate] = frame;
        }
        if (at_rate < count || begin + count / c->frame_rate > end) return at_rate;
    }
    video_uniform(strcmp(c->frame_rule, "floor") ? VIDEO_SPAN : VIDEO_FLOOR, span.end - span.first, count, which);
    for (int i = 0; i < count; i++) which[i] += span.first;
    return count;
}

static int put_frames(const struct pack_settings *c, struct video *v, const int64_t *which, int count,
                      struct record *record, struct str *out, struct error *error)
{
    struct image *pictures = mem_alloc((size_t)count, sizeof *pictures);
    struct record_frame *frames = mem_zalloc((size_t)count, sizeof *frames);
    int rc = video_read(v, which, count, pictures, error);
    for (int i = 0; i < count && rc == 0; i++) {
        uint8_t *bytes = NULL;
        pack_shrink(&pictures[i], c->resize);
        rc = image_encode(&pictures[i], strcmp(c->format, "webp") ? IMAGE_JPEG : IMAGE_WEBP, (int)c->quality, &bytes,
                          &frames[i].len, error);
        frames[i].bytes = bytes;
        frames[i].seconds = video_time(v, which[i]);
        record->width = pictures[i].width;
        record->height = pictures[i].height;
        image_free(&pictures[i]);
        for (int k = i + 1; k < count && rc < 0; k++) image_free(&pictures[k]);
    }
    if (rc == 0) record_put_frames(out, frames, count);
    for (int i = 0; i < count; i++) free((uint8_t *)frames[i].bytes);
    free(frames);
    free(pictures);
    record->media = RECORD_FRAMES;
    record->frames = count;
    return rc;
}

/* The chosen frames must decode, else the file is of no use to a trainer. */
static int check_file(struct video *v, const int64_t *which, int count, struct error *error)
{
    struct image *pictures = mem_alloc((size_t)count, sizeof *pictures);
    int rc = video_read(v, which, count, pictures, error);
    for (int i = 0; i < count && rc == 0; i++) image_free(&pictures[i]);
    free(pictures);
    return rc;
}

int video_record(const struct pack_settings *c, struct sample *s, struct record *record, struct str *media,
                 struct error *error)
{
    struct video *v;
    struct span span;
    bool keep = !strcmp(c->video, "file");
    if (keep && (json_object_get(s->metadata, "start_time") || json_object_get(s->metadata, "end_time")))
        return error_set(error, ERROR_FAILED, "start_time and end_time need --video frames");
    if (video_open_bytes(&v, s->key, s->media, s->len, (struct video_limits){c->video_seconds, c->max_pixels}, error) <
        0)
        return -1;
    const struct video_info *info = video_info(v);
    int64_t *which = mem_alloc((size_t)c->frames, sizeof *which);
    int rc = cut(v, s->metadata, &span, error), count = rc == 0 ? choose(c, v, span, which) : 0;
    if (rc == 0) rc = keep ? check_file(v, which, count, error) : put_frames(c, v, which, count, record, media, error);
    if (rc == 0 && keep) {
        str_append(media, s->media, s->len);
        *record = (struct record){
            .media = RECORD_VIDEO, .width = info->width, .height = info->height, .frames = (int)info->frames};
    }
    json_object_set_new(s->metadata, "video",
                        json_pack("{s:s, s:i, s:i, s:I, s:f}", "codec", info->codec, "width", info->width, "height",
                                  info->height, "frames", (json_int_t)info->frames, "seconds", info->seconds));
    free(which);
    video_close(v);
    return rc;
}
