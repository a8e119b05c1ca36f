/* Layouts as they are published: where the picture is, and what metrics/answers.h does not read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "evaluator/convert.h"
#include "evaluator/metrics/published.h"

/* --- where the picture is --- */

static char *no_key(const char *keys, struct error *error)
{
    error_set(error, ERROR_FAILED, "has no %s: which picture or video does it show?", keys);
    return NULL;
}

static int no_path(const char *key, struct error *error)
{
    return error_set(error, ERROR_FAILED, "its %s is no path: save the pictures as files, and write their names there",
                     key);
}

static char *file_of_key(const struct conversion *c, const struct question *q, struct error *error)
{
    static const char *const keys[] = {"image", "image_local_name", "imgname", "image_path", "file_name", "video"};
    (void)c;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(q->row, keys[i]);
        if (json_is_string(value)) return mem_strdup(json_string_value(value));
        if (value) return no_path(keys[i], error), NULL;
    }
    return no_key("image", error);
}

/* TextVQA: image_id is the name without its ending. */
static char *file_of_textvqa(const struct conversion *c, const struct question *q, struct error *error)
{
    struct str name = {0};
    char *id = published_text(json_object_get(q->row, "image_id"));
    (void)c;
    if (!id) return no_key("image_id", error);
    str_printf(&name, "%s.jpg", id);
    free(id);
    return str_steal(&name);
}

/* COCO_val2014_000000000042.jpg, of VQA's image_id and data_subtype. */
static char *file_of_vqa(const struct conversion *c, const struct question *q, struct error *error)
{
    const json_t *id = json_object_get(q->row, "image_id");
    const char *split = c->split ? c->split : json_string_value(json_object_get(c->document, "data_subtype"));
    struct str name = {0};
    if (!json_is_integer(id)) return no_key("image_id", error);
    str_printf(&name, "COCO_%s_%012lld.jpg", split ? split : "val2014", (long long)json_integer_value(id));
    return str_steal(&name);
}

/* AI2D: questionId is NAME-NUMBER. */
static char *file_of_diagram(const struct conversion *c, const struct question *q, struct error *error)
{
    const char *dash = strrchr(q->id, '-');
    (void)c;
    return dash ? strndup(q->id, (size_t)(dash - q->id)) : no_key("name in its questionId", error);
}

/* PerceptionTest: ids are VIDEO/NUMBER. */
static char *file_of_video(const struct conversion *c, const struct question *q, struct error *error)
{
    const char *slash = strrchr(q->id, '/');
    struct str name = {0};
    (void)c;
    if (!slash) return no_key("video", error);
    str_append(&name, q->id, (size_t)(slash - q->id));
    str_puts(&name, ".mp4");
    return str_steal(&name);
}

static char *file_of_caption(const struct conversion *c, const struct question *q, struct error *error)
{
    const char *name = json_string_value(json_object_get(c->names, q->id));
    return name ? mem_strdup(name) : no_key("file_name among the file's images", error);
}

/* MMMU: image_1 .. image_7; the first here, all of them in more_of_mmmu. */
static char *file_of_mmmu(const struct conversion *c, const struct question *q, struct error *error)
{
    const json_t *value = json_object_get(q->row, "image_1");
    (void)c;
    if (json_is_string(value)) return mem_strdup(json_string_value(value));
    no_path("image_1", error);
    return NULL;
}

/* --- what else a row says --- */

static int more_of_vqa(const struct conversion *c, const struct question *q, json_t *row, struct error *error)
{
    json_t *text = json_object_get(c->names, q->id);
    if (!text) return error_set(error, ERROR_FAILED, "%s: has no question %s", c->questions, q->id);
    json_object_set(row, "question", text);
    return 0;
}

static int more_of_mmmu(const struct conversion *c, const struct question *q, json_t *row, struct error *error)
{
    json_t *images = json_array();
    char key[24];
    int rc = 0;
    for (int i = 1; i <= 7 && rc == 0; i++) {
        snprintf(key, sizeof key, "image_%d", i);
        const json_t *value = json_object_get(q->row, key);
        const char *name = json_string_value(value);
        if (value && !name && !json_is_null(value)) rc = no_path(key, error);
        char *path = name ? convert_path(c, q->group, name) : NULL;
        if (path) json_array_append_new(images, json_string(path));
        free(path);
    }
    if (json_array_size(images) > 1) json_object_set(row, "images", images);
    json_decref(images);
    return rc;
}

