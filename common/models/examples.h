/* What a PLM learns from: conversations about pictures and videos, or without any.
 *
 *   data set (pe-dataloader pack)   each sample: the question of --video-prompt or --image-prompt, one of its captions
 *                                   as the answer
 *   FILE.jsonl                      PLM's rows: pictures or a video (models/row_media.h) or neither, and
 *                                   "conversations": [{"from": "human", "value"}, {"from": "assistant", "value"}, ...]
 *
 * What an example holds is a function of (seed, epoch, number) alone. */
#ifndef MODELS_EXAMPLES_H
#define MODELS_EXAMPLES_H

#include "config/options.h"
#include "data/loader.h"
#include "models/conversation.h"

struct examples_config {
    const struct option_list *sources;
    const char *media_root; /* of relative paths in JSONL, NULL: the file's folder */
    const char *video_prompt, *image_prompt;
    struct media_options media;
    int size, tiles;            /* pixels of a tile a side; tiles of a picture beside its thumbnail */
    int64_t tile_rows, context; /* decoder rows of a tile; longer examples are cut at their end */
    bool plain;                 /* media and caption without the chat template: for the projector's warm-up */
    const struct chat_template *template;
    uint64_t seed;
};

struct examples {
    struct examples_config config;
    struct collection data; /* of the data sets among the sources */
    struct json_rows {
        char *root;
        json_t *rows;
        uint64_t checksum;
    } * files;
    int64_t file_count, count; /* count: of all, data sets first */
};

/* One example: tokens (-1: a row of its media) and which of them are to be learned. */
struct example {
    struct token_ids ids;
    bool *learned;   /* [ids.count] predicted from what is before */
    int64_t targets; /* how many */
    uint8_t *pixels; /* [tiles, size, size, 3] */
    int tiles;
};

int examples_open(struct examples *examples, const struct examples_config *config, struct error *error);
void examples_close(struct examples *examples);
/* Over the data sets' shards and the bytes of the JSONL files. */
uint64_t examples_identity(const struct examples *examples);
/* Any number of threads at once. */
int examples_make(const struct examples *examples, int64_t number, uint64_t epoch, struct example *out,
                  struct error *error);
void example_free(struct example *example);

#endif
