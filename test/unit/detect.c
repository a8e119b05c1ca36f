/* Detection from inside: boxes go along with their pictures, COCO files are read with their gaps, and the rules of
 * cells where torchvision's results say nothing: equal boxes, equal scores, limits, numbers that are none. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "data/resize.h"
#include "evaluator/heads/boxes.h"
#include "test/harness.h"

enum { SIZE = 64, PATCH = 8, WIDTH = 80, HEIGHT = 50, LEFT = 20, TOP = 10, BOX_WIDTH = 30, BOX_HEIGHT = 22 };

/* --- pictures --- */

/* One picture with a bright rectangle, a crowd over it, and a flat box; its annotations are the first of a file whose
 * categories stand in no order. */
static char *scene(void)
{
    static char *folder;
    struct error e = {0};
    struct image image = {.width = WIDTH, .height = HEIGHT, .pixels = mem_zalloc(WIDTH * HEIGHT, 3)};
    uint8_t *bytes = NULL;
    size_t len;
    if (folder) {
        image_free(&image);
        return folder;
    }
    for (int at = 0; at < WIDTH * HEIGHT; at++) {
        int x = at % WIDTH, y = at / WIDTH;
        bool inside = x >= LEFT && x < LEFT + BOX_WIDTH && y >= TOP && y < TOP + BOX_HEIGHT;
        memset(image.pixels + 3 * at, inside ? 255 : 0, 3);
    }
    folder = fs_join(test_folder(), "coco");
    char *pictures = fs_join(folder, "train2017"), *annotations = fs_join(folder, "annotations"),
         *path = fs_join(pictures, "one.webp"), *json = fs_join(annotations, "instances_train2017.json");
    static const char text[] =
        "{\"images\": [{\"id\": 9, \"file_name\": \"none.webp\"}, {\"id\": 4, \"file_name\": \"one.webp\", "
        "\"width\": 80, \"height\": 50}],"
        "\"categories\": [{\"id\": 90, \"name\": \"toothbrush\"}, {\"id\": 1, \"name\": \"person\"}],"
        "\"annotations\": ["
        "{\"id\": 1, \"image_id\": 4, \"category_id\": 90, \"bbox\": [20, 10, 30, 22], \"area\": 1, \"iscrowd\": 0},"
        "{\"id\": 2, \"image_id\": 4, \"category_id\": 1, \"bbox\": [0, 0, 80, 50], \"area\": 9, \"iscrowd\": 1},"
        "{\"id\": 3, \"image_id\": 4, \"category_id\": 1, \"bbox\": [5, 5, 0, 9], \"area\": 1, \"iscrowd\": 0}]}";
    EXPECT(fs_make_folders(pictures, &e) == 0 && fs_make_folders(annotations, &e) == 0 &&
               image_encode(&image, IMAGE_WEBP, 95, &bytes, &len, &e) == 0 && fs_write(path, bytes, len, &e) == 0 &&
               fs_write(json, text, strlen(text), &e) == 0,
           "%s", e.text);
    free(bytes);
    free(pictures);
    free(annotations);
    free(path);
    free(json);
    image_free(&image);
    return folder;
}

static struct boxes open_boxes(struct jitter jitter)
{
    struct error e = {0};
    struct boxes b = {.jitter = jitter, .seed = 5, .size = SIZE, .max_pixels = 1000000};
    EXPECT(coco_set_open(&b.train, scene(), NULL, "train", &e) == 0, "%s", e.text);
    b.cells = cells_levels(extent_square(SIZE), PATCH, b.levels);
    return b;
}

static void files_have_gaps(void)
{
    struct boxes b = open_boxes((struct jitter){1, 1, 0});
    const struct coco_set *s = &b.train;
    EXPECT(s->coco.d.images == 2 && s->coco.d.categories == 2, "%ld images, %ld categories", (long)s->coco.d.images,
           (long)s->coco.d.categories);
    EXPECT(!strcmp(s->files[0], "one.webp") && !strcmp(s->files[1], "none.webp"), "%s, %s", s->files[0], s->files[1]);
    EXPECT(!strcmp(s->names[0], "person") && !strcmp(s->names[1], "toothbrush"), "%s, %s", s->names[0], s->names[1]);
    EXPECT(s->starts[0] == 0 && s->starts[1] == 3 && s->starts[2] == 3, "annotations of images");
    int64_t counts = 0;
    for (int64_t i = 0; i < 3; i++) counts += boxes_counts(&s->coco.d.truths.data[s->order[i]]);
    EXPECT(counts == 1, "%ld boxes to learn", (long)counts);
    coco_set_close(&b.train);
}

