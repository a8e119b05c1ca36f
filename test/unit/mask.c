/* Masks written are masks read; their colours are VOC's; errors name the file.  (What is read of files that others
 * wrote: test/cases/mask.) */
#include "data/mask.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "test/harness.h"

static void round_trip(void)
{
    struct error error = {0};
    uint16_t pixels[37 * 11];
    struct mask mask = {.width = 37, .height = 11, .pixels = pixels}, again = {0};
    for (int i = 0; i < 37 * 11; i++) pixels[i] = (uint16_t)(i % 256);
    char *path = fs_join(test_folder(), "00000.png");
    EXPECT(mask_write(path, &mask, &error) == 0 && mask_read(path, 37 * 11, &again, &error) == 0, "%s", error.text);
    EXPECT(again.width == 37 && again.height == 11 && again.bits == 8 && again.palette, "%d x %d, %d bits", again.width,
           again.height, again.bits);
    EXPECT(again.pixels && !memcmp(again.pixels, pixels, sizeof pixels), "pixels changed");
    mask_free(&again);
    EXPECT(mask_read(path, 37 * 11 - 1, &again, &error) < 0 && strstr(error.text, path) == error.text, "%s",
           error.text);
    free(path);
}

static void colours(void)
{
    const struct {
        int index;
        uint8_t rgb[3];
    } voc[] = {{0, {0, 0, 0}},     {1, {128, 0, 0}}, {2, {0, 128, 0}},      {3, {128, 128, 0}},
               {4, {0, 0, 128}},   {8, {64, 0, 0}},  {9, {192, 0, 0}},      {15, {192, 128, 128}},
               {20, {0, 64, 128}}, {64, {32, 0, 0}}, {255, {224, 224, 192}}};
    uint8_t all[256][3];
    mask_palette(all);
    for (size_t i = 0; i < sizeof voc / sizeof *voc; i++)
        EXPECT(!memcmp(all[voc[i].index], voc[i].rgb, 3), "colour %d is %d %d %d", voc[i].index, all[voc[i].index][0],
               all[voc[i].index][1], all[voc[i].index][2]);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv, (struct test[]){{"round_trip", round_trip}, {"colours", colours}, {0}});
}
