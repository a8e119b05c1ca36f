/* Fuzz target: webdataset tars, every item read. */
#include <stdlib.h>

#include "data/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct source source;
    if (tar_parse(&source, "fuzz.tar", data, size, &error) < 0) return 0;
    for (int64_t i = 0; i < source.count; i++) {
        struct error why = {0};
        struct sample sample = {.label = -1};
        source.read(&source, i, true, &sample, &why);
        sample_free(&sample);
    }
    source.close(&source);
    free(source.path);
    return 0;
}
