/* Files to tiles. */
#include "models/row_media.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "models/tiles.h"

struct reader {
    struct row_media *media;
    const struct media_options *options;
    int size, tiles;
};

static void take(const struct reader *r, struct image *pictures, int count, int tiles)
{
    struct row_media *m = r->media;
    m->width = pictures[0].width;
    m->height = pictures[0].height;
    m->pixels = mem_alloc((size_t)count * (size_t)(1 + tiles), (size_t)r->size * (size_t)r->size * 3);
    m->count = tiles_cut_all(pictures, count, r->size, tiles, m->pixels);
}

static int read_picture(const struct reader *r, const char *path, struct image *image, struct error *error)
{
    char *bytes;
    size_t len;
    if (fs_read(path, &bytes, &len, error) < 0) return -1;
    int rc = image_decode((uint8_t *)bytes, len, r->options->limits.max_pixels, image, error);
    free(bytes);
    return rc < 0 ? error_prefix(error, "%s", path) : 0;
}

/* Pictures of these files, all or none. */
static int read_pictures(const struct reader *r, char *const *paths, int count, int tiles, struct error *error)
{
    struct image *pictures = mem_alloc((size_t)count + 1, sizeof *pictures);
    int done = 0;
    while (done < count && read_picture(r, paths[done], &pictures[done], error) == 0) done++;
    if (done == count)
        take(r, pictures, count, tiles);
    else
        while (done--) image_free(&pictures[done]);
    free(pictures);
    return r->media->pixels ? 0 : -1;
}

static char *path_of(const char *root, const char *path)
{
    return *path == '/' ? mem_strdup(path) : fs_join(root, path);
}

static int read_list(const struct reader *r, const json_t *list, const char *root, struct error *error)
{
    size_t count = json_array_size(list);
    int rc = count ? 0 : error_set(error, ERROR_FAILED, "\"images\" must be an array of paths");
    char **paths = mem_zalloc(count + 1, sizeof *paths);
    for (size_t i = 0; i < count && rc == 0; i++) {
        const char *path = json_string_value(json_array_get(list, i));
        if (!path) rc = error_set(error, ERROR_FAILED, "\"images\" must be an array of paths");
        if (path) paths[i] = path_of(root, path);
    }
    if (rc == 0) rc = read_pictures(r, paths, (int)count, count == 1 ? r->tiles : 0, error);
    for (size_t i = 0; i < count; i++) free(paths[i]);
    free(paths);
    return rc;
}

static int read_video(const struct reader *r, const char *path, const json_t *row, struct error *error)
{
    struct video *v;
    int n = r->options->frames;
    if (video_open(&v, path, r->options->limits, error) < 0) return -1;
    const json_t *from = json_object_get(row, "start_time"), *to = json_object_get(row, "end_time");
    int64_t first = 0, end = video_info(v)->frames, *which = mem_alloc((size_t)n, sizeof *which);
    while (json_is_number(from) && first + 1 < end && video_time(v, first) < json_number_value(from)) first++;
    while (json_is_number(to) && end - 1 > first && video_time(v, end - 1) >= json_number_value(to)) end--;
    video_uniform(r->options->rule, end - first, n, which);
    for (int i = 0; i < n; i++) which[i] += first;
    struct image *pictures = mem_alloc((size_t)n, sizeof *pictures);
    int rc = video_read(v, which, n, pictures, error);
    if (rc == 0) take(r, pictures, n, 0);
    free(which);
    free(pictures);
    video_close(v);
    return rc;
}

/* A folder of frames; when each was shown is not known. */
static int read_frames(const struct reader *r, const char *path, const json_t *row, struct error *error)
{
    struct fs_list list;
    int64_t count = 0;
    if (json_is_number(json_object_get(row, "start_time")) || json_is_number(json_object_get(row, "end_time")))
        return error_set(
            error, ERROR_FAILED,
            "%s: a folder of frames has no times, so start_time and end_time mean nothing; make a video of "
            "it, or leave only the frames between them",
            path);
    if (fs_list(path, &list, error) < 0) return -1;
    for (size_t i = 0; i < list.count; i++)
        if (image_is_name(list.names[i]))
            list.names[count++] = list.names[i];
        else
            free(list.names[i]);
    list.count = (size_t)count;
    int n = r->options->frames;
    int64_t *which = mem_zalloc((size_t)n, sizeof *which);
    char **paths = mem_zalloc((size_t)n, sizeof *paths);
    int rc = count ? 0 : error_set(error, ERROR_FAILED, "%s: no pictures in this folder", path);
    if (rc == 0) video_uniform(r->options->rule, count, n, which);
    for (int i = 0; i < n && rc == 0; i++) paths[i] = fs_join(path, list.names[which[i]]);
    if (rc == 0) rc = read_pictures(r, paths, n, 0, error);
    for (int i = 0; i < n; i++) free(paths[i]);
    free(paths);
    free(which);
    fs_list_free(&list);
    return rc;
}

int row_media_read(struct row_media *media, const json_t *row, const char *root, const struct media_options *options,
                   int size, int tiles, struct error *error)
{
    struct reader r = {media, options, size, tiles};
    const char *image = json_string_value(json_object_get(row, "image")),
               *video = json_string_value(json_object_get(row, "video")), *name = image ? image : video;
    const json_t *images = json_object_get(row, "images");
    *media = (struct row_media){.video = !image && !images && video};
    if (!image && images) return read_list(&r, images, root, error);
    if (!name) return 0;
    char *path = path_of(root, name);
    int rc = image                ? read_pictures(&r, &path, 1, tiles, error)
             : fs_is_folder(path) ? read_frames(&r, path, row, error)
                                  : read_video(&r, path, row, error);
    free(path);
    return rc;
}
