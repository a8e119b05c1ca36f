/* pe-evaluator embed: pictures of a folder or lines of a text file -> float32 [n, dim] in NumPy's .npy format. */
#include <stdlib.h>
#include <string.h>

#include "data/npy.h"
#include "evaluator/pictures.h"
#include "evaluator/task.h"
#include "serve/table.h"
#include "serve/texts.h"

struct self {
    char *images, *texts; /* options */
    char **items;         /* [count] paths or lines */
    int64_t count;
    struct feature_table table; /* of images */
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_STRING, "images", AT(images), NULL, 0, 0, NULL,
     "folder of .jpg .jpeg .png .webp, embedded in byte order of their names, or"},
    {OPTION_STRING, "texts", AT(texts), NULL, 0, 0, NULL, "file with one text a line"},
    {OPTION_TABLE, .table = media_pictures_options},
    {0}};
/* clang-format on */

static enum session_use use(const void *self)
{
    return ((const struct self *)self)->images ? USE_PICTURES : USE_TEXTS;
}

static int open_embed(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    if (!x->images == !x->texts) return error_set(error, ERROR_USAGE, "give either --images or --texts");
    if (x->texts) return texts_read(x->texts, false, &x->items, &x->count, error);
    if (pictures_list(x->images, &x->items, &x->count, error) < 0) return -1;
    const struct encoder *encoder = &s->embedder.encoder;
    if (!encoder->columns(encoder->self, encoder->layers, FEATURE_EMBEDDING))
        return error_set(error, ERROR_USAGE, "%s: a tower without pooling has no embeddings of pictures",
                         s->towers.config.name);
    feature_table_open(&x->table, encoder, x->count, (struct want){encoder->layers, FEATURE_EMBEDDING});
    input_add(session_files(s, x->items, x->count), feature_table_taker(&x->table));
    return 0;
}

static int write_rows(const struct session *s, const float *rows, int64_t count, int64_t dim, struct error *error)
{
    return world_agree(s->world, s->world->rank ? 0 : npy_write(s->output, rows, count, dim, error), error);
}

static int report(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    if (x->images) return write_rows(s, x->table.rows, x->count, x->table.cols, error);
    int64_t dim = s->embedder.text->output;
    float *features = mem_map((size_t)(x->count * dim), sizeof *features);
    int rc = texts_embed(&s->embedder, x->items, x->count, features, error);
    if (rc == 0) rc = write_rows(s, features, x->count, dim, error);
    mem_unmap(features, (size_t)(x->count * dim), sizeof *features);
    return rc;
}

static void close_embed(void *self)
{
    struct self *x = self;
    texts_free(x->items, x->count);
    feature_table_close(&x->table);
}

const struct task task_embed = {
    .name = "embed",
    .summary = "features of pictures or texts as .npy, rows of unit length",
    .options = options,
    .bytes = sizeof(struct self),
    .use = use,
    .open = open_embed,
    .report = report,
    .close = close_embed,
};
