/* What every verb needs: a model with weights on a device, a tokenizer, the pictures that tasks want to see, and where
 * results go. */
#ifndef EVALUATOR_SESSION_H
#define EVALUATOR_SESSION_H

#include "base/json.h"
#include "config/options.h"
#include "data/media.h"
#include "dist/machine.h"
#include "models/towers.h"
#include "serve/features.h"
#include "serve/zeroshot.h"

struct session_settings {
    struct machine_settings machine;
    struct media_settings media;
    char *weights, *model, *output;
    int64_t image_size, batch;
};
extern const struct option session_options[];
extern const struct option session_model_options[]; /* weights, model and image size alone */

/* What a verb uses of the model: its vision tower; both towers, with a tokenizer that must fit; the weights alone, all
 * of them. */
enum session_use { USE_PICTURES, USE_TEXTS, USE_WEIGHTS };

/* Pictures that are passed through the encoder once, for all who take their features. */
struct input {
    char *const *folders; /* of its data sets, or NULL: files */
    struct collection data;
    struct picture_source source;
    struct taker *takers;
    int64_t folder_count;
    int taker_count;
};

struct session {
    const struct world *world;
    const struct session_settings *settings;
    const char *output; /* of the task that reports */
    struct device device;
    struct device host; /* the CPU, for figures over features */
    struct towers towers;
    struct tape tape;
    struct tokenizer *tokenizer;
    struct embedder embedder;
    struct class_vectors class_vectors; /* of all class names it was asked for */
    struct input **inputs;
    int input_count;
};

/* The model of the settings with its weights, on the host, for who has a device of its own; close the towers whether or
 * not it fails. */
int session_towers(struct towers *towers, const struct session_settings *settings, enum session_use use,
                   struct error *error);

/* (all) Close it whether or not it fails. */
int session_open(struct session *session, const struct world *world, const struct session_settings *settings,
                 enum session_use use, struct error *error);
void session_close(struct session *session);

/* The input of these data sets, NULL with `error`; the same one when they were asked for before.  Lives as long as the
 * session. */
struct input *session_data(struct session *session, const struct option_list *folders, struct error *error);
/* paths [count] must live as long. */
struct input *session_files(struct session *session, char *const *paths, int64_t count);
void input_add(struct input *input, struct taker taker);
/* (all) One pass over each input. */
int session_pass(struct session *session, struct error *error);
/* Closes the inputs: other tasks may begin. */
void session_forget(struct session *session);

/* (all) Rank 0 writes the result object (results.h) to session->output and prints the metrics.  data: the first data
 * set's folder.  metrics: reference taken. */
int session_report(const struct session *session, const char *data, const char *task, json_t *metrics,
                   struct error *error);

#endif
