/* Class names and templates: the published ones, files, and which of them a data set is asked with. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "serve/prompts.h"
#include "test/harness.h"

static void lists(void)
{
    static const struct {
        const char *name, *first, *last;
        int64_t count;
        int border;
    } expected[] = {
        {"imagenet1k", "tench", "toilet paper", 1000, 0},      {"ImageNet_A", "stingray", "acorn", 200, 0},
        {"imagenet-r", "goldfish", "acorn", 200, 0},           {"imagenetv2", "tench", "toilet paper", 1000, 0},
        {"imagenet-sketch", "tench", "toilet paper", 1000, 0}, {"objectnet", "alarm clock", "wok", 113, 2},
        {"pets", "Abyssinian", "Yorkshire Terrier", 37, 0},    {"ucf101", "Apply Eye Makeup", "Yo Yo", 101, 0}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct error error = {0};
        struct class_list list;
        EXPECT(class_list_open(&list, expected[i].name, &error) == 0, "%s", error.text);
        if (!list.count) continue;
        EXPECT(list.count == expected[i].count && list.border == expected[i].border && list.published,
               "%s: %ld classes", expected[i].name, (long)list.count);
        EXPECT(!strcmp(list.names[0], expected[i].first) && !strcmp(list.names[list.count - 1], expected[i].last),
               "%s: %s .. %s", expected[i].name, list.names[0], list.names[list.count - 1]);
        class_list_close(&list);
    }
    struct error error = {0};
    struct class_list list;
    EXPECT(class_list_open(&list, "imagenet2k", &error) < 0 && strstr(error.text, "neither a file nor published"), "%s",
           error.text);
}

static void templates(void)
{
    static const struct {
        const char *name;
        int64_t count;
    } expected[] = {{"imagenet1k", 80},   {"imagenet-a", 80}, {"food101", 1}, {"sun397", 2},     {"cars", 8},
                    {"fgvc_aircraft", 2}, {"pets", 1},        {"flowers", 1}, {"country211", 5}, {"resisc45", 4},
                    {"dtd", 8},           {"caltech101", 34}, {"eurosat", 3}, {"cifar10", 18},   {"cifar100", 18},
                    {"voc2007", 1},       {"k400", 28},       {"k600", 28},   {"k700", 28},      {"ucf101", 48},
                    {"hmdb51", 48}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct error error = {0};
        char **list;
        int64_t count = 0;
        EXPECT(templates_open(expected[i].name, &list, &count, &error) == 0, "%s", error.text);
        EXPECT(count == expected[i].count, "%s: %ld templates", expected[i].name, (long)count);
        if (count) texts_free(list, count);
    }
    char *filled = template_fill("a {c}, of {c}", "cat"), *other = template_fill("a {}.", "cat");
    EXPECT(!strcmp(filled, "a cat, of {c}") && !strcmp(other, "a cat."), "%s %s", filled, other);
    free(filled);
    free(other);
}

static char *put(const char *name, const char *text)
{
    struct error error = {0};
    char *path = fs_join(test_folder(), name);
    EXPECT(fs_write(path, text, strlen(text), &error) == 0, "%s", error.text);
    return path;
}

static void files(void)
{
    struct error error = {0};
    struct class_list list;
    char **read;
    int64_t count;
    char *pairs = put("pairs.txt", "n1\tone\nn2\ttwo\n"), *torn = put("torn.txt", "n1\tone\ntwo\n"),
         *bad = put("bad.txt", "a {c}\na cat\n");
    EXPECT(class_list_open(&list, pairs, &error) == 0, "%s", error.text);
    EXPECT(list.count == 2 && !list.published && !strcmp(list.folders[1], "n2") && !strcmp(list.names[1], "two"), "%s",
           list.names[1]);
    class_list_close(&list);
    EXPECT(class_list_open(&list, torn, &error) < 0 && strstr(error.text, "line 2 has no tab"), "%s", error.text);
    error = (struct error){0};
    EXPECT(templates_open(bad, &read, &count, &error) < 0 && strstr(error.text, "\"a cat\" has no {c}"), "%s",
           error.text);
    free(pairs);
    free(torn);
    free(bad);
}

/* A data set of these classes, asked with what it says itself or with lists; its names and the class of each label. */
static void asks(char **classes, int64_t count, const char *name, const char *expected)
{
    struct error error = {0};
    struct dataset set = {.folder = "data", .classes = classes, .class_count = count};
    struct collection data = {.sets = &set, .count = 1};
    struct prompts p;
    struct str out = {0};
    if (prompts_open(&p, &data, name, NULL, &error) < 0)
        str_puts(&out, error.text);
    else {
        for (int64_t i = 0; i < p.class_count && i < 3; i++) str_printf(&out, "%s|", p.names[i]);
        str_printf(&out, " %ld of %ld from %s:", (long)p.class_count, (long)p.label_count, p.names_from);
        for (int64_t i = 0; p.class_of && i < p.label_count; i++) str_printf(&out, " %d", p.class_of[i]);
    }
    EXPECT(!strcmp(out.data, expected), "\"%s\", expected \"%s\"", out.data, expected);
    prompts_close(&p);
    str_free(&out);
}

