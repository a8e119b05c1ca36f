/* Where samples come from that lie there as people hand them on: what `pack` reads, and what a collection reads
 * straight from the files.
 *
 *   webdataset tar            KEY.jpg|jpeg|png|webp or a video's ending (data/video.h) + KEY.txt (a caption a line) |
 *                             KEY.json | KEY.cls,
 *                             members of a key together; so are PE-Video's tars
 *   folder of tars            img2dataset's output: its tars in byte order
 *   clip_benchmark's folder   SPLIT/nshards.txt, SPLIT/0.tar, 1.tar ...: SPLIT, or the folder above of which `test` is
 *                             read then
 *   folder with captions      NAME.jpg|jpeg|png|webp or video + NAME.txt and / or NAME.json, at any depth
 *   ImageFolder               CLASS/.../NAME.jpg or video, no captions beside: the label is the class's place in byte
 *                             order, or the number itself where the classes are 0 .. n-1; its name is the folder's
 *                             without parentheses, '_' read as a space and cut off at the ends (PE's rule)
 *   CSV, TSV or JSONL         columns filepath|image|video|path|file, caption|title|text|captions, label|class; other
 *                             columns are kept as metadata;
 *                             start_time and end_time (seconds) cut a video;
 *                             video_id, sentence (video sets): VIDEO_ID or VIDEO_ID.mp4 ..., captions between '@'
 *
 * Folders of tars and ImageFolders may hold classnames.txt, a name a line in the order of labels, and
 * zeroshot_classification_templates.txt (serve/zeroshot.h); clip_benchmark's lie above the split.
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
#include "data/record.h"

/* One sample as read; owned by the caller (sample_free). */
struct sample {
    char *key;      /* unique within its source; set even when reading fails */
    uint8_t *media; /* NULL: it was read for the rest alone */
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
/* Its metadata as a record keeps them, the key among them; the caller frees. */
char *sample_metadata_text(struct sample *sample);
/* The record of a sample as it is, with its media or without, in memory that record_release frees.  A file that is no
 * picture, and a part of a video, which must be packed, are errors. */
int sample_record(struct sample *sample, struct record *record, struct error *error);

struct source {
    char *path;
    int64_t count, videos; /* items; those that are video files */
    void *state;
    /* Any thread; media: with them. */
    int (*read)(const struct source *source, int64_t index, bool media, struct sample *sample, struct error *error);
    /* What tells it from others: XXH3 of its items' keys, and of their bytes' number where that is known. */
    uint64_t (*identity)(const struct source *source);
    void (*close)(struct source *source);
};

struct sources {
    struct source *list;
    int64_t source_count, items, videos;
    char **classes; /* label names in order, or NULL */
    int64_t class_count;
    char **templates; /* for class names, or NULL */
    int64_t template_count;
};

/* inputs: paths of the kinds above, in order. */
int sources_open(struct sources *sources, char *const *inputs, int64_t count, struct error *error);
void sources_close(struct sources *sources);
/* Item `index` over all sources; *source says which one.  media: with them. */
int sources_read(const struct sources *sources, int64_t index, bool media, struct sample *sample,
                 const struct source **source, struct error *error);

/* The kinds, each in its file. */
int tar_open(struct source *source, const char *path, struct error *error);
int tar_parse(struct source *source, const char *path, const uint8_t *bytes, size_t len,
              struct error *error); /* for tests */
int files_open(struct source *source, const char *path, struct sources *all, struct error *error);
int manifest_open(struct source *source, const char *path, struct sources *all, struct error *error);

/* What an ImageFolder's folder calls its class; the caller frees. */
char *source_class_name(const char *folder);

/* Only while opening.  The label of a class name, adding it. */
int64_t sources_class(struct sources *sources, const char *name);
/* The folder's classnames.txt and templates, where they are; other ones than those of an earlier source are an error.
 * Returns 1 when there are class names. */
int sources_names(struct sources *sources, const char *folder, struct error *error);

#endif
