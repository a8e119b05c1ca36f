/* Questions with their answers, and what a model replied: one reader for all metrics over texts.
 *
 * Truth, a file of JSON or JSON lines as its data set is published (the layout is told from its keys):
 *
 *   rows        {id, answers, choices?, right?, type?, group?}: our own; answers a text, texts, or boxes [x1, y1, x2,
 *               y2]; right the number of the right choice, from 0
 *   DocVQA      {data: [{questionId, answers}]}, also InfographicVQA
 *   TextVQA     {data: [{question_id, answers}]}
 *   VQA         {annotations: [{question_id, answers: [{answer}], answer_type}]}: VQAv2
 *   OK-VQA      the same, its question_type being one, two, .. ten or other
 *   captions    {annotations: [{image_id, caption}]}: COCO, NoCaps; a picture's captions are its answers
 *   AI2D        {questions: {text: {questionId, answerTexts, correctAnswer}}}, a file each diagram
 *   PerceptionTest  {video: {mc_question: [{id, options, answer_id}]}}; ids VIDEO/ID
 *   ChartQA     [{query, label}]
 *   MVBench     [{candidates, answer}], a file each task
 *   MMMU        [{id, question_type, options, answer}]
 *   POPE        lines of {question_id, text, label}
 *   VizWiz      [{image, question, answers: [{answer}]}]
 *   boxes       [{bbox}]: RefCOCO as many publish it; whether x, y, w, h or two corners is the metric's to ask
 *
 * A question is known by its id; an integer and a text are the same id where they look the same.  Where the layout has
 * none it is the row's number in the file, from 0.  Of a folder all .json and .jsonl files are read: ids are then
 * NAME/ID after the file's name (but AI2D's, which are unique), and NAME is the question's group where it has no other.
 *
 * Predictions, a file or a folder with files of the same names: rows {id, reply} in any of the ways above to write
 * rows, where id may be called as in the truth, id, question_id, questionId, image_id or image, and the reply reply,
 * answer, caption or text; or one object {id: reply}; or PerceptionTest's {video: [{id, answer_id}]}.  Where no row has
 * an id they are the truth's rows in order, of the same number.  A row with "error" in place of a reply says why there
 * is none.  A file of `pe-evaluator questions` is both, truth and predictions. */
#ifndef EVALUATOR_METRICS_ANSWERS_H
#define EVALUATOR_METRICS_ANSWERS_H

#include "evaluator/metrics/layouts.h"
#include "evaluator/metrics/metric.h"

struct question {
    char *id;
    json_t *row;        /* as published (the first of captions) */
    json_t *answers;    /* array [>= 1] of texts, or of boxes [4] of numbers */
    json_t *choices;    /* array of texts, or NULL */
    int64_t right;      /* number of the right choice, whose text is the answer; -1: answers alone say it */
    char *type, *group; /* NULL: none */
    json_t *reply;      /* a text, or an array: a box; NULL: none was predicted */
};

struct answers {
    const char *truth, *predictions; /* paths, for messages */
    const struct layout *layout;     /* of the first file */
    struct question *questions;      /* [count] */
    int64_t count;
    double *values; /* [count] for the metric to fill; NaN: the official evaluator leaves it out of its mean */
    char **keys;    /* [count] ids, of the questions */
    json_t *index;  /* id -> number */
    struct answers_file *files; /* [file_count] */
    int64_t file_count;
};

/* boxes: four numbers are one answer.  predictions NULL: the truth alone.  Errors name file and row. */
int answers_read(struct answers *answers, const char *truth, const char *predictions, bool boxes, struct error *error);
void answers_free(struct answers *answers);

/* Read, fill values with what score says of each question that has a reply (0 for the others), and report. */
int answers_score(struct answers *answers, const char *truth, const char *predictions,
                  double (*score)(const void *self, const struct question *q), const void *self, const char *figure,
                  struct metric_result *result, struct error *error);

/* NULL: none was predicted. */
const char *question_reply(const struct question *q);
int64_t question_answers(const struct question *q); /* how many answers */
const char *question_answer(const struct question *q, int64_t i);

/* Fill result from values: figures[key] is their mean, then "prefix_NAME" of each type and each group (of a name that
 * is both, the group's is "prefix_NAME_group").  More than one group: "mean_per_group", the plain mean over groups. 
 * Some NaN: "left_out", how many are in no mean. */
void answers_report(const struct answers *answers, const char *key, const char *prefix, struct metric_result *result);
/* metric.resample of the mean. */
double answers_resample(const struct answers *answers, const int32_t *times);

#endif
