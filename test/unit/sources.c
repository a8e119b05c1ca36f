/* Files as people hand them on: which labels and names they get, in which order, and how a collection reads them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "data/augment.h"
#include "data/collection.h"
#include "data/image.h"
#include "data/resize.h"
#include "test/harness.h"

static char *under(const char *path)
{
    return fs_join(test_folder(), path);
}

static void put(const char *path, const void *bytes, size_t len)
{
    struct error error = {0};
    char *full = under(path), *folder = mem_strdup(full);
    *strrchr(folder, '/') = 0;
    EXPECT(fs_make_folders(folder, &error) == 0 && fs_write(full, bytes, len, &error) == 0, "%s", error.text);
    free(folder);
    free(full);
}

static void say(const char *path, const char *text)
{
    put(path, text, strlen(text));
}

/* A picture whose width is told from that of the others. */
static void paint(const char *path, enum image_format format, int width)
{
    struct error error = {0};
    struct image image = {width, 8, mem_zalloc((size_t)width * 8, 3)};
    uint8_t *bytes = NULL;
    size_t len = 0;
    EXPECT(image_encode(&image, format, 90, &bytes, &len, &error) == 0, "%s", error.text);
    put(path, bytes, len);
    free(bytes);
    image_free(&image);
}

static void open_at(struct collection *c, const char *path)
{
    struct error error = {0};
    char *full = under(path);
    *c = (struct collection){0};
    EXPECT(collection_open(c, &full, 1, &error) == 0, "%s", error.text);
    free(full);
}

static void refused(const char *path, const char *says)
{
    struct error error = {0};
    struct collection c;
    char *full = under(path);
    int rc = collection_open(&c, &full, 1, &error);
    EXPECT(rc < 0 && strstr(error.text, says), "%s: %s", path, error.text);
    if (rc == 0) collection_close(&c);
    free(full);
}

/* Names of all classes, and label and key of each sample, as text. */
static void shows(const char *path, const char *expected)
{
    struct collection c;
    struct str out = {0};
    open_at(&c, path);
    if (!c.count) return;
    for (int64_t i = 0; i < c.sets->class_count; i++) str_printf(&out, "%s|", c.sets->classes[i]);
    for (int64_t i = 0; i < c.samples; i++) {
        struct error error = {0};
        struct record r = {.label = -9};
        if (collection_read(&c, i, &r, &error) < 0) {
            str_printf(&out, " (%s)", error.text);
            continue;
        }
        char *key = record_key(&r);
        str_printf(&out, " %d:%s", r.label, key);
        for (uint32_t k = 0; k < r.caption_count; k++) {
            size_t len;
            const char *text = record_caption(&r, k, &len);
            str_printf(&out, "[%.*s]", (int)len, text);
        }
        free(key);
        record_release(&r);
    }
    EXPECT(out.data && !strcmp(out.data, expected), "%s:\n%s\nexpected\n%s", path, out.data, expected);
    str_free(&out);
    collection_close(&c);
}

static void image_folders(void)
{
    paint("plain/b_c/1.webp", IMAGE_WEBP, 8);
    paint("plain/a_(old)_/deep/2.jpg", IMAGE_JPEG, 8);
    say("plain/readme.txt", "no captions");
    say("plain/index.json", "{}");
    shows("plain", "a old|b c| 0:a_(old)_/deep/2 1:b_c/1");
    say("plain/classnames.txt", " an old one \nanother\r\n");
    shows("plain", "an old one|another| 0:a_(old)_/deep/2 1:b_c/1");
    say("plain/classnames.txt", "one\n");
    refused("plain", "1 names of 2 folders");
    say("plain/classnames.txt", "one\n\n");
    refused("plain", "line 2 is empty");

    for (int i = 0; i < 11; i++) {
        char path[64];
        snprintf(path, sizeof path, "numbers/%d/p.jpg", i);
        paint(path, IMAGE_JPEG, 8);
    }
    shows("numbers", "0|1|2|3|4|5|6|7|8|9|10| 0:0/p 1:1/p 10:10/p 2:2/p 3:3/p 4:4/p 5:5/p 6:6/p 7:7/p 8:8/p 9:9/p");
    paint("years/1998/p.jpg", IMAGE_JPEG, 8);
    paint("years/2001/p.jpg", IMAGE_JPEG, 8);
    shows("years", "1998|2001| 0:1998/p 1:2001/p");

    paint("same/a_b/p.jpg", IMAGE_JPEG, 8);
    paint("same/a b/p.jpg", IMAGE_JPEG, 8);
    refused("same", "are both called \"a b\"");
    paint("flat/p.jpg", IMAGE_JPEG, 8);
    refused("flat", "neither caption files");
    say("films/run_fast/v.mp4", "no film");
    say("films/jump/v.mp4", "no film");
    shows("films", "jump|run fast| 0:jump/v 1:run_fast/v");
    say("films/v.mp4", "no film");
    shows("films", " -1:jump/v -1:run_fast/v -1:v");
}

