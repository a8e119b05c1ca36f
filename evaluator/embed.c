/* pe-evaluator embed: pictures of a folder or lines of a text file -> float32 [n, dim] in NumPy's .npy format.
 *
 *   | 93 "NUMPY" 1 0 | u16 header length | {'descr': '<f4', 'fortran_order': False, 'shape': (n, dim), } padded, newline | data | */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "data/image.h"
#include "evaluator/session.h"

#define AT(field) offsetof(struct evaluator_config, field)
static const struct option options[] = {
    EVALUATOR_OPTIONS,
    {OPTION_STRING, "images", AT(images), NULL, 0, 0, NULL, "folder of .jpg .jpeg .png .webp, embedded in byte order of their names, or"},
    {OPTION_STRING, "texts", AT(texts), NULL, 0, 0, NULL, "file with one text a line"},
    {0}};
const struct option_program embed_program = {"pe-evaluator", "embed", "features of pictures or texts as .npy, rows of unit length", options};

static int write_npy(const char *path, const float *data, int64_t rows, int64_t cols, struct error *error)
{
    struct str file = {0}, header = {0};
    str_printf(&header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%ld, %ld), }", (long)rows, (long)cols);
    while ((10 + header.len + 1) % 64) str_putc(&header, ' ');
    str_putc(&header, '\n');
    str_append(&file, "\x93NUMPY\x01\x00", 8);
    str_putc(&file, (char)(header.len & 255));
    str_putc(&file, (char)(header.len >> 8));
    str_append(&file, header.data, header.len);
    str_append(&file, data, (size_t)(rows * cols) * sizeof *data);
    int rc = fs_write(path, file.data, file.len, error);
    str_free(&file);
    str_free(&header);
    return rc;
}

static int list_pictures(const char *folder, char ***paths, int64_t *count, struct error *error)
{
    struct fs_list list;
    if (fs_list(folder, &list, error) < 0) return -1;
    char **out = mem_alloc(list.count + 1, sizeof *out);
    int64_t n = 0;
    for (size_t i = 0; i < list.count; i++)
        if (image_is_name(list.names[i])) out[n++] = fs_join(folder, list.names[i]);
    fs_list_free(&list);
    *paths = out;
    *count = n;
    return n ? 0 : error_set(error, ERROR_FAILED, "%s: no pictures (.jpg .jpeg .png .webp)", folder);
}

int embed_run(struct session *s, struct error *error)
{
    const struct evaluator_config *c = s->config;
    char **items = NULL;
    int64_t count = 0, dim = s->clip.config.embed_dim;
    int rc = !c->images == !c->texts ? error_set(error, ERROR_USAGE, "give either --images or --texts")
             : c->images             ? list_pictures(c->images, &items, &count, error)
                                     : lines_read(c->texts, false, &items, &count, error);
    if (world_agree(s->world, rc, error) < 0) return -1;
    float *features = mem_map((size_t)(count * dim), sizeof *features);
    if (c->images) rc = embed_files(&s->embedder, items, count, features, error);
    else rc = embed_texts(&s->embedder, items, count, features, error);
    if (rc == 0 && !s->world->rank) rc = write_npy(c->output, features, count, dim, error);
    mem_unmap(features, (size_t)(count * dim), sizeof *features);
    lines_free(items, count);
    return world_agree(s->world, rc, error);
}