static int more_of_video(const struct conversion *c, const struct question *q, json_t *row, struct error *error)
{
    static const char *const keys[] = {"start", "end"}, *const names[] = {"start_time", "end_time"};
    (void)c;
    for (int i = 0; i < 2; i++) {
        json_t *value = json_object_get(q->row, keys[i]);
        if (!value || json_is_null(value)) continue;
        if (!json_is_number(value))
            return error_set(error, ERROR_FAILED, "its %s must be a number of seconds", keys[i]);
        json_object_set(row, names[i], value);
    }
    return 0;
}

/* RefCOCO: bbox as two corners. */
static int more_of_box(const struct conversion *c, const struct question *q, json_t *row, struct error *error)
{
    const json_t *given = json_array_get(q->answers, 0);
    if (!c->corners) return error_set(error, ERROR_USAGE, "say with --bbox what bbox holds, xyxy or xywh");
    json_t *box = json_array();
    for (size_t k = 0; k < 4; k++) {
        double value = json_number_value(json_array_get(given, k));
        if (k > 1 && !strcmp(c->corners, "xywh")) value += json_number_value(json_array_get(given, k - 2));
        json_array_append_new(box, json_real(value));
    }
    json_object_set_new(row, "answers", json_pack("[o]", box));
    return 0;
}

/* --- before the first row --- */

static int visit_question(void *context, const char *list, json_t *row, struct error *error)
{
    struct conversion *c = context;
    char *id = published_text(json_object_get(row, "question_id"));
    json_t *text = json_object_get(row, "question");
    (void)list;
    int rc = 0;
    if (!id || !json_is_string(text))
        rc = error_set(error, ERROR_FAILED, "needs question_id and question");
    else if (json_object_get(c->names, id))
        rc = error_set(error, ERROR_FAILED, "question %s is there twice", id);
    else
        json_object_set(c->names, id, text);
    free(id);
    return rc;
}

static int prepare_vqa(struct conversion *c, struct error *error)
{
    if (!c->questions)
        return error_set(error, ERROR_USAGE,
                         "--from %s: the questions lie in a file of their own: name it with --questions",
                         c->source->name);
    return published_each(c->questions, visit_question, c, error);
}

static int prepare_captions(struct conversion *c, struct error *error)
{
    json_t *image;
    size_t i;
    json_array_foreach (json_object_get(c->document, "images"), i, image) {
        char *id = published_text(json_object_get(image, "id"));
        json_t *name = json_object_get(image, "file_name");
        if (id && json_is_string(name)) json_object_set(c->names, id, name);
        free(id);
    }
    if (json_object_size(c->names)) return 0;
    return error_set(error, ERROR_FAILED, "%s: has no images with id and file_name", c->input);
}

/* --- layouts of their own --- */

/* Karpathy's {images: [{filename, split, sentences: [{raw}], cocoid | imgid}]}. */
static int each_karpathy(struct conversion *c, struct error *error)
{
    const char *split = c->split ? c->split : "test";
    json_t *image, *sentence;
    size_t i, k;
    json_array_foreach (json_object_get(c->document, "images"), i, image) {
        const char *name = json_string_value(json_object_get(image, "filename")),
                   *folder = json_string_value(json_object_get(image, "filepath")),
                   *own = json_string_value(json_object_get(image, "split"));
        char *id = published_text(json_object_get(image, json_object_get(image, "cocoid") ? "cocoid" : "imgid"));
        json_t *answers = json_array();
        json_array_foreach (json_object_get(image, "sentences"), k, sentence)
            json_array_append(answers, json_object_get(sentence, "raw"));
        bool sound = name && own && id && json_array_size(answers);
        if (sound && !strcmp(own, split)) {
            struct str file = {0};
            str_printf(&file, "%s%s%s", folder ? folder : "", folder ? "/" : "", name);
            convert_add(c, id, "image", file.data, json_pack("{s:O}", "answers", answers));
            str_free(&file);
        }
        json_decref(answers);
        free(id);
        if (!sound)
            return error_set(error, ERROR_FAILED, "%s: images[%zu]: needs filename, split, sentences and an id",
                             c->input, i);
    }
    return 0;
}

