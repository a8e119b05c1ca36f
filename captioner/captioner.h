/* The verbs of pe-captioner: options, and what they do. */
#ifndef CAPTIONER_CAPTIONER_H
#define CAPTIONER_CAPTIONER_H

#include "config/options.h"
#include "dist/world.h"

struct verb {
    const struct option_program *program;
    size_t bytes; /* of the config that its options fill */
    int (*run)(const struct world *world, const void *config, struct error *error); /* (all) */
};

/* train is a program of its own within (captioner/train.h). */
extern const struct verb caption_verb, summarize_verb, refine_export_verb, refine_import_verb, caption_pack_verb;

#endif
