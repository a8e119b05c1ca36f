/* metrics.jsonl and TensorBoard event files. */
#include "log/metrics.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "log/log.h"

enum { FILE_VERSION = 3, SUMMARY = 5, SESSION_LOG = 7 }; /* fields of an Event */
enum { ROW_DIGITS = 13 };                                /* of metrics.jsonl: a time keeps its milliseconds */

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

/* Where the rows of a run that goes on from `step` end: before the first of a later step, or before what is no whole
 * row. */
static size_t rows_end(const char *text, size_t len, int64_t step)
{
    size_t at = 0;
    while (at < len) {
        const char *end = memchr(text + at, '\n', len - at);
        json_t *row = end ? json_loadb(text + at, (size_t)(end - text) - at, 0, NULL) : NULL;
        const json_t *number = json_object_get(row, "step");
        bool stays = json_is_integer(number) && json_integer_value(number) <= step;
        json_decref(row);
        if (!stays) break;
        at = (size_t)(end - text) + 1;
    }
    return at;
}

static int open_lines(struct metrics *m, const char *path, int64_t step, struct error *error)
{
    char *text = NULL;
    size_t len = 0, end;
    if (fs_exists(path) && fs_read(path, &text, &len, error) < 0) return -1;
    end = rows_end(text, len, step);
    free(text);
    if (end < len && truncate(path, (off_t)end) < 0)
        return error_set(error, ERROR_FAILED, "%s: cannot cut back to step %ld: %s", path, (long)step, strerror(errno));
    m->lines = fopen(path, "a");
    return m->lines ? 0 : error_set(error, ERROR_FAILED, "%s: %s", path, strerror(errno));
}

static void write_event(struct metrics *m, int64_t step, int field, const void *bytes, size_t len)
{
    struct str event = {0};
    event_begin(&event, step);
    field_bytes(&event, field, bytes, len);
    record(m->events, &event);
    str_free(&event);
}

static int open_events(struct metrics *m, const char *folder, int64_t step, struct error *error)
{
    static const char version[] = "brain.Event:2", start[] = {1 << 3, 1}; /* status = START */
    char host[64] = "";
    struct str path = {0};
    gethostname(host, sizeof host - 1);
    str_printf(&path, "%s/events.out.tfevents.%.0f.%s.%d", folder, clock_wall(), host, (int)getpid());
    int rc = fs_make_folders(folder, error);
    if (rc == 0 && !(m->events = fopen(path.data, "wb")))
        rc = error_set(error, ERROR_FAILED, "%s: %s", path.data, strerror(errno));
    if (rc == 0) {
        write_event(m, 0, FILE_VERSION, version, sizeof version - 1);
        write_event(m, step + 1, SESSION_LOG, start, sizeof start);
    }
    str_free(&path);
    return rc;
}

int metrics_open(struct metrics *m, const char *folder, int64_t step, struct error *error)
{
    *m = (struct metrics){0};
    char *board = fs_join(folder, "tensorboard"), *lines = fs_join(folder, "metrics.jsonl");
    int rc = open_lines(m, lines, step, error);
    if (rc == 0) rc = open_events(m, board, step, error);
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

/* The numbers of a row as a Summary message. */
static void summarise(struct str *summary, const char *split, const json_t *row)
{
    struct str value = {0}, tag = {0};
    const char *key;
    json_t *number;
    json_object_foreach ((json_t *)(uintptr_t)row, key, number) {
        if (!json_is_number(number)) continue;
        float scalar = (float)json_number_value(number);
        str_clear(&value);
        str_clear(&tag);
        str_printf(&tag, "%s/%s", split, key);
        field_bytes(&value, 1, tag.data, tag.len);
        varint(&value, 2 << 3 | 5);
        str_append(&value, &scalar, 4);
        field_bytes(summary, 1, value.data, value.len);
    }
    str_free(&value);
    str_free(&tag);
}

void metrics_write(struct metrics *m, const char *split, int64_t step, json_t *row)
{
    struct str summary = {0};
    json_t *whole = json_pack("{s:I, s:s, s:f}", "step", (json_int_t)step, "split", split, "time", clock_wall());
    summarise(&summary, split, row);
    json_object_update(whole, row);
    if (m->events && summary.len) write_event(m, step, SUMMARY, summary.data, summary.len);
    if (m->lines) {
        char *line = json_dumps(whole, JSON_COMPACT | JSON_REAL_PRECISION(ROW_DIGITS));
        fprintf(m->lines, "%s\n", line);
        fflush(m->lines);
        free(line);
    }
    if ((m->lines && ferror(m->lines)) || (m->events && ferror(m->events))) {
        log_warn("metrics of step %ld could not be written: is the disk full?", (long)step);
        clearerr(m->lines);
        clearerr(m->events);
    }
    json_decref(whole);
    json_decref(row);
    str_free(&summary);
}
