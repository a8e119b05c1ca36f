/* Folders of pictures and videos: with caption files beside them, or sorted into classes (ImageFolder). */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data/image.h"
#include "data/video.h"
#include "data/source.h"

struct folder {
    char **names; /* paths of pictures and videos below the folder, in byte order */
    int *labels;  /* ImageFolder, else NULL */
};

/* All pictures and videos below root/inner, depth first, in byte order. */
static int walk(struct source *s, struct folder *f, const char *root, const char *inner, bool *captions,
                struct error *error)
{
    char *path = *inner ? fs_join(root, inner) : mem_strdup(root);
    struct fs_list list;
    int rc = fs_list(path, &list, error);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        char *below = *inner ? fs_join(inner, list.names[i]) : mem_strdup(list.names[i]), *full = fs_join(root, below);
        if (fs_is_folder(full))
            rc = walk(s, f, root, below, captions, error);
        else if (image_is_name(below) || video_is_name(below)) {
            *captions |= video_is_name(below); /* need none */
            if (s->count % 1024 == 0) f->names = mem_realloc(f->names, (size_t)s->count + 1024, sizeof *f->names);
            f->names[s->count++] = mem_strdup(below);
        } else if (str_ends_with(below, ".txt") || str_ends_with(below, ".json"))
            *captions = true;
        free(below);
        free(full);
    }
    if (rc == 0) fs_list_free(&list);
    free(path);
    return rc;
}

static char *sidecar(const char *root, const char *name, const char *extension)
{
    char *path = fs_join(root, name), *dot = strrchr(path, '.');
    struct str out = {0};
    str_printf(&out, "%.*s%s", (int)(dot - path), path, extension);
    free(path);
    if (fs_exists(out.data)) return str_steal(&out);
    str_free(&out);
    return NULL;
}

static int read_text(struct sample *sample, const char *path, struct error *error)
{
    char *text;
    size_t len;
    if (fs_read(path, &text, &len, error) < 0) return -1;
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - text) - at : len - at;
        rc = sample_caption(sample, text + at, n, error);
        at += n + 1;
    }
    free(text);
    return rc;
}

static int folder_read(const struct source *s, int64_t index, struct sample *sample, struct error *error)
{
    const struct folder *f = s->state;
    const char *name = f->names[index];
    sample->key = mem_strdup(name);
    sample->video = video_is_name(name);
    *strrchr(sample->key, '.') = 0;
    if (f->labels) sample->label = f->labels[index];
    char *text = sidecar(s->path, name, ".txt"), *json = sidecar(s->path, name, ".json");
    int rc = text ? read_text(sample, text, error) : 0;
    if (rc == 0 && json) {
        char *bytes;
        size_t len;
        json_error_t why;
        rc = fs_read(json, &bytes, &len, error);
        json_t *object = rc == 0 ? json_loadb(bytes, len, 0, &why) : NULL;
        if (rc == 0) free(bytes);
        if (json_is_object(object))
            rc = sample_metadata(sample, object, error);
        else if (rc == 0) {
            json_decref(object);
            rc = error_set(error, ERROR_FAILED, "json: %s", object ? "not an object" : why.text);
        }
    }
    free(text);
    free(json);
    if (rc < 0) return -1;
    char *path = fs_join(s->path, name), *bytes;
    rc = fs_read(path, &bytes, &sample->len, error);
    free(path);
    if (rc == 0) sample->media = (uint8_t *)bytes;
    return rc;
}

static void folder_close(struct source *s)
{
    struct folder *f = s->state;
    for (int64_t i = 0; i < s->count; i++) free(f->names[i]);
    free(f->names);
    free(f->labels);
    free(f);
}

int files_open(struct source *source, const char *path, struct sources *all, struct error *error)
{
    struct source s = {.path = mem_strdup(path), .read = folder_read, .close = folder_close};
    struct folder *f = s.state = mem_zalloc(1, sizeof *f);
    bool captions = false;
    int rc = walk(&s, f, path, "", &captions, error);
    if (rc == 0 && !s.count)
        rc = error_set(error, ERROR_FAILED, "%s: no pictures (.jpg .jpeg .png .webp) or videos in this folder", path);
    if (rc == 0 && !captions) {
        f->labels = mem_alloc((size_t)s.count, sizeof *f->labels);
        for (int64_t i = 0; rc == 0 && i < s.count; i++) {
            char class[256], *slash = strchr(f->names[i], '/');
            if (!slash)
                rc = error_set(error, ERROR_FAILED,
                               "%s/%s: neither caption files beside the pictures nor a folder a class", path,
                               f->names[i]);
            else {
                snprintf(class, sizeof class, "%.*s", (int)(slash - f->names[i]), f->names[i]);
                f->labels[i] = (int)sources_class(all, class);
            }
        }
    }
    if (rc < 0) {
        folder_close(&s);
        free(s.path);
        return -1;
    }
    *source = s;
    return 0;
}
