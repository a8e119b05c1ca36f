/* Fuzz target: safetensors files, every element read. */
#include "checkpoint/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct safetensors file;
    float values[64];
    if (safetensors_parse(&file, "fuzz", data, size, &error) < 0) return 0;
    for (int64_t i = 0; i < file.count; i++)
        for (int64_t at = 0; at < file.entries[i].count && at < 4096; at += 64) {
            int64_t left = file.entries[i].count - at;
            safetensors_read(&file, &file.entries[i], at, left < 64 ? left : 64, values, &error);
        }
    safetensors_close(&file);
    return 0;
}
