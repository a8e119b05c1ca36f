/* Encoding and checked decoding of records. */
#include "data/record.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/memory.h"

enum { MAGIC = 0x63655250, VERSION = 1 };

static void put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void record_release(struct record *r)
{
    free(r->memory);
    *r = (struct record){0};
}

char *record_key(const struct record *r)
{
    json_t *metadata = json_loadb(r->metadata, r->metadata_len, 0, NULL);
    const char *key = json_string_value(json_object_get(metadata, "key"));
    char *copy = mem_strdup(key ? key : "");
    json_decref(metadata);
    return copy;
}

void record_add_caption(struct str *captions, const char *text, size_t len)
{
    uint8_t size[4];
    put_u32(size, (uint32_t)len);
    str_append(captions, size, 4);
    str_append(captions, text, len);
}

const char *record_caption(const struct record *r, uint32_t i, size_t *len)
{
    CHECK(i < r->caption_count, "caption %u of %u", i, r->caption_count);
    const uint8_t *at = (const uint8_t *)r->captions;
    while (i--) at += 4 + get_u32(at);
    *len = get_u32(at);
    return (const char *)at + 4;
}

void record_put_frames(struct str *out, const struct record_frame *frames, int count)
{
    uint8_t field[8];
    put_u32(field, (uint32_t)count);
    str_append(out, field, 4);
    for (int i = 0; i < count; i++) {
        put_u32(field, (uint32_t)frames[i].len);
        put_u32(field + 4, (uint32_t)(frames[i].seconds * 1000 + .5));
        str_append(out, field, 8);
    }
    for (int i = 0; i < count; i++) str_append(out, frames[i].bytes, frames[i].len);
}

struct record_frame record_frame(const struct record *r, int i)
{
    CHECK(r->media == RECORD_FRAMES && i >= 0 && i < r->frames, "frame %d of %d", i, r->frames);
    const uint8_t *index = r->bytes + 4;
    struct record_frame frame = {.bytes = index + 8 * (size_t)r->frames};
    for (int k = 0; k < i; k++) frame.bytes += get_u32(index + 8 * (size_t)k);
    frame.len = get_u32(index + 8 * (size_t)i);
    frame.seconds = get_u32(index + 8 * (size_t)i + 4) / 1000.;
    return frame;
}

/* Do the sizes of the stored frames add up? */
static int check_frames(const struct record *r, struct error *error)
{
    size_t count = (size_t)r->frames, at = 4 + 8 * count;
    if (r->frames < 1 || r->len < 4 || get_u32(r->bytes) != count || (r->len - 4) / 8 < count)
        return error_set(error, ERROR_FAILED, "record frames do not add up");
    for (size_t i = 0; i < count; i++) {
        size_t size = get_u32(r->bytes + 4 + 8 * i);
        if (size > r->len - at) return error_set(error, ERROR_FAILED, "record frames do not add up");
        at += size;
    }
    return at == r->len ? 0 : error_set(error, ERROR_FAILED, "record frames do not add up");
}

static uint64_t checksum(const uint8_t *bytes, size_t len)
{
    return XXH3_64bits_withSeed(bytes + RECORD_HEADER, len - RECORD_HEADER, XXH3_64bits(bytes, 40));
}

void record_encode(const struct record *r, struct str *out)
{
    uint8_t header[RECORD_HEADER] = {0};
    put_u32(header, MAGIC);
    put_u32(header + 4, VERSION | (uint32_t)r->media << 16);
    put_u32(header + 8, (uint32_t)r->len);
    put_u32(header + 12, r->caption_count);
    put_u32(header + 16, (uint32_t)r->label);
    put_u32(header + 20, (uint32_t)r->metadata_len);
    put_u32(header + 24, r->captions_len);
    put_u32(header + 28, (uint32_t)r->width);
    put_u32(header + 32, (uint32_t)r->height);
    put_u32(header + 36, (uint32_t)r->frames);
    size_t start = out->len;
    str_append(out, header, sizeof header);
    str_append(out, r->bytes, r->len);
    str_append(out, r->captions, r->captions_len);
    str_append(out, r->metadata, r->metadata_len);
    uint64_t sum = checksum((uint8_t *)out->data + start, out->len - start);
    put_u32((uint8_t *)out->data + start + 40, (uint32_t)sum);
    put_u32((uint8_t *)out->data + start + 44, (uint32_t)(sum >> 32));
}

int record_decode(const uint8_t *b, size_t len, struct record *record, struct error *error)
{
    if (len < RECORD_HEADER || get_u32(b) != MAGIC) return error_set(error, ERROR_FAILED, "not a record");
    if ((get_u32(b + 4) & 0xffff) != VERSION)
        return error_set(error, ERROR_FAILED, "record version %u, this program reads %d", get_u32(b + 4) & 0xffff,
                         VERSION);
    struct record r = {.media = (enum record_media)(get_u32(b + 4) >> 16),
                       .len = get_u32(b + 8),
                       .caption_count = get_u32(b + 12),
                       .label = (int32_t)get_u32(b + 16),
                       .metadata_len = get_u32(b + 20),
                       .captions_len = get_u32(b + 24),
                       .width = (int)get_u32(b + 28),
                       .height = (int)get_u32(b + 32),
                       .frames = (int)get_u32(b + 36)};
    if (r.media != RECORD_JPEG && r.media != RECORD_WEBP && r.media != RECORD_FRAMES && r.media != RECORD_VIDEO)
        return error_set(error, ERROR_FAILED, "record media %d: made by a newer version", (int)r.media);
    if (RECORD_HEADER + (uint64_t)r.len + r.captions_len + r.metadata_len != len)
        return error_set(error, ERROR_FAILED, "record sizes do not add up");
    if (checksum(b, len) != ((uint64_t)get_u32(b + 44) << 32 | get_u32(b + 40)))
        return error_set(error, ERROR_FAILED, "record checksum does not match: damaged");
    r.bytes = b + RECORD_HEADER;
    r.captions = (const char *)r.bytes + r.len;
    r.metadata = r.captions + r.captions_len;
    size_t at = 0;
    for (uint32_t i = 0; i < r.caption_count; i++) {
        if (r.captions_len - at < 4) return error_set(error, ERROR_FAILED, "record captions are cut short");
        uint32_t size = get_u32((const uint8_t *)r.captions + at);
        if (size > r.captions_len - at - 4) return error_set(error, ERROR_FAILED, "record captions are cut short");
        at += 4 + (size_t)size;
    }
    if (at != r.captions_len) return error_set(error, ERROR_FAILED, "record captions do not add up");
    if (r.media == RECORD_FRAMES && check_frames(&r, error) < 0) return -1;
    *record = r;
    return 0;
}