static void pack_tar(const char *tar, const char *folder)
{
    char *output = NULL;
    int rc = test_shell(&output, "cd %s/%s && tar cf ../%s *", test_folder(), folder, tar);
    EXPECT(rc == 0, "%s", output);
    free(output);
}

static void clip_benchmark_folders(void)
{
    char path[64], name[64];
    for (int i = 0; i < 11; i++) {
        snprintf(path, sizeof path, "wds/from/s%02d.webp", i);
        paint(path, IMAGE_WEBP, 8);
        snprintf(path, sizeof path, "wds/from/s%02d.cls", i);
        say(path, i % 2 ? "1" : "0");
        snprintf(name, sizeof name, "test/%d.tar", i);
        say("wds/test/nshards.txt", "11");
        pack_tar(name, "wds/from");
        snprintf(path, sizeof path, "rm -r %s/wds/from", test_folder());
        EXPECT(test_shell(NULL, "%s", path) == 0, "rm");
    }
    say("wds/classnames.txt", "a (cat)\na dog\n");
    say("wds/zeroshot_classification_templates.txt", "a photo of {c}.\n{c}\n");
    const char *shown = "a (cat)|a dog| 0:s00 1:s01 0:s02 1:s03 0:s04 1:s05 0:s06 1:s07 0:s08 1:s09 0:s10";
    shows("wds", shown);
    shows("wds/test", shown);
    struct collection c;
    open_at(&c, "wds");
    EXPECT(c.count && c.sets->template_count == 2 && !strcmp(c.sets->templates[1], "{c}"), "templates");
    collection_close(&c);
    say("wds/test/nshards.txt", "12\n");
    refused("wds", "11.tar: no such file");
    say("wds/test/nshards.txt", "many\n");
    refused("wds", "no number of tars");
    say("wds/test/nshards.txt", "1\n");
    say("wds/dataset_type.txt", "multilabel\n");
    refused("wds", "not supported");
}

static void video_lists(void)
{
    say("videos/v7.mp4", "no film");
    say("videos/v8.txt", "no film");
    say("videos/v9.json", "{}");
    say("videos/v9.webm", "no film");
    say("videos/test.csv",
        "key,vid_key,video_id,sentence\nret0,msr7,v7,a man sings\nret1,msr8,v8,two\nret2,msr9,v9,one way@ another @\n");
    char expected[512], *csv = under("videos/test.csv"), *folder = under("videos");
    snprintf(expected, sizeof expected,
             " -1:v7.mp4:1[a man sings] (%s: line:2: no video v8.mp4 (or of another ending) beside)"
             " -1:v9.webm:3[one way][another]",
             csv);
    shows("videos/test.csv", expected);
    free(csv);
    free(folder);
}

