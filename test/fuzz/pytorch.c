/* Fuzz target: PyTorch's files, every element read. */
#include "checkpoint/pytorch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct safetensors file;
    float values[64];
    if (pytorch_parse(&file, "fuzz", data, size, &error) < 0) return 0;
    for (int64_t i = 0; i < file.count; i++)
        safetensors_read(&file, &file.entries[i], 0, file.entries[i].count < 64 ? file.entries[i].count : 64, values,
                         &error);
    safetensors_close(&file);
    return 0;
}
