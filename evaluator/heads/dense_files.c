/* Pictures beside their truth, in folders:
 *
 *   ADE20K      images/{training,validation}/NAME.jpg, annotations/{training,validation}/NAME.png; or both folders flat
 *   NYU (BTS)   a list of lines "picture depth [focal length]", relative to where it lies: FOLDER is that file, or
 *               holds {train,test}.txt; without a list rgb_*.{jpg,png} beside sync_depth_*.{png,npy} in {train,test},
 *               or in FOLDER */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/fs.h"
#include "base/str.h"
#include "data/image.h"
#include "data/npy.h"
#include "data/texts.h"
#include "dist/share.h"
#include "evaluator/heads/dense.h"

/* The paths are taken. */
static void add(struct dense_set *set, char *picture, char *truth, const char *name)
{
    const char *dot = strrchr(name, '.');
    size_t len = dot && !strchr(dot, '/') ? (size_t)(dot - name) : strlen(name);
    set->list = mem_realloc(set->list, (size_t)set->count + 1, sizeof *set->list);
    set->list[set->count++] = (struct dense_pair){.picture = picture, .truth = truth, .name = strndup(name, len)};
}

void dense_set_close(struct dense_set *set)
{
    for (int64_t i = 0; i < set->count; i++) {
        free(set->list[i].picture);
        free(set->list[i].truth);
        free(set->list[i].name);
    }
    free(set->list);
    *set = (struct dense_set){0};
}

static char *with_ending(const char *name, const char *ending)
{
    struct str out = {0};
    str_append(&out, name, (size_t)(strrchr(name, '.') - name));
    str_puts(&out, ending);
    return str_steal(&out);
}

/* Every picture of a folder, its truth under the same name in the other. */
static int list_folders(struct dense_set *set, const char *pictures, const char *truths, struct error *error)
{
    struct fs_list names;
    int64_t before = set->count;
    if (fs_list(pictures, &names, error) < 0) return -1;
    for (size_t i = 0; i < names.count; i++) {
        if (!image_is_name(names.names[i])) continue;
        char *name = with_ending(names.names[i], ".png");
        add(set, fs_join(pictures, names.names[i]), fs_join(truths, name), name);
        free(name);
    }
    fs_list_free(&names);
    return set->count > before ? 0 : error_set(error, ERROR_FAILED, "%s: no pictures in this folder", pictures);
}

int dense_list_ade(struct dense_set *set, const char *folder, bool train, struct error *error)
{
    char *images = fs_join(folder, "images"), *annotations = fs_join(folder, "annotations");
    char *pictures = fs_join(images, train ? "training" : "validation"),
         *truths = fs_join(annotations, train ? "training" : "validation");
    int rc;
    if (fs_is_folder(pictures))
        rc = list_folders(set, pictures, truths, error);
    else if (fs_is_folder(images) && fs_is_folder(annotations))
        rc = list_folders(set, images, annotations, error);
    else
        rc = error_set(error, ERROR_FAILED,
                       "%s: no %s here: ADE20K's layout has images/training, images/validation "
                       "and annotations beside them",
                       folder, pictures + strlen(folder) + 1);
    free(images);
    free(annotations);
    free(pictures);
    free(truths);
    return rc;
}

/* A line "picture depth ...": its first two words. */
static int add_line(struct dense_set *set, const char *root, char *line, const char *path, int64_t number,
                    struct error *error)
{
    char *rest = NULL, *picture = strtok_r(line, " \t\r", &rest), *truth = strtok_r(NULL, " \t\r", &rest);
    if (!truth)
        return error_set(error, ERROR_FAILED, "%s: line %ld: a line is a picture, its depth, and what else may follow",
                         path, (long)number);
    picture += strspn(picture, "/");
    truth += strspn(truth, "/");
    add(set, fs_join(root, picture), fs_join(root, truth), truth);
    return 0;
}

static int list_lines(struct dense_set *set, const char *path, struct error *error)
{
    char **lines;
    const char *slash = strrchr(path, '/');
    char *root = slash ? strndup(path, (size_t)(slash - path)) : mem_strdup(".");
    int64_t count;
    int rc = texts_read(path, true, &lines, &count, error);
    if (rc == 0) {
        for (int64_t i = 0; rc == 0 && i < count; i++) rc = add_line(set, root, lines[i], path, i + 1, error);
        texts_free(lines, count);
    }
    free(root);
    return rc;
}

