/* A small test harness.  A test program lists its cases and calls test_main; a case states expectations.
 *
 *   static void adds(void) { EXPECT(1 + 1 == 2, "%d", 1 + 1); }
 *   int main(int argc, char **argv) { return test_main(argc, argv, (struct test[]){{"adds", adds}, {0}}); }
 *
 * Each case prints "ok NAME" or "not ok NAME" with what was expected and found; test/run adds the programs up. */
#ifndef TEST_HARNESS_H
#define TEST_HARNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/device.h"
#include "base/error.h"
#include "base/memory.h"
#include "checkpoint/safetensors.h"

struct test {
    const char *name;
    void (*run)(void);
};

int test_main(int argc, char **argv, const struct test *tests); /* argv[1]: run only cases with this in their name */

#define EXPECT(condition, ...) \
    do { \
        if (!(condition)) test_fail(__FILE__, __LINE__, #condition, __VA_ARGS__); \
    } while (0)
void test_fail(const char *file, int line, const char *text, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Largest |a - b| <= bound * (|b|max or 1e-30): prints first index, both values and the bound. Returns relative error.
 * */
double test_close(const char *what, const float *a, const float *b, int64_t count, double bound);

/* Floats on the device as `real`, or as they are when wide; and back.  to_device: caller unmaps count * element bytes.
 * */
void *test_to_device(struct device *device, const float *host, int64_t count, bool wide);
void test_from_device(struct device *device, float *host, const void *there, int64_t count, bool wide);

/* A tensor of golden vectors as floats in the arena; NULL when it is not there. */
float *test_vector(struct arena *arena, const struct safetensors *vectors, const char *name, int64_t *count);
/* Every tensor of the file `saved` (gradients written as if they were weights) against the vector "grad." + its name,
 * but a zero head bias; how many. */
int test_gradients(struct arena *arena, const struct safetensors *vectors, const char *saved, double bound);

/* A fresh folder under the system's temporary folder, removed at exit; the string stays valid. */
const char *test_folder(void);
/* Run a shell command; returns its exit status, stdout and stderr in *output (caller frees) when not NULL. */
int test_shell(char **output, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
