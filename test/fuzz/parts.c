/* Fuzz target: the index of safetensors in parts, beside a folder that has one whole part. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "checkpoint/tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char folder[] = "/tmp/percept-fuzz-XXXXXX", index[64], part[64];
    struct error error = {0};
    struct safetensors file;
    if (!index[0]) {
        static const char whole[] =
            "\x40\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}             \0\0\0\0";
        if (!mkdtemp(folder)) abort();
        snprintf(index, sizeof index, "%s/model.safetensors.index.json", folder);
        snprintf(part, sizeof part, "%s/p", folder);
        if (fs_write(part, whole, sizeof whole - 1, &error) < 0) abort();
    }
    if (fs_write(index, data, size, &error) < 0) abort();
    if (tensors_open(&file, folder, &error) == 0) safetensors_close(&file);
    return 0;
}
