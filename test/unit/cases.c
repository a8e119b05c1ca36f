/* Parsers on cases that are folders: test/cases/PARSER/CASE/{input,expected}.  A parser's result is printed as text and
 * compared with `expected`; --update writes it instead. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fs.h"
#include "base/str.h"
#include "checkpoint/pytorch.h"
#include "data/image.h"
#include "data/mask.h"
#include "data/npy.h"
#include "data/record.h"
#include "data/shard.h"
#include "data/manifest.h"
#include "data/source.h"
#include "models/config.h"
#include "test/harness.h"

static bool update;

static void show_image(const uint8_t *bytes, size_t len, struct str *out)
{
    struct error error = {0};
    struct image image;
    if (image_decode(bytes, len, 1 << 20, &image, &error) < 0) {
        str_printf(out, "error: %s\n", error.text);
        return;
    }
    str_printf(out, "%d x %d\n", image.width, image.height);
    const int at[][2] = {{0, 0}, {image.width - 1, 0}, {0, image.height - 1}, {image.width / 2, image.height / 2}};
    for (int i = 0; i < 4; i++) {
        const uint8_t *p = image.pixels + 3 * (at[i][1] * image.width + at[i][0]);
        str_printf(out, "(%d, %d): %d %d %d\n", at[i][0], at[i][1], p[0], p[1], p[2]);
    }
    image_free(&image);
}

static void show_mask(const uint8_t *bytes, size_t len, struct str *out)
{
    struct error error = {0};
    struct mask mask;
    if (mask_decode(bytes, len, 1 << 20, &mask, &error) < 0) {
        str_printf(out, "error: %s\n", error.text);
        return;
    }
    str_printf(out, "%d x %d, %s of %d bits\n", mask.width, mask.height, mask.palette ? "palette" : "grey", mask.bits);
    for (int y = 0; y < mask.height; y++)
        for (int x = 0; x < mask.width; x++)
            str_printf(out, x + 1 < mask.width ? "%d " : "%d\n", mask.pixels[y * mask.width + x]);
    mask_free(&mask);
}

static void show_npy(const uint8_t *bytes, size_t len, struct str *out)
{
    struct error error = {0};
    struct npy npy = {0};
    if (npy_parse(&npy, "case", bytes, len, &error) < 0) {
        str_printf(out, "error: %s\n", error.text);
        return;
    }
    str_printf(out, "%s%d [", npy.real ? "real" : "integer", 8 * npy.bytes);
    for (int d = 0; d < npy.dims; d++) str_printf(out, d ? ", %ld" : "%ld", (long)npy.shape[d]);
    str_puts(out, "]:");
    for (int64_t i = 0, whole; i < npy.count && i < 64; i++) {
        double real;
        npy_reals(&npy, i, 1, &real);
        str_printf(out, " %.17g", real);
        if (npy.real) continue;
        npy_integers(&npy, i, 1, &whole);
        if ((double)whole != real) str_printf(out, " (%ld)", (long)whole);
    }
    str_putc(out, '\n');
}

static void show_sample(const struct sample *s, int rc, const struct error *error, struct str *out)
{
    str_printf(out, "%.60s%s:", s->key ? s->key : "?", s->key && strlen(s->key) > 60 ? "..." : "");
    if (rc < 0) {
        str_printf(out, " error: %s\n", error->text);
        return;
    }
    str_printf(out, " %zu bytes, label %d,", s->len, s->label);
    struct record r = {.captions = s->captions.data, .caption_count = s->caption_count};
    for (uint32_t i = 0; i < s->caption_count; i++) {
        size_t n;
        const char *text = record_caption(&r, i, &n);
        str_printf(out, " \"%.*s\"", (int)n, text);
    }
    char *metadata = s->metadata ? json_dumps(s->metadata, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    str_printf(out, " %s\n", metadata ? metadata : "");
    free(metadata);
}

static void show_tar(const uint8_t *bytes, size_t len, struct str *out)
{
    struct error error = {0};
    struct sources all = {.list = calloc(1, sizeof(struct source)), .source_count = 1};
    if (tar_parse(all.list, "case.tar", bytes, len, &error) < 0) {
        str_printf(out, "error: %s\n", error.text);
        free(all.list);
        return;
    }
    for (int64_t i = 0; i < all.list->count; i++) {
        struct error why = {0};
        struct sample s;
        const struct source *from;
        int rc = sources_read(&all, i, true, &s, &from, &why);
        show_sample(&s, rc, &why, out);
        sample_free(&s);
    }
    sources_close(&all);
}

static void show_rows(json_t *rows, struct str *out)
{
    char *text = json_dumps(rows, JSON_INDENT(1));
    str_printf(out, "%s\n", text);
    free(text);
    json_decref(rows);
}

static void show_csv(const uint8_t *bytes, size_t len, struct str *out)
{
    show_rows(manifest_parse_table((const char *)bytes, len, ','), out);
}
static void show_tsv(const uint8_t *bytes, size_t len, struct str *out)
{
    show_rows(manifest_parse_table((const char *)bytes, len, '\t'), out);
}
static void show_jsonl(const uint8_t *bytes, size_t len, struct str *out)
{
    show_rows(manifest_parse_lines((const char *)bytes, len), out);
}

static void show_tensors(int (*parse)(struct safetensors *, const char *, const unsigned char *, size_t,
                                      struct error *),
                         const uint8_t *bytes, size_t len, struct str *out)
{
    struct error error = {0};
    struct safetensors file;
    if (parse(&file, "case", bytes, len, &error) < 0) {
        str_printf(out, "error: %s\n", error.text);
        return;
    }
    for (int64_t i = 0; i < file.count; i++) {
        const struct safetensors_entry *e = &file.entries[i];
        float values[8];
        str_printf(out, "%s [", e->name);
        for (int d = 0; d < e->ndim; d++) str_printf(out, d ? ", %ld" : "%ld", (long)e->shape[d]);
        str_puts(out, "]:");
        int64_t n = e->count < 8 ? e->count : 8;
        if (safetensors_read(&file, e, 0, n, values, &error) < 0)
            str_printf(out, " error: %s", error.text);
        else
            for (int64_t k = 0; k < n; k++) str_printf(out, " %.7g", (double)values[k]);
        str_putc(out, '\n');
    }
    safetensors_close(&file);
}

static void show_safetensors(const uint8_t *bytes, size_t len, struct str *out)
{
    show_tensors(safetensors_parse, bytes, len, out);
}
static void show_pytorch(const uint8_t *bytes, size_t len, struct str *out)
{
    show_tensors(pytorch_parse, bytes, len, out);
}

static void show_model(const uint8_t *bytes, size_t len, struct str *out)
{
    struct error error = {0};
    struct model_config config;
    json_t *root = json_loadb((const char *)bytes, len, 0, NULL);
    if (model_config_parse(&config, "case", root, &error) < 0)
        str_printf(out, "error: %s\n", error.text);
    else
        show_rows(model_config_json(&config), out);
    json_decref(root);
}

static void show_shard(const uint8_t *bytes, size_t len, struct str *out)
{
    struct shard_reader reader;
    if (shard_parse(&reader, (struct fs_map){bytes, len}) < 0) {
        str_puts(out, "error: no shard\n");
        return;
    }
    str_printf(out, "%ld records\n", (long)reader.records);
    for (int64_t key = 0; key < 4; key++) {
        struct error error = {0};
        struct record r;
        const uint8_t *value;
        size_t n;
        int rc = shard_find(&reader, key, &value, &n, &error);
        if (rc == 0) rc = record_decode(value, n, &r, &error);
        if (rc < 0)
            str_printf(out, "%ld: error: %s\n", (long)key, error.text);
        else
            str_printf(out, "%ld: label %d, %zu bytes of %d\n", (long)key, r.label, r.len, r.bytes[r.len - 1]);
    }
}

static void run_cases(const char *parser, void (*show)(const uint8_t *, size_t, struct str *))
{
    struct error error = {0};
    struct fs_list list;
    char *folder = fs_join("test/cases", parser);
    EXPECT(fs_list(folder, &list, &error) == 0 && list.count > 0, "%s", error.text);
    for (size_t i = 0; i < list.count; i++) {
        char *place = fs_join(folder, list.names[i]), *input = fs_join(place, "input"),
             *path = fs_join(place, "expected"), *bytes = NULL, *expected = NULL;
        size_t len, want;
        struct str out = {0};
        EXPECT(fs_read(input, &bytes, &len, &error) == 0, "%s", error.text);
        show((const uint8_t *)bytes, len, &out);
        if (update) fs_write(path, out.data, out.len, &error);
        EXPECT(fs_read(path, &expected, &want, &error) == 0, "%s", error.text);
        EXPECT(expected && want == out.len && !memcmp(expected, out.data, want), "%s gives\n%s instead of\n%s", place,
               out.data, expected ? expected : "");
        str_free(&out);
        free(place);
        free(input);
        free(path);
        free(bytes);
        free(expected);
    }
    fs_list_free(&list);
    free(folder);
}

/* Every beginning and every end of each case, laid against memory that may not be touched: no parser reads beyond a
 * file that is cut short. */
