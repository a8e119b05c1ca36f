/* Fuzz target: the pages of a shard, as a file holds them. */
#include "data/shard.h"

#include "data/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t keys[] = {0, 1, 2, 7, 100, 1 << 20, -1};
    struct error error = {0};
    struct shard_reader reader;
    if (shard_parse(&reader, (struct fs_map){data, size}) < 0) return 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const uint8_t *bytes;
        size_t len;
        struct record record;
        if (shard_find(&reader, keys[i], &bytes, &len, &error) == 0) record_decode(bytes, len, &record, &error);
    }
    return 0;
}