/* Left, upper, right and lower edge of what is bright; false: nothing is. */
static bool bright(const uint8_t *pixels, int edges[4])
{
    edges[0] = edges[1] = SIZE, edges[2] = edges[3] = 0;
    for (int at = 0; at < SIZE * SIZE; at++) {
        int x = at % SIZE, y = at / SIZE;
        if (pixels[3 * at] < 190) continue; /* beyond the picture it is 128 */
        edges[0] = x < edges[0] ? x : edges[0], edges[1] = y < edges[1] ? y : edges[1];
        edges[2] = x + 1 > edges[2] ? x + 1 : edges[2], edges[3] = y + 1 > edges[3] ? y + 1 : edges[3];
    }
    return edges[2] > edges[0];
}

/* Every cell that is to find a box is told where the bright rectangle is seen; returns how many. */
static int64_t check_cells(const struct boxes *b, const uint8_t *pixels, const void *target, uint64_t epoch)
{
    const int32_t *classes = target;
    const float *distances = (const float *)(classes + b->cells), *centreness = distances + 4 * b->cells;
    int64_t found = 0;
    int edges[4];
    bool seen = bright(pixels, edges);
    for (int level = 0; level < PYRAMID_LEVELS; level++)
        for (int64_t k = 0; k < extent_area(b->levels[level].grid); k++) {
            const struct cell_level *l = &b->levels[level];
            int64_t at = l->first + k, x = k % l->grid.width * l->step.width, y = k / l->grid.width * l->step.height;
            EXPECT((classes[at] < 0) == (centreness[at] < 0), "cell %ld: %d, %g", (long)at, classes[at],
                   (double)centreness[at]);
            if (classes[at] < 0) continue;
            found++;
            EXPECT(seen && classes[at] == 1, "epoch %ld, cell %ld: class %d", (long)epoch, (long)at, classes[at]);
            for (int i = 0; i < 4; i++) {
                float edge = (float)(i % 2 ? y : x) + (i < 2 ? -1 : 1) * distances[4 * at + i];
                EXPECT(fabsf(edge - (float)edges[i]) < 2, "epoch %ld: edge %d at %g, seen at %d", (long)epoch, i,
                       (double)edge, edges[i]);
            }
        }
    return found;
}

static void boxes_go_along(void)
{
    struct boxes b = open_boxes((struct jitter){0.5, 2, 0.5});
    struct error e = {0};
    size_t bytes = (size_t)b.cells * 24;
    uint8_t *pixels = mem_alloc(2 * SIZE * SIZE, 3);
    char *targets = mem_alloc(2, bytes);
    int64_t found = 0, changed = 0;
    for (uint64_t epoch = 0; epoch < 60; epoch++) {
        for (int i = 0; i < 2; i++)
            EXPECT(boxes_make_taught(&b, 0, epoch, pixels + i * SIZE * SIZE * 3, targets + (size_t)i * bytes, &e) == 1,
                   "%s", e.text);
        EXPECT(!memcmp(targets, targets + bytes, bytes) && !memcmp(pixels, pixels + SIZE * SIZE * 3, SIZE * SIZE * 3),
               "epoch %ld is not the same twice", (long)epoch);
        found += check_cells(&b, pixels, targets, epoch);
        EXPECT(boxes_make_taught(&b, 0, epoch + 100, pixels + SIZE * SIZE * 3, targets + bytes, &e) == 1, "%s", e.text);
        changed += memcmp(pixels, pixels + SIZE * SIZE * 3, SIZE * SIZE * 3) != 0;
    }
    EXPECT(found > 150 && changed > 55, "%ld cells, %ld pictures", (long)found, (long)changed);
    coco_set_close(&b.train);
    free(pixels);
    free(targets);
}

/* Examined, and without jitter, a picture is squashed whole. */
static void evaluation_is_the_squash(void)
{
    struct image image = {.width = 7, .height = 5, .pixels = mem_alloc(7 * 5, 3)};
    static uint8_t want[SIZE * SIZE * 3], got[2][SIZE * SIZE * 3];
    const struct jitter still = {1, 1, 0};
    for (int i = 0; i < 7 * 5 * 3; i++) image.pixels[i] = (uint8_t)(i * 37);
    resize_image(&image, want, SIZE, SIZE);
    struct placement p = jitter_picture(&image, SIZE, NULL, 1, 2, 3, got[0]);
    jitter_picture(&image, SIZE, &still, 1, 2, 3, got[1]);
    EXPECT(!memcmp(got[0], want, sizeof want) && !memcmp(got[1], want, sizeof want), "not the squash");
    EXPECT(p.left <= 0 && p.top <= 0 && !p.flipped && fabs(p.scale_x - SIZE / 7.) < 1e-12 &&
               fabs(p.scale_y - SIZE / 5.) < 1e-12,
           "%g %g", p.scale_x, p.scale_y);
    image_free(&image);
}

/* --- cells --- */

enum { CELLS_MOST = 1 << 12, CLASSES = 2 };

