/* pe-evaluator export: weights in another naming; for open_clip a folder that it loads as local-dir:FOLDER. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "evaluator/session.h"
#include "evaluator/verb.h"
#include "models/weights.h"

struct export_settings {
    struct session_settings session;
    char *naming;
};

static const struct option options[] = {{OPTION_TABLE, .table = session_options},
                                        {OPTION_CHOICE, "naming", offsetof(struct export_settings, naming), "open_clip",
                                         0, 0, "open_clip|timm|pe", "names and layout of the tensors"},
                                        {0}};

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

static int export(const struct world *world, const struct export_settings *c, struct error *error)
{
    struct session session;
    int rc = session_open(&session, world, &c->session, USE_WEIGHTS, error);
    if (rc == 0) rc = world_agree(world, world->rank ? 0 : write_weights(&session, c->naming, error), error);
    session_close(&session);
    return rc;
}

extern const struct verb verb_export;

static int run(const struct world *world, int argc, char **argv, struct error *error)
{
    struct option_program program = {PROGRAM, verb_export.name, verb_export.summary, options};
    struct export_settings c = {0};
    int rc = options_parse(&program, &c, argc, argv, world->rank > 0, error);
    if (rc == OPTIONS_OK) rc = export(world, &c, error);
    options_free(&program, &c);
    return rc < 0 ? -1 : 0;
}

const struct verb verb_export = {"export", "write weights for open_clip (a folder), timm or PE (a file)", run};
