/* Fuzz target: CSV, TSV and JSON lines. */
#include "data/manifest.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    const char *text = (const char *)data + 1;
    json_decref(data[0] % 3 == 2 ? manifest_parse_lines(text, size - 1)
                                 : manifest_parse_table(text, size - 1, data[0] % 3 ? 44 : 9));
    return 0;
}
