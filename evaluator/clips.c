/* Reading DAVIS folders. */
#include "evaluator/clips.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"
#include "data/image.h"
#include "evaluator/metrics/davis.h"
#include "evaluator/sequences.h"
#include "serve/texts.h"

/* --- one sequence --- */

/* NAME.png in `folder` for a picture NAME.jpg; NULL when it is not there. */
static char *mask_beside(const char *folder, const char *picture)
{
    struct str name = {0};
    str_printf(&name, "%.*s.png", (int)(strrchr(picture, '.') - picture), picture);
    char *path = fs_join(folder, name.data);
    str_free(&name);
    if (fs_exists(path)) return path;
    free(path);
    return NULL;
}

static int list_frames(struct clips *s, struct clip *q, const char *pictures, const char *masks, struct error *error)
{
    struct fs_list list;
    if (fs_list(pictures, &list, error) < 0) return -1;
    size_t room = (size_t)s->frame_count + list.count + 1;
    s->frames = mem_realloc(s->frames, room, sizeof *s->frames);
    s->masks = mem_realloc(s->masks, room, sizeof *s->masks);
    for (size_t i = 0; i < list.count; i++) {
        if (!image_is_name(list.names[i])) continue;
        s->frames[s->frame_count] = fs_join(pictures, list.names[i]);
        s->masks[s->frame_count++] = mask_beside(masks, list.names[i]);
        q->frames++;
    }
    fs_list_free(&list);
    if (q->frames < 2) return error_set(error, ERROR_FAILED, "%s: %ld frames", pictures, (long)q->frames);
    if (!s->masks[q->first]) return error_set(error, ERROR_FAILED, "%s: no mask of the first frame", masks);
    return 0;
}

static int read_size(struct clip *q, const char *path, struct error *error)
{
    char *bytes;
    size_t len;
    struct image_info info;
    if (fs_read(path, &bytes, &len, error) < 0) return -1;
    int rc = image_probe((const uint8_t *)bytes, len, &info, error);
    free(bytes);
    q->size = (struct extent){info.height, info.width};
    return rc < 0 ? error_prefix(error, "%s", path) : 0;
}

static int read_objects(const struct clips *s, struct clip *q, struct error *error)
{
    struct mask mask;
    if (clips_mask(s, q->first, &mask, error) < 0) return -1;
    q->objects = davis_objects(mask.pixels, extent_area(q->size));
    mask_free(&mask);
    return q->objects ? 0 : error_set(error, ERROR_FAILED, "%s: no object in it", s->masks[q->first]);
}

/* Masks of all frames, or of the first alone. */
static int look_for_truth(struct clips *s, const struct clip *q, struct error *error)
{
    int64_t there = 0, missing = 0;
    for (int64_t i = q->first; i < q->first + q->frames; i++) {
        there += s->masks[i] != NULL;
        if (!s->masks[i] && !missing) missing = i;
    }
    bool scored = there == q->frames;
    if (!scored && there > 1)
        return error_set(error, ERROR_FAILED, "%s: %ld of %ld frames have a mask: give all, or the first alone",
                         s->frames[missing], (long)there, (long)q->frames);
    if (scored && q->frames < 3)
        return error_set(error, ERROR_FAILED, "%s: the first and the last frame are not scored, and no other is there",
                         q->name);
    if (q == s->list) s->scored = scored;
    if (scored == s->scored) return 0;
    return error_set(error, ERROR_FAILED, "%s has masks of %s, %s of %s: measure them apart", s->list[0].name,
                     s->scored ? "all frames" : "the first frame", q->name, scored ? "all" : "the first");
}

static int add_clip(struct clips *s, const char *pictures, const char *masks, const char *name, struct error *error)
{
    struct clip *q = &s->list[s->count++];
    char *from = fs_join(pictures, name), *beside = fs_join(masks, name);
    *q = (struct clip){.name = mem_strdup(name), .first = s->frame_count};
    int rc = list_frames(s, q, from, beside, error);
    if (rc == 0) rc = read_size(q, s->frames[q->first], error);
    if (rc == 0) rc = read_objects(s, q, error);
    if (rc == 0) rc = look_for_truth(s, q, error);
    free(from);
    free(beside);
    return rc;
}

int clips_open(struct clips *s, const char *folder, const char *file, int64_t max_pixels, struct error *error)
{
    *s = (struct clips){.max_pixels = max_pixels};
    char **names = NULL, *pictures = fs_join(folder, "JPEGImages/480p"), *masks = fs_join(folder, "Annotations/480p");
    int64_t count = 0;
    int rc = fs_is_folder(pictures) && fs_is_folder(masks)
                 ? sequences_read(folder, pictures, file, &names, &count, error)
                 : error_set(error, ERROR_FAILED,
                             "%s: not both JPEGImages/480p and Annotations/480p are in it: give a "
                             "folder of DAVIS's layout",
                             folder);
    s->list = mem_zalloc((size_t)count + 1, sizeof *s->list);
    for (int64_t i = 0; i < count && rc == 0; i++) rc = add_clip(s, pictures, masks, names[i], error);
    texts_free(names, count);
    free(pictures);
    free(masks);
    return rc;
}

void clips_close(struct clips *s)
{
    for (int64_t i = 0; i < s->count; i++) free(s->list[i].name);
    for (int64_t i = 0; i < s->frame_count; i++) free(s->frames[i]), free(s->masks[i]);
    free(s->list);
    free(s->frames);
    free(s->masks);
    *s = (struct clips){0};
}

int64_t clips_of_frame(const struct clips *s, int64_t frame)
{
    int64_t low = 0, end = s->count;
    while (end - low > 1) {
        int64_t middle = (low + end) / 2;
        if (s->list[middle].first <= frame)
            low = middle;
        else
            end = middle;
    }
    return low;
}

int clips_mask(const struct clips *s, int64_t frame, struct mask *mask, struct error *error)
{
    const struct clip *q = &s->list[clips_of_frame(s, frame)];
    const char *path = s->masks[frame];
    if (mask_read(path, s->max_pixels, mask, error) < 0) return -1;
    int rc = 0;
    if (mask->bits == 16)
        rc = error_set(error, ERROR_FAILED, "%s: 16-bit grey is no mask: save objects as palette index", path);
    else if (mask->width != q->size.width || mask->height != q->size.height)
        rc = error_set(error, ERROR_FAILED, "%s: %d x %d, the frames of %s are %ld x %ld", path, mask->width,
                       mask->height, q->name, (long)q->size.width, (long)q->size.height);
    if (rc < 0) mask_free(mask);
    return rc;
}

/* In double, as the reference. */
struct extent clips_fit(struct extent size, int64_t short_side, int64_t multiple)
{
    bool high = size.height > size.width;
    double ratio = high ? (double)size.height / (double)size.width : (double)size.width / (double)size.height;
    int64_t longer = (int64_t)((double)short_side * ratio) / multiple * multiple;
    return high ? (struct extent){longer, short_side} : (struct extent){short_side, longer};
}
