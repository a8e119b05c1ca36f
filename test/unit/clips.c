/* At which size frames are seen: that of DINO's evaluation, whose long sides are multiples of 64. */
#include "evaluator/clips.h"
#include "test/harness.h"

static void sizes_of_frames(void)
{
    static const struct {
        struct extent stored;
        int64_t short_side, multiple;
        struct extent seen;
    } cases[] = {
        {{480, 854}, 480, 64, {480, 832}},   {{480, 910}, 480, 64, {480, 896}}, {{854, 480}, 480, 64, {832, 480}},
        {{1080, 1920}, 480, 64, {480, 832}}, {{480, 480}, 480, 64, {480, 448}}, {{480, 854}, 448, 14, {448, 784}},
        {{480, 480}, 448, 14, {448, 448}},   {{480, 960}, 480, 64, {480, 960}}, {{90, 160}, 476, 14, {476, 840}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct extent seen = clips_fit(cases[i].stored, cases[i].short_side, cases[i].multiple);
        EXPECT(extent_same(seen, cases[i].seen), "%ld x %ld is seen as %ld x %ld", (long)cases[i].stored.width,
               (long)cases[i].stored.height, (long)seen.width, (long)seen.height);
    }
}

int main(int argc, char **argv)
{
    return test_main(argc, argv, (struct test[]){{"sizes_of_frames", sizes_of_frames}, {0}});
}
