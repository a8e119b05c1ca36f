/* The harness behind every test program. */
#include "test/harness.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"

static int failures; /* of the running case */

void test_fail(const char *file, int line, const char *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (failures++ < 8) {
        printf("  %s:%d: expected %s: ", file, line, text);
        vprintf(format, args);
        printf("\n");
    }
    va_end(args);
}

double test_close(const char *what, const float *a, const float *b, int64_t count, double bound)
{
    double top = 1e-30, worst = 0;
    int64_t at = -1;
    for (int64_t i = 0; i < count; i++)
        if (fabs((double)b[i]) > top) top = fabs((double)b[i]);
    for (int64_t i = 0; i < count; i++) {
        double gap = fabs((double)a[i] - (double)b[i]) / top;
        if (!(gap <= worst)) worst = gap;
        if (!(gap <= bound) && at < 0) at = i;
    }
    if (at >= 0)
        test_fail(__FILE__, __LINE__, "values are close", "%s[%ld]: %.9g, want %.9g, bound %.3g of %.9g (worst %.3g)",
                  what, (long)at, (double)a[at], (double)b[at], bound, top, worst);
    return worst;
}

static char folder[64];

static void remove_folder(void)
{
    struct error error = {0};
    if (*folder) fs_remove_tree(folder, &error);
}

const char *test_folder(void)
{
    if (!*folder) {
        snprintf(folder, sizeof folder, "/tmp/percept-test-XXXXXX");
        if (!mkdtemp(folder)) perror(folder), exit(1);
        atexit(remove_folder);
    }
    return folder;
}

int test_shell(char **output, const char *format, ...)
{
    struct str line = {0}, all = {0};
    char command[8192], block[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    str_printf(&line, "(%s) 2>&1", command);
    FILE *pipe = popen(line.data, "r");
    size_t got;
    while (pipe && (got = fread(block, 1, sizeof block, pipe)) > 0) str_append(&all, block, got);
    int status = pipe ? pclose(pipe) : -1;
    str_free(&line);
    if (output)
        *output = str_steal(&all);
    else
        str_free(&all);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int test_main(int argc, char **argv, const struct test *tests)
{
    int failed = 0;
    for (; tests->name; tests++) {
        if (argc > 1 && !strstr(tests->name, argv[1])) continue;
        failures = 0;
        double start = clock_seconds();
        tests->run();
        printf("%s %s (%.2f s)\n", failures ? "not ok" : "ok", tests->name, clock_seconds() - start);
        fflush(stdout);
        failed += failures > 0;
    }
    return failed > 0;
}

void *test_to_device(struct device *d, const float *host, int64_t count, bool wide)
{
    const struct kernels *k = d->kernels;
    float *there = k->map(d, (size_t)count * sizeof *there);
    k->upload(d, there, host, (size_t)count * sizeof *there);
    k->wait(d);
    if (wide || k->real_bytes == sizeof(float)) return there;
    void *narrow = k->map(d, (size_t)count * k->real_bytes);
    k->round(d, narrow, there, count);
    k->unmap(d, there, (size_t)count * sizeof *there);
    return narrow;
}

void test_from_device(struct device *d, float *host, const void *there, int64_t count, bool wide)
{
    size_t bytes = wide ? sizeof(float) : d->kernels->real_bytes;
    d->kernels->download(d, host, there, (size_t)count * bytes);
    if (bytes == sizeof(float)) return;
    /* bfloat16 is the upper half of a float; backwards, so that nothing is overwritten before it is read */
    const uint16_t *half = (const uint16_t *)(const void *)host;
    for (int64_t i = count - 1; i >= 0; i--) {
        uint32_t bits = (uint32_t)half[i] << 16;
        memcpy(host + i, &bits, sizeof bits);
    }
}

float *test_vector(struct arena *arena, const struct safetensors *vectors, const char *name, int64_t *count)
{
    struct error error = {0};
    const struct safetensors_entry *e = safetensors_find(vectors, name);
    if (!e) return NULL;
    float *out = arena_take(arena, (size_t)e->count + 1, sizeof *out);
    safetensors_read(vectors, e, 0, e->count, out, &error);
    *count = e->count;
    return out;
}

int test_gradients(struct arena *arena, const struct safetensors *vectors, const char *saved, double bound)
{
    struct error error = {0};
    struct safetensors mine;
    int rc = safetensors_open(&mine, saved, &error), compared = 0;
    EXPECT(rc == 0, "%s", error.text);
    if (rc < 0) return 0;
    double worst = 0;
    for (int64_t i = 0; i < mine.count; i++) {
        char name[300];
        int64_t n, have = 0;
        snprintf(name, sizeof name, "grad.%s", mine.entries[i].name);
        if (strlen(name) > 9 && !strcmp(name + strlen(name) - 9, "head.bias")) continue;
        float *want = test_vector(arena, vectors, name, &n),
              *got = test_vector(arena, &mine, mine.entries[i].name, &have);
        EXPECT(want && n == have, "%s", name);
        if (!want || n != have) continue;
        double gap = test_close(name, got, want, n, bound);
        worst = gap > worst ? gap : worst;
        compared++;
    }
    printf("  %d gradients, largest relative difference %.2g\n", compared, worst);
    safetensors_close(&mine);
    return compared;
}
