/* decode FOLDER SECONDS: pictures of a folder, in memory, to augmented 224 x 224 on one thread, as the trainer does it;
 * prints pictures/s. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"
#include "data/augment.h"

int main(int argc, char **argv)
{
    struct error error = {0};
    struct fs_list list;
    if (argc != 3 || fs_list(argv[1], &list, &error) < 0) return 2;
    char **bytes = mem_alloc(list.count, sizeof *bytes);
    size_t *len = mem_alloc(list.count, sizeof *len), count = 0;
    for (size_t i = 0; i < list.count; i++) {
        char *path = fs_join(argv[1], list.names[i]);
        if (str_ends_with(path, ".jpg") && fs_read(path, &bytes[count], &len[count], &error) == 0) count++;
        free(path);
    }
    struct augmentation pe = {.scale_min = 0.08,
                              .scale_max = 1,
                              .ratio_min = 0.75,
                              .ratio_max = 4. / 3,
                              .brightness = 0.32,
                              .saturation = 0.32,
                              .flip = 0.5};
    uint8_t *out = mem_alloc(224 * 224, 3);
    double start = clock_seconds(), end = start;
    uint64_t done = 0;
    for (; end - start < atof(argv[2]); end = clock_seconds())
        for (size_t i = 0; i < count; i++, done++)
            if (augment_training((uint8_t *)bytes[i], len[i], 1 << 28, 224, &pe, 1, done / count, i, out, &error) < 0)
                return 1;
    printf("%.1f\n", (double)done / (end - start));
    return 0;
}
