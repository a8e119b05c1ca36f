/* By sorting. */
#include "evaluator/report/choice.h"

#include <stdlib.h>

#include "base/memory.h"

const char *const chosen_words[] = {"worst", "best", "sample"};

struct scored {
    double score;
    int64_t item;
};

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    return x->score != y->score ? (x->score > y->score) - (x->score < y->score)
                                : (x->item > y->item) - (x->item < y->item);
}

static int by_item(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    return (x->item > y->item) - (x->item < y->item);
}

int64_t choose_examples(const double *scores, int64_t count, int64_t each, struct choice *choices)
{
    struct scored *all = mem_alloc((size_t)count + 1, sizeof *all);
    int64_t n = 0, ends = scores ? each : 0, worst = ends < count ? ends : count,
            best = ends < count - worst ? ends : count - worst, left = count - worst - best,
            room = scores ? each : 3 * each, sample = room < left ? room : left;
    for (int64_t i = 0; i < count; i++) all[i] = (struct scored){scores ? scores[i] : 0, i};
    qsort(all, (size_t)count, sizeof *all, by_score);
    for (int64_t i = 0; i < worst; i++) choices[n++] = (struct choice){all[i].item, CHOSEN_WORST};
    for (int64_t i = 0; i < best; i++) choices[n++] = (struct choice){all[count - 1 - i].item, CHOSEN_BEST};
    qsort(all + worst, (size_t)left, sizeof *all, by_item);
    for (int64_t i = 0; i < sample; i++)
        choices[n++] = (struct choice){all[worst + (2 * i + 1) * left / (2 * sample)].item, CHOSEN_SAMPLE};
    free(all);
    return n;
}
