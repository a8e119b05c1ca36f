/* webdataset tars: members grouped by key, read from a map of the file.
 *
 *   | header 512: name 0+100, size 124+12 octal, checksum 148+8, type 156, prefix 345+155 | data, padded to 512 | ...
 *
 * A GNU long name (type L) or a pax header (type x, "path=") names the member after it. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "data/image.h"
#include "data/video.h"
#include "data/source.h"

struct part {
    const uint8_t *bytes;
    size_t len;
    bool there;
};

struct entry {
    char *key;
    struct part media, text, json, cls;
    bool video;
    char *why; /* not usable: the reason */
};

struct tar {
    struct fs_map map;
    struct entry *entries;
};

static int64_t octal(const uint8_t *field, int width)
{
    uint64_t value = 0;
    int i = 0;
    if (field[0] & 0x80) { /* base 256 */
        for (i = width - 8; i < width; i++) value = value << 8 | field[i];
        return value > INT64_MAX ? -1 : (int64_t)value;
    }
    while (i < width && field[i] == ' ') i++;
    for (; i < width && field[i] >= '0' && field[i] <= '7'; i++) value = value << 3 | (uint64_t)(field[i] - '0');
    return i < width && field[i] && field[i] != ' ' ? -1 : (int64_t)value;
}

static bool header_ok(const uint8_t *h)
{
    int64_t sum = 0;
    for (int i = 0; i < 512; i++) sum += i >= 148 && i < 156 ? ' ' : h[i];
    return sum == octal(h + 148, 8);
}

static bool escapes(const char *name)
{
    if (*name == '/' || !*name) return true;
    for (const char *at = name; at; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL)
        if (at[0] == '.' && at[1] == '.' && (at[2] == '/' || !at[2])) return true;
    return false;
}

/* The path a pax header gives, or NULL. Records: "LEN key=value\n". */
static char *pax_path(const uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        char *end;
        char number[12] = {0};
        memcpy(number, bytes + at, len - at < 11 ? len - at : 11);
        unsigned long size = strtoul(number, &end, 10);
        size_t digits = (size_t)(end - number);
        if (!digits || size <= digits + 1 || size > len - at || *end != ' ') return NULL;
        const char *key = (const char *)bytes + at + digits + 1;
        size_t rest = size - digits - 1;
        if (rest > 6 && !memcmp(key, "path=", 5)) {
            char *path = mem_zalloc(rest, 1);
            memcpy(path, key + 5, rest - 6);
            return path;
        }
        at += size;
    }
    return NULL;
}

static struct entry *entry_for(struct source *s, struct tar *t, const char *key, size_t len)
{
    if (s->count) {
        struct entry *last = &t->entries[s->count - 1];
        if (strlen(last->key) == len && !memcmp(last->key, key, len)) return last;
    }
    if (s->count % 256 == 0) t->entries = mem_realloc(t->entries, (size_t)s->count + 256, sizeof *t->entries);
    struct entry *e = &t->entries[s->count++];
    *e = (struct entry){.key = mem_zalloc(len + 1, 1)};
    memcpy(e->key, key, len);
    return e;
}

static void add_member(struct source *s, struct tar *t, const char *name, const uint8_t *bytes, size_t len)
{
    const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name, *dot = strchr(base, '.');
    if (escapes(name)) {
        struct entry *e = entry_for(s, t, name, strlen(name));
        if (!e->why) e->why = mem_strdup("path leaves the archive");
        return;
    }
    if (!dot || dot == base) return;
    struct part part = {bytes, len, true};
    bool video = video_is_name(name), picture = image_is_name(dot) || video;
    if (!picture && strcmp(dot, ".txt") && strcmp(dot, ".json") && strcmp(dot, ".cls")) return;
    struct entry *e = entry_for(s, t, name, (size_t)(dot - name));
    if (picture)
        e->media = part, e->video = video;
    else if (!strcmp(dot, ".txt"))
        e->text = part;
    else if (!strcmp(dot, ".json"))
        e->json = part;
    else
        e->cls = part;
}

static void broken(struct source *s, struct tar *t, size_t at, const char *why)
{
    struct str key = {0}, text = {0};
    str_printf(&key, "@%zu", at);
    str_printf(&text, "%s at byte %zu of the archive", why, at);
    entry_for(s, t, key.data, key.len)->why = str_steal(&text);
    str_free(&key);
}

static void member_name(const uint8_t *h, char **pending, char name[512])
{
    if (*pending) {
        snprintf(name, 512, "%s", *pending);
        free(*pending);
        *pending = NULL;
    } else if (!memcmp(h + 257, "ustar", 5) && h[345] && memcmp(h + 257, "ustar  ", 7))
        snprintf(name, 512, "%.155s/%.100s", (const char *)h + 345, (const char *)h);
    else
        snprintf(name, 512, "%.100s", (const char *)h);
    if (!strncmp(name, "./", 2)) memmove(name, name + 2, strlen(name) - 1);
}

