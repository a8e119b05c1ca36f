/* Rows of predictions. */
#include "evaluator/report/predictions.h"

#include <stdlib.h>

#include "base/fs.h"
#include "base/str.h"
#include "evaluator/report/report.h"

json_t *predictions_head(const char *task, const struct option_list *data)
{
    json_t *folders = json_array();
    for (int64_t i = 0; i < data->count; i++) json_array_append_new(folders, json_text(data->items[i]));
    return json_pack("{s:s, s:o}", "task", task, "data", folders);
}

json_t *predictions_row(const struct nearest *n, int64_t i, const int64_t *items)
{
    json_t *top = json_array(), *scores = json_array();
    for (int64_t k = 0; k < n->most; k++) {
        int32_t which = n->items[i * n->most + k];
        json_array_append_new(top, json_integer(items ? items[which] : which));
        json_array_append_new(scores, json_real((double)n->scores[i * n->most + k]));
    }
    return json_pack("{s:I, s:o, s:o}", "place", (json_int_t)n->places[i], "top", top, "scores", scores);
}

static void put_line(struct str *out, const json_t *row)
{
    char *line = json_dumps(row, JSON_COMPACT | JSON_REAL_PRECISION(9)); /* enough for the float it was */
    str_puts(out, line);
    str_putc(out, '\n');
    free(line);
}

int predictions_write(const char *result, json_t *head, json_t *rows, struct error *error)
{
    struct str out = {0};
    char *path = report_beside(result, ".predictions.jsonl");
    size_t i;
    json_t *row;
    put_line(&out, head);
    json_array_foreach (rows, i, row) put_line(&out, row);
    int rc = fs_write(path, out.data, out.len, error);
    str_free(&out);
    free(path);
    json_decref(head);
    json_decref(rows);
    return rc;
}