static void cut_cases(const char *parser, void (*show)(const uint8_t *, size_t, struct str *))
{
    enum { PAGE = 1 << 16, LONGEST = 4096 };
    struct error error = {0};
    struct fs_list list;
    char *folder = fs_join("test/cases", parser);
    uint8_t *fence = (uint8_t *)mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + PAGE;
    EXPECT(mprotect(fence, PAGE, PROT_NONE) == 0 && fs_list(folder, &list, &error) == 0, "%s", error.text);
    for (size_t i = 0; i < list.count; i++) {
        char *place = fs_join(folder, list.names[i]), *input = fs_join(place, "input"), *bytes = NULL;
        size_t len = 0;
        EXPECT(fs_read(input, &bytes, &len, &error) == 0, "%s", error.text);
        for (size_t n = 0; n < len && n <= LONGEST; n++) {
            struct str out = {0};
            show(memcpy(fence - n, bytes, n), n, &out);
            show(memcpy(fence - n, bytes + len - n, n), n, &out);
            str_free(&out);
        }
        free(place);
        free(input);
        free(bytes);
    }
    munmap(fence - PAGE, 2 * PAGE);
    fs_list_free(&list);
    free(folder);
}

static void cases_cut_short(void)
{
    cut_cases("pytorch", show_pytorch);
    cut_cases("safetensors", show_safetensors);
    cut_cases("tar", show_tar);
    cut_cases("shard", show_shard);
    cut_cases("csv", show_csv);
    cut_cases("jsonl", show_jsonl);
    cut_cases("mask", show_mask);
    cut_cases("npy", show_npy);
}