/* Boxes of one area, or nearly: the first.  torchvision compares 1e8 - area as float. */
static void the_first_of_equal_boxes(void)
{
    struct cell_level levels[PYRAMID_LEVELS];
    int64_t cells = cells_levels(extent_square(SIZE), PATCH, levels), found = 0;
    static int32_t which[CELLS_MOST], classes[CELLS_MOST];
    static float distances[4 * CELLS_MOST], centreness[CELLS_MOST];
    struct box boxes[3] = {{{16, 16, 36, 36}, 0}, {{16.01f, 16, 35.99f, 36}, 1}, {{17, 16, 35, 36}, 1}};
    cells_targets(levels, boxes, 2, which, classes, distances, centreness);
    for (int64_t i = 0; i < cells; i++) {
        found += which[i] >= 0;
        EXPECT(which[i] <= 0, "cell %ld: box %d of an area less than 8 smaller", (long)i, which[i]);
    }
    EXPECT(found > 2, "%ld cells", (long)found);
    cells_targets(levels, boxes, 3, which, classes, distances, centreness);
    for (int64_t i = 0; i < cells; i++)
        EXPECT(which[i] != 1 && (which[i] < 0 || classes[i] == boxes[which[i]].class), "cell %ld: box %d", (long)i,
               which[i]);
}

struct said {
    float logits[CLASSES * CELLS_MOST], distances[4 * CELLS_MOST], centreness[CELLS_MOST];
};

/* What all cells say: nothing, of boxes one side wide. */
static struct said *say_nothing(const struct cell_level levels[PYRAMID_LEVELS], struct cell_outputs out[PYRAMID_LEVELS])
{
    static struct said said;
    for (int i = 0; i < CELLS_MOST; i++) {
        said.logits[2 * i] = said.logits[2 * i + 1] = -20;
        said.centreness[i] = 3;
        for (int k = 0; k < 4; k++) said.distances[4 * i + k] = 0.5f;
    }
    for (int i = 0; i < PYRAMID_LEVELS; i++)
        out[i] = (struct cell_outputs){said.logits + CLASSES * levels[i].first, said.distances + 4 * levels[i].first,
                                       said.centreness + levels[i].first};
    return &said;
}

static void boxes_are_found_in_order(void)
{
    struct cell_level levels[PYRAMID_LEVELS];
    struct cell_outputs out[PYRAMID_LEVELS];
    struct found_box found[4];
    struct found_rules rules = {.threshold = 0.05, .overlap = 0.6, .level_most = 1000, .most = 4};
    cells_levels(extent_square(SIZE), PATCH, levels);
    struct said *said = say_nothing(levels, out);
    EXPECT(cells_find(levels, extent_square(SIZE), out, CLASSES, &rules, found) == 0, "something was found");
    /* cells 40, 41, 42 of one score; 41's box is 40's, of the other class, 42's is 40's of its class */
    for (int i = 40; i < 43; i++) said->logits[CLASSES * i + (i == 41)] = 2;
    for (int i = 40; i < 43; i++) {
        said->distances[4 * i] = 2 + (float)(i - 40);
        said->distances[4 * i + 2] = 2 - (float)(i - 40);
    }
    int64_t count = cells_find(levels, extent_square(SIZE), out, CLASSES, &rules, found);
    EXPECT(count == 2 && found[0].box.class == 0 && found[1].box.class == 1, "%ld boxes", (long)count);
    EXPECT(fabsf(found[0].score - sqrtf(1 / (1 + expf(-2)) / (1 + expf(-3)))) < 1e-6f, "score %g",
           (double)found[0].score);
    for (int k = 0; k < 4; k++)
        EXPECT(fabsf(found[0].box.edges[k] - found[1].box.edges[k]) < 1e-6f, "edge %d: %g, %g", k,
               (double)found[0].box.edges[k], (double)found[1].box.edges[k]);
    rules.overlap = 1;
    EXPECT(cells_find(levels, extent_square(SIZE), out, CLASSES, &rules, found) == 3, "an overlap of 1 hides nothing");
    rules.level_most = 2;
    EXPECT(cells_find(levels, extent_square(SIZE), out, CLASSES, &rules, found) == 2, "two of a level");
    rules.most = 1;
    EXPECT(cells_find(levels, extent_square(SIZE), out, CLASSES, &rules, found) == 1, "one of a picture");
    rules.threshold = 0.999;
    EXPECT(cells_find(levels, extent_square(SIZE), out, CLASSES, &rules, found) == 0, "none is so sure");
    said->centreness[7] = NAN;
    EXPECT(cells_find(levels, extent_square(SIZE), out, CLASSES, &rules, found) == -1, "not a number");
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {{"files_have_gaps", files_have_gaps},
                                        {"boxes_go_along", boxes_go_along},
                                        {"evaluation_is_the_squash", evaluation_is_the_squash},
                                        {"the_first_of_equal_boxes", the_first_of_equal_boxes},
                                        {"boxes_are_found_in_order", boxes_are_found_in_order},
                                        {0}};
    return test_main(argc, argv, tests);
}
