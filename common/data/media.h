/* The pictures that stand for a sample: one of a picture, several of a video. */
#ifndef DATA_MEDIA_H
#define DATA_MEDIA_H

#include "config/options.h"
#include "data/augment.h"
#include "data/record.h"
#include "data/video.h"

struct media_options {
    int frames;                 /* of a video */
    enum video_rule rule;       /* how they are spread over it, or over the frames that were stored */
    struct video_limits limits; /* max_pixels also holds for pictures */
    int border;                 /* pixels cut off each side of a picture, when it is evaluated; not of videos */
};

/* How pictures and videos are read, as options of a program say it. */
struct media_settings {
    int64_t frames, max_pixels;
    char *frame_rule;
    double video_seconds;
};
extern const struct option media_settings_options[];
extern const struct option media_pictures_options[]; /* beside them: what is read is pictures alone */
struct media_options media_options_of(const struct media_settings *config);

static inline bool media_is_video(const struct record *r)
{
    return r->media == RECORD_FRAMES || r->media == RECORD_VIDEO;
}

/* As the towers take them: pixels [1 or options->frames, size, size, 3].  Of a video all frames get the same crop,
 * jitter and flip.  Arguments from `size` on as in data/augment.h, augmentation NULL: evaluation.  Returns how many
 * pictures were written, or -1. */
int media_pixels(const struct record *record, const struct media_options *options, int size,
                 const struct augmentation *augmentation, uint64_t seed, uint64_t epoch, uint64_t sample,
                 uint8_t *pixels, struct error *error);

/* Whole, as stored: pictures and seconds [1 or options->frames]; the caller frees each picture.  Returns how many, or
 * -1 and none. */
int media_pictures(const struct record *record, const struct media_options *options, struct image *pictures,
                   double *seconds, struct error *error);

#endif
