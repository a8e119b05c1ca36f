/* What every evaluation needs: a model with weights on a device, a tokenizer, and where results go. */
#ifndef EVALUATOR_SESSION_H
#define EVALUATOR_SESSION_H

#include "base/json.h"
#include "config/options.h"
#include "models/embed.h"

struct evaluator_config {
    char *weights, *model, *device, *precision, *cpu_level, *output;
    char *images, *texts;                   /* embed */
    struct option_list data;                /* zeroshot, retrieval */
    char *templates, *classnames;           /* zeroshot */
    char *naming;                           /* export */
    int64_t image_size, threads, batch, max_pixels, frames;
    char *frame_rule, *frame_average;
    double video_seconds;
};

struct session {
    const struct world *world;
    const struct evaluator_config *config;
    struct device device;
    struct device host; /* the CPU, for figures over features */
    struct clip clip;
    struct tape tape;
    struct tokenizer *tokenizer;
    struct embedder embedder;
};

int session_open(struct session *session, const struct world *world, const struct evaluator_config *config, struct error *error);
void session_close(struct session *session);

/* Rank 0 writes clip_benchmark's result object { dataset, model, pretrained, task, metrics, language } to --output and prints the metrics.
 * metrics: reference taken. */
int session_report(const struct session *session, const char *task, json_t *metrics, struct error *error);

/* Lines of a text file without their ends, empty ones left out when `skip_empty`; caller frees with lines_free. */
int lines_read(const char *path, bool skip_empty, char ***lines, int64_t *count, struct error *error);
void lines_free(char **lines, int64_t count);

/* The verbs. */
extern const struct option_program embed_program, zeroshot_program, retrieval_program, export_program;
int embed_run(struct session *session, struct error *error);
int zeroshot_run(struct session *session, struct error *error);
int retrieval_run(struct session *session, struct error *error);
int export_run(struct session *session, struct error *error);

/* Options all verbs share; used in each table. */
#define EVALUATOR_OPTIONS \
    {OPTION_STRING, "weights", offsetof(struct evaluator_config, weights), "!", 0, 0, NULL, ".safetensors file (PE, open_clip or timm naming) or checkpoint folder"}, \
    {OPTION_STRING, "model", offsetof(struct evaluator_config, model), "!", 0, 0, NULL, "PE-Core-B16-224 ... or the path of a model's .json"}, \
    {OPTION_INT, "force-image-size", offsetof(struct evaluator_config, image_size), "0", 0, 4096, NULL, "the size the weights were trained for; 0: the model's"}, \
    {OPTION_STRING, "output", offsetof(struct evaluator_config, output), "!", 0, 0, NULL, "file to write"}, \
    {OPTION_INT, "batch-size", offsetof(struct evaluator_config, batch), "64", 1, 65536, NULL, "pictures or texts at a time"}, \
    {OPTION_INT, "max-image-pixels", offsetof(struct evaluator_config, max_pixels), "100000000", 1, 1e12, NULL, "larger pictures are an error"}, \
    {OPTION_INT, "frames", offsetof(struct evaluator_config, frames), "8", 1, 1024, NULL, "frames that stand for a video"}, \
    {OPTION_CHOICE, "frame-rule", offsetof(struct evaluator_config, frame_rule), "span", 0, 0, "span|floor", "frame i of n in a video of T: i (T - 1) / (n - 1), or i T / n"}, \
    {OPTION_REAL, "video-seconds", offsetof(struct evaluator_config, video_seconds), "60", 0.001, 1e6, NULL, "a video file that takes longer to decode is an error"}, \
    {OPTION_STRING, "device", offsetof(struct evaluator_config, device), "cpu", 0, 0, NULL, "cpu, cuda (a GPU for each rank of a host) or cuda:N"}, \
    {OPTION_CHOICE, "precision", offsetof(struct evaluator_config, precision), "fp32", 0, 0, "fp32|bf16", "arithmetic of the towers"}, \
    {OPTION_STRING, "cpu-level", offsetof(struct evaluator_config, cpu_level), NULL, 0, 0, NULL, "force an instruction level: portable, x86-64-v3, x86-64-v4"}, \
    {OPTION_INT, "threads", offsetof(struct evaluator_config, threads), "0", 0, 1024, NULL, "threads of a rank; 0: its share of the cores"}

#endif