static void records_are_the_files(void) /* PNG too, which a pack would store anew */
{
    static const enum image_format formats[] = {IMAGE_JPEG, IMAGE_PNG, IMAGE_WEBP};
    static const char *const names[] = {"kinds/c/0.jpg", "kinds/c/1.png", "kinds/c/2.webp"};
    struct error error = {0};
    for (int i = 0; i < 3; i++) {
        if (formats[i] == IMAGE_PNG) continue;
        paint(names[i], formats[i], 8 + i);
    }
    char *png = under(names[1]);
    EXPECT(test_shell(NULL, "cp test/golden/resize/source.png %s", png) == 0, "cp");
    say("kinds/c/3.jpg", "<html>");
    struct collection c;
    open_at(&c, "kinds");
    uint64_t identity = collection_identity(&c);
    for (int i = 0; i < 3; i++) {
        struct record r;
        char *path = under(names[i]), *bytes;
        size_t len;
        EXPECT(fs_read(path, &bytes, &len, &error) == 0 && collection_read(&c, i, &r, &error) == 0, "%s", error.text);
        EXPECT(r.len == len && !memcmp(r.bytes, bytes, len) && (int)r.media == (int)formats[i] && r.label == 0,
               "%s: media %d, %zu bytes of %zu", names[i], r.media, r.len, len);
        EXPECT(formats[i] == IMAGE_PNG || r.width == 8 + i, "width %d", r.width);
        record_release(&r);
        free(bytes);
        free(path);
    }
    struct record r;
    EXPECT(collection_read_texts(&c, 3, &r, &error) == 0 && r.label == 0 && !r.len, "%s", error.text);
    record_release(&r);
    EXPECT(collection_read(&c, 3, &r, &error) < 0 && strstr(error.text, "kinds: c/3: HTML"), "%s", error.text);
    collection_close(&c);
    say("kinds/c/3.jpg", "<html> ");
    open_at(&c, "kinds");
    EXPECT(collection_identity(&c) != identity, "a file of another size is another data set");
    collection_close(&c);
    free(png);
}

/* A picture in a frame of three pixels, evaluated without it, is the picture. */
static void borders(void)
{
    enum { SIZE = 6, BORDER = 3, WIDTH = 40, HEIGHT = 30, INNER_WIDTH = WIDTH - 2 * BORDER };
    struct error error = {0};
    struct image framed = {WIDTH, HEIGHT, mem_alloc(WIDTH * HEIGHT, 3)}, decoded;
    for (int i = 0; i < 3 * WIDTH * HEIGHT; i++) framed.pixels[i] = (uint8_t)(i * i / 7);
    uint8_t *bytes = NULL, expected[3 * SIZE * SIZE], found[3 * SIZE * SIZE];
    size_t len = 0;
    EXPECT(image_encode(&framed, IMAGE_WEBP, 90, &bytes, &len, &error) == 0 &&
               image_decode(bytes, len, 10000, &decoded, &error) == 0,
           "%s", error.text);
    struct image inner = {INNER_WIDTH, HEIGHT - 2 * BORDER, mem_alloc(WIDTH * HEIGHT, 3)};
    for (int y = 0; y < inner.height; y++)
        memcpy(inner.pixels + 3 * y * INNER_WIDTH, decoded.pixels + 3 * ((y + BORDER) * WIDTH + BORDER),
               3 * INNER_WIDTH);
    resize_image(&inner, expected, SIZE, SIZE);
    EXPECT(augment_evaluation(bytes, len, 10000, BORDER, SIZE, found, &error) == 0, "%s", error.text);
    EXPECT(!memcmp(found, expected, sizeof expected), "other pixels");
    EXPECT(augment_evaluation(bytes, len, 10000, HEIGHT / 2, SIZE, found, &error) < 0 &&
               strstr(error.text, "leave nothing within a border of 15"),
           "%s", error.text);
    free(bytes);
    image_free(&framed);
    image_free(&decoded);
    image_free(&inner);
}

static void half_packed(void) /* never taken for files */
{
    paint("half/c/0.jpg", IMAGE_JPEG, 8);
    say("half/pack.json", "{}");
    refused("half", "no data set here");
    refused("nowhere", "no data set here");
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"image_folders", image_folders},
                                     {"clip_benchmark_folders", clip_benchmark_folders},
                                     {"video_lists", video_lists},
                                     {"records_are_the_files", records_are_the_files},
                                     {"borders_are_cut", borders},
                                     {"half_packed", half_packed},
                                     {0}});
}
