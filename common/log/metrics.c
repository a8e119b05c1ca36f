/* metrics.jsonl and TensorBoard event files. */
#include "log/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "log/log.h"

/* CRC-32C (Castagnoli), bit by bit: event records are tiny. */
static uint32_t crc32c(const void *bytes, size_t len)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < len; i++) {
        crc ^= ((const unsigned char *)bytes)[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0x82F63B78u & -(crc & 1));
    }
    return ~crc;
}

static uint32_t masked(const void *bytes, size_t len)
{
    uint32_t crc = crc32c(bytes, len);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void varint(struct str *out, uint64_t value)
{
    for (; value >= 128; value >>= 7) str_putc(out, (char)(value | 128));
    str_putc(out, (char)value);
}

static void field_bytes(struct str *out, int field, const void *bytes, size_t len)
{
    varint(out, (uint64_t)(field << 3 | 2));
    varint(out, len);
    str_append(out, bytes, len);
}

static void event_begin(struct str *event, int64_t step)
{
    double now = clock_wall();
    varint(event, 1 << 3 | 1);
    str_append(event, &now, 8);
    varint(event, 2 << 3 | 0);
    varint(event, (uint64_t)step);
}

static void record(FILE *file, const struct str *event)
{
    uint64_t len = event->len;
    uint32_t crc = masked(&len, 8);
    fwrite(&len, 8, 1, file);
    fwrite(&crc, 4, 1, file);
    fwrite(event->data, 1, event->len, file);
    crc = masked(event->data, event->len);
    fwrite(&crc, 4, 1, file);
    fflush(file);
}

int metrics_open(struct metrics *m, const char *folder, struct error *error)
{
    *m = (struct metrics){0};
    char *board = fs_join(folder, "tensorboard"), *lines = fs_join(folder, "metrics.jsonl");
    struct str path = {0}, event = {0};
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    int rc = fs_make_folders(board, error);
    str_printf(&path, "%s/events.out.tfevents.%.0f.%s.%d", board, clock_wall(), host, (int)getpid());
    if (rc == 0 && !(m->lines = fopen(lines, "a"))) rc = error_set(error, ERROR_FAILED, "%s: %s", lines, strerror(errno));
    if (rc == 0 && !(m->events = fopen(path.data, "wb"))) rc = error_set(error, ERROR_FAILED, "%s: %s", path.data, strerror(errno));
    if (rc == 0) {
        event_begin(&event, 0);
        field_bytes(&event, 3, "brain.Event:2", 13);
        record(m->events, &event);
    }
    str_free(&event);
    str_free(&path);
    free(board);
    free(lines);
    return rc;
}

void metrics_close(struct metrics *m)
{
    if (m->lines) fclose(m->lines);
    if (m->events) fclose(m->events);
    *m = (struct metrics){0};
}

void metrics_write(struct metrics *m, const char *prefix, int64_t step, json_t *row)
{
    struct str summary = {0}, value = {0}, tag = {0}, event = {0};
    const char *key;
    json_t *number;
    json_object_foreach(row, key, number)
    {
        if (!json_is_number(number) || !strcmp(key, "step")) continue;
        float scalar = (float)json_number_value(number);
        str_clear(&value);
        str_clear(&tag);
        str_printf(&tag, "%s/%s", prefix, key);
        field_bytes(&value, 1, tag.data, tag.len);
        varint(&value, 2 << 3 | 5);
        str_append(&value, &scalar, 4);
        field_bytes(&summary, 1, value.data, value.len);
    }
    if (m->events && summary.len) {
        event_begin(&event, step);
        field_bytes(&event, 5, summary.data, summary.len);
        record(m->events, &event);
    }
    if (m->lines) {
        char *line = json_dumps(row, JSON_COMPACT | JSON_REAL_PRECISION(9));
        fprintf(m->lines, "%s\n", line);
        fflush(m->lines);
        free(line);
    }
    if ((m->lines && ferror(m->lines)) || (m->events && ferror(m->events))) {
        log_warn("metrics of step %ld could not be written: is the disk full?", (long)step);
        clearerr(m->lines);
        clearerr(m->events);
    }
    json_decref(row);
    str_free(&summary);
    str_free(&value);
    str_free(&tag);
    str_free(&event);
}