static int tar_read(const struct source *source, int64_t index, bool media, struct sample *sample, struct error *error)
{
    const struct entry *e = &((const struct tar *)source->state)->entries[index];
    sample->key = mem_strdup(e->key);
    sample->video = e->video;
    if (e->why) return error_set(error, ERROR_FAILED, "%s", e->why);
    if (!e->media.there) return error_set(error, ERROR_FAILED, "no picture or video among the members of this key");
    for (size_t at = 0; at < e->text.len;) {
        const uint8_t *line = e->text.bytes + at, *end = memchr(line, '\n', e->text.len - at);
        size_t len = end ? (size_t)(end - line) : e->text.len - at;
        if (sample_caption(sample, (const char *)line, len, error) < 0) return -1;
        at += len + 1;
    }
    if (e->json.there) {
        json_error_t why;
        json_t *object = json_loadb((const char *)e->json.bytes, e->json.len, 0, &why);
        if (!json_is_object(object)) {
            json_decref(object);
            return error_set(error, ERROR_FAILED, "json: %s", object ? "not an object" : why.text);
        }
        if (sample_metadata(sample, object, error) < 0) return -1;
    }
    if (e->cls.there) {
        char number[16] = {0}, *end;
        memcpy(number, e->cls.bytes, e->cls.len < 15 ? e->cls.len : 15);
        long label = strtol(number, &end, 10);
        if (end == number || label < 0 || label > 1 << 30)
            return error_set(error, ERROR_FAILED, "cls: \"%s\" is no label", number);
        sample->label = (int)label;
    }
    if (!media) return 0;
    sample->media = mem_alloc(e->media.len, 1);
    memcpy(sample->media, e->media.bytes, e->media.len);
    sample->len = e->media.len;
    return 0;
}

static uint64_t tar_identity(const struct source *source)
{
    const struct tar *t = source->state;
    uint64_t identity = 0;
    for (int64_t i = 0; i < source->count; i++) {
        const struct entry *e = &t->entries[i];
        uint64_t item[] = {identity, e->media.len, e->text.len, e->json.len, e->cls.len};
        identity = XXH3_64bits_withSeed(e->key, strlen(e->key), XXH3_64bits(item, sizeof item));
    }
    return identity;
}

static void tar_close(struct source *source)
{
    struct tar *t = source->state;
    for (int64_t i = 0; i < source->count; i++) {
        free(t->entries[i].key);
        free(t->entries[i].why);
    }
    free(t->entries);
    fs_unmap(&t->map);
    free(t);
}

int tar_parse(struct source *source, const char *path, const uint8_t *b, size_t len, struct error *error)
{
    struct source s = {.path = mem_strdup(path), .read = tar_read, .identity = tar_identity, .close = tar_close};
    struct tar *t = s.state = mem_zalloc(1, sizeof *t);
    char *pending = NULL, name[512];
    size_t at = 0;
    if (len < 512 || !header_ok(b)) {
        tar_close(&s);
        free(s.path);
        return error_set(error, ERROR_FAILED, "%s: not a tar archive", path);
    }
    while (at + 512 <= len) {
        const uint8_t *h = b + at;
        if (!h[0] && !header_ok(h)) break; /* the zero block at the end */
        int64_t size = header_ok(h) ? octal(h + 124, 12) : -1;
        if (size < 0) {
            broken(&s, t, at, "damaged header");
            break;
        }
        if ((uint64_t)size > len - at - 512) {
            broken(&s, t, at, "member is cut short");
            break;
        }
        const uint8_t *data = h + 512;
        uint8_t type = h[156];
        if (type == 'L' || type == 'x') {
            char *given = type == 'x' ? pax_path(data, (size_t)size) : mem_zalloc((size_t)size + 1, 1);
            if (type == 'L') memcpy(given, data, (size_t)size);
            if (given) {
                free(pending);
                pending = given;
            }
        } else {
            member_name(h, &pending, name);
            if (type == '0' || type == 0) add_member(&s, t, name, data, (size_t)size);
        }
        at += 512 + ((size_t)size + 511) / 512 * 512;
    }
    free(pending);
    for (int64_t i = 0; i < s.count; i++) s.videos += t->entries[i].video;
    *source = s;
    return 0;
}

int tar_open(struct source *source, const char *path, struct error *error)
{
    struct fs_map map;
    if (fs_map(path, &map, error) < 0) return -1;
    if (tar_parse(source, path, map.bytes, map.len, error) < 0) {
        fs_unmap(&map);
        return -1;
    }
    ((struct tar *)source->state)->map = map;
    return 0;
}
