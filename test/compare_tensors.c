/* compare_tensors A.safetensors B.safetensors: names of the tensors that are not the same in both, one a line.  Exit
 * status as cmp's: 0 none, 1 some, 2 a file cannot be read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "checkpoint/safetensors.h"

/* 1: the same shape and values, bit by bit. */
static int same(const struct safetensors *a, const struct safetensors_entry *x, const struct safetensors *b,
                const struct safetensors_entry *y, struct error *error)
{
    if (!y || x->ndim != y->ndim || memcmp(x->shape, y->shape, (size_t)x->ndim * sizeof *x->shape)) return 0;
    size_t count = (size_t)x->count;
    float *one = mem_alloc(count + 1, sizeof *one), *two = mem_alloc(count + 1, sizeof *two);
    int rc = safetensors_read(a, x, 0, x->count, one, error) < 0 || safetensors_read(b, y, 0, y->count, two, error) < 0
                 ? -1
                 : !memcmp(one, two, count * sizeof *one);
    free(one);
    free(two);
    return rc;
}

/* Tensors of a that b has not, or other: how many, or -1.  both: also compare those that are in both. */
static int list(const struct safetensors *a, const struct safetensors *b, bool both, struct error *error)
{
    int count = 0;
    for (int64_t i = 0; i < a->count; i++) {
        const struct safetensors_entry *x = &a->entries[i], *y = safetensors_find(b, x->name);
        int rc = y && !both ? 1 : same(a, x, b, y, error);
        if (rc < 0) return -1;
        if (!rc) puts(x->name);
        count += !rc;
    }
    return count;
}

int main(int argc, char **argv)
{
    struct error error = {0};
    struct safetensors a, b;
    int here = -1, there = -1;
    if (argc == 3 && safetensors_open(&a, argv[1], &error) == 0) {
        if (safetensors_open(&b, argv[2], &error) == 0) {
            here = list(&a, &b, true, &error);
            there = here < 0 ? -1 : list(&b, &a, false, &error);
            safetensors_close(&b);
        }
        safetensors_close(&a);
    }
    if (there < 0) fprintf(stderr, "%s\n", argc == 3 ? error.text : "compare_tensors FILE FILE");
    return there < 0 ? 2 : here + there > 0;
}
