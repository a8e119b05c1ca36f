/* Where samples come from: everything `pack` can read, behind one interface.
 *
 *   webdataset tar            KEY.jpg|jpeg|png|webp or a video's ending (data/video.h) + KEY.txt (a caption a line) |
 *                             KEY.json | KEY.cls,
 *                             members of a key together; so are PE-Video's tars
 *   folder of tars            img2dataset's output: its tars in order
 *   folder with captions      NAME.jpg|jpeg|png|webp or video + NAME.txt and / or NAME.json, at any depth
 *   ImageFolder               CLASS/.../NAME.jpg: the label is the class's place in byte order
 *   CSV, TSV or JSONL         columns filepath|image|video|path|file, caption|title|text|captions, label|class; other
 *                             columns are kept as metadata;
 *                             start_time and end_time (seconds) cut a video
 *
 * A video needs no caption: it may be there to get one.
 *
 * Opening a source lists its items; an item that cannot be used is still listed and says why when it is read. */
#ifndef DATA_SOURCE_H
#define DATA_SOURCE_H

#include <jansson.h>

#include "base/error.h"
#include "base/fs.h"
#include "base/str.h"

/* One sample as read; owned by the caller (sample_free). */
struct sample {
    char *key; /* unique within its source; set even when reading fails */
    uint8_t *media;
    size_t len;
    bool video;          /* media is a video file */
    struct str captions; /* packed, data/record.h */
    uint32_t caption_count;
    int label;        /* -1: none */
    json_t *metadata; /* object */
};
void sample_free(struct sample *sample);
/* Add a caption with surrounding white space cut off; "" is ignored; fails when it is not UTF-8. */
int sample_caption(struct sample *sample, const char *text, size_t len, struct error *error);
/* Take captions ("caption", "captions", "text", PE-Video's "human_caption" or else "model_caption", "title") and label
 * ("label", "cls") from a metadata object, which becomes the sample's. */
int sample_metadata(struct sample *sample, json_t *object, struct error *error);

struct source {
    char *path;
    int64_t count;
    void *state;
    int (*read)(const struct source *source, int64_t index, struct sample *sample,
                struct error *error); /* any thread */
    void (*close)(struct source *source);
};

struct sources {
    struct source *list;
    int64_t source_count, items;
    char **classes; /* label names in order, or NULL */
    int64_t class_count;
};

/* inputs: paths of the kinds above, in order. */
int sources_open(struct sources *sources, char *const *inputs, int64_t count, struct error *error);
void sources_close(struct sources *sources);
/* Item `index` over all sources; *source says which one. */
int sources_read(const struct sources *sources, int64_t index, struct sample *sample, const struct source **source,
                 struct error *error);

/* The kinds, each in its file. */
int tar_open(struct source *source, const char *path, struct error *error);
int tar_parse(struct source *source, const char *path, const uint8_t *bytes, size_t len,
              struct error *error); /* for tests */
int files_open(struct source *source, const char *path, struct sources *all, struct error *error);
int manifest_open(struct source *source, const char *path, struct sources *all, struct error *error);

/* Label of a class name, adding it; only while opening. */
int64_t sources_class(struct sources *sources, const char *name);

#endif
