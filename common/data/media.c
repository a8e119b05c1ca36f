/* Records to pictures. */
#include "data/media.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define AT(field) offsetof(struct media_settings, field)
/* clang-format off */
const struct option media_settings_options[] = {
    {OPTION_INT, "frames", AT(frames), "8", 1, 1024, NULL, "frames that stand for a video", OPTION_IDENTITY},
    {OPTION_CHOICE, "frame-rule", AT(frame_rule), "span", 0, 0, "span|floor", "frame i of n in a video of T: i (T - 1) / (n - 1), or i T / n", OPTION_IDENTITY},
    {OPTION_INT, "max-image-pixels", AT(max_pixels), "100000000", 1, 1e12, NULL, "larger pictures are not decoded", OPTION_IDENTITY},
    {OPTION_REAL, "video-seconds", AT(video_seconds), "60", 1e-6, 1e6, NULL, "a video file that takes longer to decode is given up"},
    {0}};
const struct option media_pictures_options[] = {
    {OPTION_WITHOUT, "frames"}, {OPTION_WITHOUT, "frame-rule"}, {OPTION_WITHOUT, "video-seconds"}, {0}};
/* clang-format on */

struct media_options media_options_of(const struct media_settings *c)
{
    return (struct media_options){.frames = (int)c->frames,
                                  .rule = strcmp(c->frame_rule, "floor") ? VIDEO_SPAN : VIDEO_FLOOR,
                                  .limits = {c->video_seconds, c->max_pixels}};
}

/* The chosen frames of a video file. */
static int read_video(const struct record *r, const struct media_options *o, struct image *pictures, double *seconds,
                      struct error *error)
{
    struct video *video;
    int64_t *which = mem_alloc((size_t)o->frames, sizeof *which);
    int rc = video_open_bytes(&video, "video", r->bytes, r->len, o->limits, error);
    if (rc == 0) {
        video_uniform(o->rule, video_info(video)->frames, o->frames, which);
        rc = video_read(video, which, o->frames, pictures, error);
        for (int i = 0; rc == 0 && seconds && i < o->frames; i++) seconds[i] = video_time(video, which[i]);
        video_close(video);
    }
    free(which);
    return rc < 0 ? -1 : o->frames;
}

/* Which of the stored frames stand for the video. */
static struct record_frame stored(const struct record *r, const struct media_options *o, int i)
{
    int64_t all = r->frames, at = o->rule == VIDEO_FLOOR ? i * all / o->frames
                                  : o->frames > 1        ? i * (all - 1) / (o->frames - 1)
                                                         : 0;
    return record_frame(r, (int)at);
}

static int one(const uint8_t *bytes, size_t len, const struct media_options *o, int size, const struct augmentation *a,
               uint64_t seed, uint64_t epoch, uint64_t sample, uint8_t *pixels, struct error *error)
{
    if (!a) return augment_evaluation(bytes, len, o->limits.max_pixels, o->border, size, pixels, error);
    return augment_training(bytes, len, o->limits.max_pixels, size, a, seed, epoch, sample, pixels, error);
}

int media_pixels(const struct record *r, const struct media_options *o, int size, const struct augmentation *a,
                 uint64_t seed, uint64_t epoch, uint64_t sample, uint8_t *pixels, struct error *error)
{
    int64_t bytes = (int64_t)size * size * 3;
    if (!media_is_video(r)) return one(r->bytes, r->len, o, size, a, seed, epoch, sample, pixels, error) < 0 ? -1 : 1;
    if (r->media == RECORD_FRAMES) {
        for (int i = 0; i < o->frames; i++) {
            struct record_frame f = stored(r, o, i);
            if (one(f.bytes, f.len, o, size, a, seed, epoch, sample, pixels + i * bytes, error) < 0)
                return error_prefix(error, "frame %d", i);
        }
        return o->frames;
    }
    struct image *pictures = mem_alloc((size_t)o->frames, sizeof *pictures);
    int count = read_video(r, o, pictures, NULL, error);
    for (int i = 0; i < count; i++) {
        augment_image(&pictures[i], size, a, seed, epoch, sample, pixels + i * bytes);
        image_free(&pictures[i]);
    }
    free(pictures);
    return count;
}

int media_pictures(const struct record *r, const struct media_options *o, struct image *pictures, double *seconds,
                   struct error *error)
{
    if (r->media == RECORD_VIDEO) return read_video(r, o, pictures, seconds, error);
    int count = r->media == RECORD_FRAMES ? o->frames : 1;
    for (int i = 0; i < count; i++) {
        struct record_frame f =
            r->media == RECORD_FRAMES ? stored(r, o, i) : (struct record_frame){r->bytes, r->len, 0};
        if (image_decode(f.bytes, f.len, o->limits.max_pixels, &pictures[i], error) < 0) {
            while (i--) image_free(&pictures[i]);
            return -1;
        }
        seconds[i] = f.seconds;
    }
    return count;
}
