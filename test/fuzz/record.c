/* Fuzz target: shard records. */
#include "data/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct record record;
    if (record_decode(data, size, &record, &error) < 0) return 0;
    for (uint32_t i = 0; i < record.caption_count; i++) {
        size_t len;
        record_caption(&record, i, &len);
    }
    return 0;
}