/* rgb_NUMBER.jpg, sync_depth_NUMBER.png (or .npy) */
static int list_named(struct dense_set *set, const char *folder, struct error *error)
{
    struct fs_list names;
    int64_t before = set->count;
    if (fs_list(folder, &names, error) < 0) return -1;
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.names[i];
        if (!str_starts_with(name, "rgb_") || !image_is_name(name)) continue;
        char *number = with_ending(name + strlen("rgb_"), ".png");
        struct str truth = {0};
        str_printf(&truth, "%s/sync_depth_%s", folder, number);
        if (!fs_exists(truth.data)) {
            char *other = with_ending(truth.data, ".npy");
            if (fs_exists(other)) {
                str_clear(&truth);
                str_puts(&truth, other);
            }
            free(other);
        }
        add(set, fs_join(folder, name), mem_strdup(truth.data), truth.data + strlen(folder) + 1);
        str_free(&truth);
        free(number);
    }
    fs_list_free(&names);
    return set->count > before ? 0
                               : error_set(error, ERROR_FAILED,
                                           "%s: neither a list (train.txt, test.txt: lines of a picture and its depth) "
                                           "nor rgb_*.jpg beside sync_depth_*.png",
                                           folder);
}

int dense_list_nyu(struct dense_set *set, const char *folder, bool train, struct error *error)
{
    if (!fs_is_folder(folder)) return list_lines(set, folder, error);
    char *side = fs_join(folder, train ? "train" : "test");
    struct str list = {0};
    str_printf(&list, "%s.txt", side);
    int rc = fs_exists(list.data) ? list_lines(set, list.data, error)
                                  : list_named(set, fs_is_folder(side) ? side : folder, error);
    str_free(&list);
    free(side);
    return rc;
}

/* --- sizes --- */

static int picture_size(const char *path, struct extent *size, struct error *error)
{
    struct fs_map file;
    struct image_info info;
    if (fs_map(path, &file, error) < 0) return -1;
    int rc = image_probe(file.bytes, file.len, &info, error);
    fs_unmap(&file);
    *size = (struct extent){info.height, info.width};
    return rc < 0 ? error_prefix(error, "%s", path) : 0;
}

static int truth_size(const char *path, struct extent *size, struct error *error)
{
    struct npy npy;
    if (!str_ends_with(path, ".npy")) return picture_size(path, size, error);
    int rc = npy_open(&npy, path, error);
    if (rc == 0 && npy.dims < 2) rc = error_set(error, ERROR_FAILED, "%s: no array [height, width]", path);
    if (rc == 0) *size = (struct extent){npy.shape[npy.dims - 2], npy.shape[npy.dims - 1]};
    npy_close(&npy);
    return rc;
}

static int measure_pair(struct dense_pair *p, struct error *error)
{
    struct extent truth = {0};
    if (!fs_exists(p->truth))
        return error_set(error, ERROR_FAILED, "%s: no such file: it is the truth of %s", p->truth, p->picture);
    if (picture_size(p->picture, &p->size, error) < 0 || truth_size(p->truth, &truth, error) < 0) return -1;
    if (extent_same(p->size, truth)) return 0;
    return error_set(error, ERROR_FAILED, "%s: %ld x %ld, its picture %s is %ld x %ld", p->truth, (long)truth.width,
                     (long)truth.height, p->picture, (long)p->size.width, (long)p->size.height);
}

int dense_measure(struct dense_set *set, const struct world *world, struct error *error)
{
    int64_t first = share_first(set->count, world->size, world->rank),
            end = share_first(set->count, world->size, world->rank + 1), failed = end;
#pragma omp parallel for schedule(dynamic, 16) reduction(min : failed)
    for (int64_t i = first; i < end; i++)
        if (measure_pair(&set->list[i], NULL) < 0 && i < failed) failed = i;
    int rc = failed < end ? measure_pair(&set->list[failed], error) : 0;
    if (world_agree(world, rc, error) < 0) return -1;
    struct extent *sizes = mem_alloc((size_t)set->count, sizeof *sizes);
    for (int64_t i = 0; i < set->count; i++) sizes[i] = set->list[i].size;
    world_gather(world, sizes, set->count, sizeof *sizes);
    for (int64_t i = 0; i < set->count; i++) set->list[i].size = sizes[i];
    free(sizes);
    return 0;
}

/* Of names and sizes: what the files hold is not read. */
uint64_t dense_set_identity(const struct dense_set *set)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < set->count; i++) {
        const struct dense_pair *p = &set->list[i];
        sum = XXH3_64bits_withSeed(p->name, strlen(p->name), sum);
        sum = XXH3_64bits_withSeed(&p->size, sizeof p->size, sum);
    }
    return sum;
}