/* easy-VQA's kinds of answers; its questions do not tell: "what color is the shape?". */
static const char *easyvqa_kind(const char *answer)
{
    static const char *const words[] = {"yes", "no", "circle", "rectangle", "triangle"}, *const kinds[] = {
                                                                                             "yes_no", "yes_no",
                                                                                             "shape", "shape", "shape"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(answer, words[i])) return kinds[i];
    return "colour";
}

/* easy-VQA's [[question, answer, number of the picture]]. */
static int each_easyvqa(struct conversion *c, struct error *error)
{
    json_t *entry;
    size_t i;
    json_array_foreach (c->document, i, entry) {
        const char *question = json_string_value(json_array_get(entry, 0)),
                   *answer = json_string_value(json_array_get(entry, 1));
        const json_t *number = json_array_get(entry, 2);
        if (!question || !answer || !json_is_integer(number))
            return error_set(error, ERROR_FAILED, "%s: [%zu] must be [question, answer, number of the picture]",
                             c->input, i);
        struct str file = {0}, id = {0};
        str_printf(&file, "%lld.png", (long long)json_integer_value(number));
        str_printf(&id, "%zu", i);
        json_t *row =
            json_pack("{s:s, s:[s], s:s}", "question", question, "answers", answer, "type", easyvqa_kind(answer));
        convert_add(c, id.data, "image", file.data, row);
        str_free(&file);
        str_free(&id);
    }
    return 0;
}

/* clang-format off */
const struct source sources[] = {
    {"docvqa", "docvqa", "val_v1.0.json", "DocVQA", {"question"}, "image", file_of_key},
    {"infovqa", "infovqa", "infographicsVQA_val_v1.0.json", "DocVQA", {"question"}, "image", file_of_key},
    {"chartqa", "chartqa", "test_human.json, test_augmented.json or their folder", "ChartQA", {"query"}, "image",
     file_of_key},
    {"textvqa", "textvqa", "TextVQA_0.5.1_val.json", "TextVQA", {"question"}, "image", file_of_textvqa},
    {"vqav2", "vqav2", "annotations, with --questions", "VQA", {0}, "image", file_of_vqa, more_of_vqa, prepare_vqa},
    {"okvqa", "okvqa", "annotations, with --questions", "VQA", {0}, "image", file_of_vqa, more_of_vqa, prepare_vqa},
    {"vizwiz", "vizwiz", "val.json", "VizWiz", {"question"}, "image", file_of_key},
    {"ai2d", "ai2d", "the folder questions/", "AI2D", {"question"}, "image", file_of_diagram},
    {"mmmu", "mmmu", "rows of JSON with image_1 .. image_7 as paths", "MMMU", {"question"}, "image", file_of_mmmu,
     more_of_mmmu},
    {"mvbench", "mvbench", "the folder json/", "MVBench", {"question"}, "video", file_of_key, more_of_video},
    {"perceptiontest", "perceptiontest", "mc_question_valid.json", "PerceptionTest", {"question"}, "video",
     file_of_video},
    {"pope", "pope", "coco_pope_random.json, ... or their folder", "POPE", {"text"}, "image", file_of_key},
    {"ocrbench", "ocrbench", "OCRBench.json", "rows", {"question"}, "image", file_of_key},
    {"refcoco", "refcoco", "rows of JSON: image, expression or sent, bbox", "boxes", {"expression", "sent",
     "question"}, "image", file_of_key, more_of_box},
    {"coco-captions", "coco", "captions_val2014.json", "captions", {0}, "image", file_of_caption,
     .prepare = prepare_captions},
    {"nocaps", "nocaps", "nocaps_val_4500_captions.json", "captions", {0}, "image", file_of_caption,
     .prepare = prepare_captions},
    {"coco-karpathy", "coco", "dataset_coco.json", .each = each_karpathy},
    {"flickr30k", "flickr30k", "dataset_flickr30k.json", .each = each_karpathy},
    {"easy-vqa", "easyvqa", "questions.json", .each = each_easyvqa},
    {0}};
/* clang-format on */
