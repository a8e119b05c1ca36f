/* pe-evaluator export: weights in another naming; for open_clip a folder that it loads as local-dir:FOLDER. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "evaluator/session.h"
#include "models/weights.h"

#define AT(field) offsetof(struct evaluator_config, field)
static const struct option options[] = {
    EVALUATOR_OPTIONS,
    {OPTION_CHOICE, "naming", AT(naming), "open_clip", 0, 0, "open_clip|timm|pe", "names and layout of the tensors"},
    {0}};
const struct option_program export_program = {"pe-evaluator", "export", "write weights for open_clip (a folder), timm or PE (a file)", options};

static int write_weights(struct session *s, struct error *error)
{
    const char *output = s->config->output, *naming = s->config->naming;
    if (strcmp(naming, "open_clip")) return weights_save(&s->clip, output, strcmp(naming, "timm") ? WEIGHTS_PE : WEIGHTS_TIMM, NULL, error);
    if (fs_make_folders(output, error) < 0 || weights_save_config(&s->clip, output, error) < 0) return -1;
    char *path = fs_join(output, "open_clip_model.safetensors");
    int rc = weights_save(&s->clip, path, WEIGHTS_OPEN_CLIP, NULL, error);
    free(path);
    return rc;
}

int export_run(struct session *s, struct error *error)
{
    return world_agree(s->world, s->world->rank ? 0 : write_weights(s, error), error);
}
