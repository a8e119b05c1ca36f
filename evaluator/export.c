/* The file, or the folder. */
#include "evaluator/export.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "models/weights.h"

static const struct option options[] = {{OPTION_CHOICE, "naming", offsetof(struct export_settings, naming), "open_clip",
                                         0, 0, "open_clip|timm|pe", "names and layout of the tensors"},
                                        {0}};

const struct option_program export_program = {"pe-evaluator", "export",
                                              "write weights for open_clip (a folder), timm or PE (a file)", options};

static int write_weights(const struct session *s, const char *naming, struct error *error)
{
    const char *output = s->settings->output;
    if (strcmp(naming, "open_clip"))
        return weights_save(&s->towers, output, strcmp(naming, "timm") ? WEIGHTS_PE : WEIGHTS_TIMM, NULL, error);
    if (fs_make_folders(output, error) < 0 || weights_save_config(&s->towers, output, error) < 0) return -1;
    char *path = fs_join(output, "open_clip_model.safetensors");
    int rc = weights_save(&s->towers, path, WEIGHTS_OPEN_CLIP, NULL, error);
    free(path);
    return rc;
}

int export_run(const struct export_settings *config, struct session *s, struct error *error)
{
    return world_agree(s->world, s->world->rank ? 0 : write_weights(s, config->naming, error), error);
}