static void cases_image(void)
{
    run_cases("image", show_image);
}
static void cases_mask(void)
{
    run_cases("mask", show_mask);
}
static void cases_npy(void)
{
    run_cases("npy", show_npy);
}
static void cases_tar(void)
{
    run_cases("tar", show_tar);
}
static void cases_shard(void)
{
    run_cases("shard", show_shard);
}
static void cases_csv(void)
{
    run_cases("csv", show_csv);
}
static void cases_tsv(void)
{
    run_cases("tsv", show_tsv);
}
static void cases_jsonl(void)
{
    run_cases("jsonl", show_jsonl);
}
static void cases_safetensors(void)
{
    run_cases("safetensors", show_safetensors);
}
static void cases_pytorch(void)
{
    run_cases("pytorch", show_pytorch);
}
static void cases_model(void)
{
    run_cases("model", show_model);
}

int main(int argc, char **argv)
{
    update = argc > 1 && !strcmp(argv[1], "--update");
    return test_main(update ? 1 : argc, argv,
                     (struct test[]){{"cases_image", cases_image},
                                     {"cases_mask", cases_mask},
                                     {"cases_npy", cases_npy},
                                     {"cases_tar", cases_tar},
                                     {"cases_shard", cases_shard},
                                     {"cases_csv", cases_csv},
                                     {"cases_tsv", cases_tsv},
                                     {"cases_jsonl", cases_jsonl},
                                     {"cases_safetensors", cases_safetensors},
                                     {"cases_pytorch", cases_pytorch},
                                     {"cases_model", cases_model},
                                     {"cases_cut_short", cases_cut_short},
                                     {0}});
}
