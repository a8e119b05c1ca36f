/* Fuzz target: .npy files. */
#include "data/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct npy npy = {0};
    if (npy_parse(&npy, "fuzz", data, size, &error) < 0) return 0;
    for (int64_t i = 0; i < npy.count; i++) {
        double real;
        int64_t whole;
        npy_reals(&npy, i, 1, &real);
        if (!npy.real) npy_integers(&npy, i, 1, &whole);
    }
    return 0;
}
