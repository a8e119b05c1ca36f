/* The tokenizer against open_clip's ids and the resize against PIL's bytes (test/golden/README.md). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "data/resize.h"
#include "data/tokenizer.h"
#include "test/harness.h"

static void tokens(int context)
{
    struct error error = {0};
    char path[64], *lines, *wanted;
    size_t len;
    snprintf(path, sizeof path, "test/golden/tokenizer/ids-%d.txt", context);
    if (fs_read("test/golden/tokenizer/lines.txt", &lines, &len, &error) < 0 ||
        fs_read(path, &wanted, &len, &error) < 0) {
        EXPECT(0, "%s", error.text);
        return;
    }
    struct tokenizer *t = tokenizer_open();
    int32_t ids[128];
    int checked = 0;
    char *want_at = wanted;
    for (char *line = lines, *next; *line; line = next) {
        next = strchr(line, '\n');
        *next++ = 0;
        char *want_end = strchr(want_at, '\n');
        *want_end = 0;
        int64_t n = tokenizer_encode(t, line, ids, context);
        char got[2048] = "";
        size_t at = 0;
        for (int64_t i = 0; i < n; i++) at += (size_t)snprintf(got + at, sizeof got - at, i ? " %d" : "%d", ids[i]);
        EXPECT(!strcmp(got, want_at), "\"%s\": %s, want %s", line, got, want_at);
        for (int64_t i = n; i < context; i++) EXPECT(ids[i] == 0, "padding of \"%s\"", line);
        want_at = want_end + 1;
        checked++;
    }
    EXPECT(checked == 64, "%d lines", checked);
    tokenizer_close(t);
    free(lines);
    free(wanted);
}

static void tokens_32(void)
{
    tokens(32);
}
static void tokens_72(void)
{
    tokens(72);
}

static void resize_with(const char *outputs, bool cubic)
{
    struct error error = {0};
    char *png, *text, *wanted;
    size_t len, all;
    struct image image;
    if (fs_read("test/golden/resize/source.png", &png, &len, &error) < 0 ||
        image_decode((uint8_t *)png, len, 1 << 20, &image, &error) < 0 ||
        fs_read("test/golden/resize/cases.txt", &text, &len, &error) < 0 ||
        fs_read(outputs, &wanted, &all, &error) < 0) {
        EXPECT(0, "%s", error.text);
        return;
    }
    size_t at = 0;
    for (char *line = text; *line && at < all; line = strchr(line, '\n') + 1) {
        int w, h;
        double b[4];
        if (sscanf(line, "%d %d %lf %lf %lf %lf", &w, &h, b, b + 1, b + 2, b + 3) != 6) break;
        size_t bytes = (size_t)w * (size_t)h * 3;
        uint8_t *out = malloc(bytes);
        if (cubic)
            resize_bicubic(&image, out, w, h);
        else
            resize_box(&image, b[0], b[1], b[2], b[3], out, w, h);
        EXPECT(at + bytes <= all && !memcmp(out, wanted + at, bytes), "%d x %d from %g %g %g %g", w, h, b[0], b[1],
               b[2], b[3]);
        at += bytes;
        free(out);
    }
    EXPECT(at == all, "%zu of %zu bytes", at, all);
    image_free(&image);
    free(png);
    free(text);
    free(wanted);
}

static void resize(void)
{
    resize_with("test/golden/resize/outputs.bin", false);
}
static void bicubic(void)
{
    resize_with("test/golden/resize/bicubic.bin", true);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"tokens_32", tokens_32},
                                     {"tokens_72", tokens_72},
                                     {"resize_equals_pil", resize},
                                     {"bicubic_equals_pil", bicubic},
                                     {0}});
}
