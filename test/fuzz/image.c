/* Fuzz target: pictures, whole and by region. */
#include "data/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct image image;
    struct image_region region = {.x = 1, .y = 2, .width = 5, .height = 4, .scale = 2};
    if (image_decode(data, size, 1 << 16, &image, &error) == 0) image_free(&image);
    struct image_info info;
    if (image_probe(data, size, &info, &error) == 0 && info.width >= 6 && info.height >= 6 &&
        image_decode_region(data, size, 1 << 16, &region, &image, &error) == 0)
        image_free(&image);
    return 0;
}
