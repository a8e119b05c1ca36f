/* The list of numbers, and the keys of their figures. */
#include "evaluator/neighbours.h"

#include <errno.h>
#include <stdlib.h>

#include "base/str.h"
#include "evaluator/classification.h"

enum { MOST = 10000, HEADLINE = 20 };

int neighbours_parse(struct neighbours *n, const char *option, const char *list, double temperature,
                     struct error *error)
{
    const char *text = list;
    int64_t last = 0;
    *n = (struct neighbours){.option = option, .list = list, .temperature = temperature};
    for (char *rest; n->count < NEIGHBOURS_LISTS; text = rest + 1) {
        errno = 0;
        int64_t k = strtol(text, &rest, 10);
        if (rest == text || errno || k <= last || k > MOST || (*rest && *rest != ',')) break;
        if (k == HEADLINE) n->headline = n->count;
        n->k[n->count++] = last = k;
        if (!*rest) return 0;
    }
    return error_set(error, ERROR_USAGE, "%s %s: give numbers from 1 to %d, ascending, like %s", option, list, MOST,
                     NEIGHBOURS_K);
}

int neighbours_check(const struct neighbours *n, int64_t samples, struct error *error)
{
    int64_t most = n->k[n->count - 1];
    if (most <= samples) return 0;
    return error_set(error, ERROR_USAGE, "%s %s: there are %ld labelled samples to choose %ld from", n->option, n->list,
                     (long)samples, (long)most);
}

int neighbours_score(const struct neighbours *n, struct device *device, const struct world *world,
                     const struct labelled_rows *items, const struct labelled_rows *queries, int64_t classes,
                     int64_t *ranks, json_t *figures, struct error *error)
{
    struct knn_settings settings = {n->k, n->count, n->temperature};
    struct classification_scores scores[NEIGHBOURS_LISTS];
    if (knn_score(device, world, items, queries, classes, &settings, scores, ranks, error) < 0) return -1;
    classification_figures(figures, &scores[n->headline]);
    json_object_set_new(figures, "k", json_integer(n->k[n->headline]));
    for (int64_t i = 0; i < n->count; i++) {
        struct str key = {0};
        str_printf(&key, "knn_%ld_acc1", (long)n->k[i]);
        json_object_set_new(figures, key.data, json_real(scores[i].acc1));
        str_free(&key);
    }
    return 0;
}
