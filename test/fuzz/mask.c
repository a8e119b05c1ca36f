/* Fuzz target: pictures of numbers; what was read and has 8 bits is written and read again, the same. */
#include "data/mask.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct mask mask, again;
    if (mask_decode(data, size, 1 << 16, &mask, &error) < 0) return 0;
    if (mask.bits <= 8) {
        uint8_t *bytes;
        size_t len;
        mask_encode(&mask, &bytes, &len);
        CHECK(mask_decode(bytes, len, 1 << 16, &again, &error) == 0, "%s", error.text);
        CHECK(again.width == mask.width && again.height == mask.height &&
                  !memcmp(again.pixels, mask.pixels, (size_t)mask.width * (size_t)mask.height * sizeof *mask.pixels),
              "%d x %d pixels come back changed", mask.width, mask.height);
        mask_free(&again);
        free(bytes);
    }
    mask_free(&mask);
    return 0;
}