static void what_a_data_set_is_asked(void)
{
    char *pets[] = {"cat", "dog"}, *wnids[] = {"n01443537", "n15075141"}, *mixed[] = {"n01443537", "cat"};
    char *objects[] = {"air freshener", "wine bottle", "alarm_clock"};
    asks(pets, 2, NULL, "cat|dog| 2 of 2 from data set:");
    asks(wnids, 2, NULL, "goldfish|toilet paper| 2 of 2 from imagenet1k:");
    asks(mixed, 2, NULL, "n01443537|cat| 2 of 2 from data set:");
    asks(wnids, 2, "imagenet1k", "tench|goldfish|great white shark| 1000 of 2 from imagenet1k: 1 999");
    asks(wnids, 2, "imagenet-r", "goldfish|great white shark|hammerhead shark| 200 of 2 from imagenet-r: 0 -1");
    asks(objects, 3, "objectnet", "alarm clock|backpack|banana| 113 of 3 from objectnet: -1 110 0");
    asks(pets, 2, "imagenet-r",
         "data: its 2 classes are none of the folders of --classnames imagenet-r, and not as many as its 200 names");
    asks(NULL, 0, "imagenet-r", "goldfish|great white shark|hammerhead shark| 200 of 200 from imagenet-r:");
    asks(NULL, 0, NULL, "data: the data set names no classes; give --classnames");
    char *file = put("names.txt", "one\ntwo\nthree\n");
    asks(pets, 2, file, "one|two|three| 3 of 3 from names.txt:");
    free(file);
}

/* Labels of several sets count as one list of classes only where the lists are the same. */
static void several_sets(void)
{
    struct error error = {0};
    char *one[] = {"cat", "dog"}, *other[] = {"dog", "cat"}, *asked[] = {"{c}!", "a {}"};
    struct dataset sets[] = {
        {.folder = "a", .classes = one, .class_count = 2, .templates = asked, .template_count = 2},
        {.folder = "b", .classes = one, .class_count = 2, .templates = asked, .template_count = 2}};
    struct collection data = {.sets = sets, .count = 2};
    struct prompts p;
    EXPECT(prompts_open(&p, &data, NULL, NULL, &error) == 0 && p.class_count == 2 && p.template_count == 2 &&
               !strcmp(p.templates_from, "data set"),
           "%s", error.text);
    prompts_close(&p);
    sets[1].template_count = 1;
    EXPECT(prompts_open(&p, &data, NULL, NULL, &error) < 0 && strstr(error.text, "b: other templates"), "%s",
           error.text);
    prompts_close(&p);
    error = (struct error){0};
    EXPECT(prompts_open(&p, &data, NULL, "food101", &error) == 0 && p.template_count == 1, "%s", error.text);
    prompts_close(&p);
    sets[1].classes = other;
    EXPECT(prompts_open(&p, &data, NULL, "food101", &error) < 0 && strstr(error.text, "b: other classes"), "%s",
           error.text);
    prompts_close(&p);
    error = (struct error){0};
    sets[0].templates = (char *[]){"a cat"};
    sets[0].template_count = data.count = 1;
    EXPECT(prompts_open(&p, &data, NULL, NULL, &error) < 0 && strstr(error.text, "a: template \"a cat\" has no {c}"),
           "%s", error.text);
    prompts_close(&p);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"published_classes", lists},
                                     {"published_templates", templates},
                                     {"prompts_of_files", files},
                                     {"what_a_data_set_is_asked", what_a_data_set_is_asked},
                                     {"prompts_of_several_sets", several_sets},
                                     {0}});
}
