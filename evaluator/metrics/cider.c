/* pe-evaluator score --metric cider: CIDEr-D of captions (Vedantam et al. 2015, as coco-caption computes it).
 *
 * A caption is a vector for each n = 1..4: how often each n-gram of its tokens (ptb.h) is there, times
 * log N - log max(1, pictures with it among their references); N pictures.  With l the number of bigrams,
 *
 *   value = 10 / (4 refs) sum over refs, n of  exp(-(l - l_ref)^2 / 72) min(h, r) . r / (|h| |r|)
 *
 * and the figure is the mean over the pictures.  It is of the whole set: with other pictures beside it a caption's
 * value is another, and with one picture alone it is 0. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "evaluator/metrics/answers.h"
#include "evaluator/metrics/grams.h"
#include "evaluator/metrics/ptb.h"

extern const struct metric metric_cider;

struct self {
    bool predicted_only; /* option */
    struct answers answers;
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_BOOL, "cider-predicted-only", AT(predicted_only), "false", 0, 0, NULL, "the set is the pictures with a prediction (false: all of the truth; a picture without one is worth 0)"},
    {0}};
/* clang-format on */

#define SIGMA 6.

/* A caption's weights and, for each n, their length. */
static void weigh(const struct caption *c, const struct grams *g, double log_pictures, double *weights,
                  double lengths[GRAM_MOST])
{
    for (int n = 0; n < GRAM_MOST; n++) lengths[n] = 0;
    for (int64_t i = 0; i < c->count; i++) {
        const struct gram *gram = &g->list[c->grams[i]];
        weights[i] = c->times[i] * (log_pictures - log(gram->pictures > 1 ? gram->pictures : 1));
        lengths[gram->size - 1] += weights[i] * weights[i];
    }
    for (int n = 0; n < GRAM_MOST; n++) lengths[n] = sqrt(lengths[n]);
}

/* Likeness of a caption to a reference, summed over n.  scratch [grams of g]: zeroes, and left so. */
static double likeness(const struct grams *g, double log_pictures, const struct caption *hyp, const struct caption *ref,
                       double *scratch)
{
    double *weights = mem_alloc((size_t)(hyp->count + ref->count) + 1, sizeof *weights);
    double *ref_weights = weights + hyp->count, lengths[GRAM_MOST], ref_lengths[GRAM_MOST], likes[GRAM_MOST] = {0};
    weigh(hyp, g, log_pictures, weights, lengths);
    weigh(ref, g, log_pictures, ref_weights, ref_lengths);
    for (int64_t i = 0; i < ref->count; i++) scratch[ref->grams[i]] = ref_weights[i];
    for (int64_t i = 0; i < hyp->count; i++) {
        double r = scratch[hyp->grams[i]];
        likes[g->list[hyp->grams[i]].size - 1] += (weights[i] < r ? weights[i] : r) * r;
    }
    for (int64_t i = 0; i < ref->count; i++) scratch[ref->grams[i]] = 0;
    free(weights);
    double gap = (double)(hyp->bigrams - ref->bigrams), sum = 0;
    for (int n = 0; n < GRAM_MOST; n++) {
        if (lengths[n] != 0 && ref_lengths[n] != 0) likes[n] /= lengths[n] * ref_lengths[n];
        sum += likes[n] * exp(-(gap * gap) / (2 * SIGMA * SIGMA));
    }
    return sum;
}

/* A picture's captions: what was replied, and the references [count]. */
struct picture {
    bool counts;
    struct caption hyp, *refs;
    int64_t count;
};

static struct caption read_caption(const struct ptb *ptb, struct grams *g, const char *text)
{
    struct str tokens = {0};
    ptb_tokenize(ptb, text, &tokens);
    struct caption caption = grams_read(g, tokens.data ? tokens.data : "");
    str_free(&tokens);
    return caption;
}

/* The pictures [count] of a set; how many count. */
static int64_t read_pictures(const struct self *x, struct grams *g, struct picture *pictures)
{
    struct ptb *ptb = ptb_open();
    int64_t counted = 0;
    for (int64_t i = 0; i < x->answers.count; i++) {
        const struct question *q = &x->answers.questions[i];
        struct picture *p = &pictures[i];
        p->counts = q->reply || !x->predicted_only;
        if (!p->counts) continue;
        p->count = question_answers(q);
        p->refs = mem_alloc((size_t)p->count, sizeof *p->refs);
        for (int64_t k = 0; k < p->count; k++) {
            p->refs[k] = read_caption(ptb, g, question_answer(q, k));
            grams_refer(g, &p->refs[k], (int32_t)i + 1);
        }
        p->hyp = read_caption(ptb, g, q->reply ? question_reply(q) : "");
        counted++;
    }
    ptb_close(ptb);
    return counted;
}

static int open_cider(void *self, const char *truth, const char *predictions, struct metric_result *result,
                      struct error *error)
{
    struct self *x = self;
    struct answers *a = &x->answers;
    struct grams grams;
    if (answers_read(a, truth, predictions, false, error) < 0) return -1;
    struct picture *pictures = mem_zalloc((size_t)a->count, sizeof *pictures);
    grams_open(&grams);
    double log_pictures = log((double)read_pictures(x, &grams, pictures));
    double *scratch = mem_zalloc((size_t)grams.count + 1, sizeof *scratch);
    for (int64_t i = 0; i < a->count; i++) {
        struct picture *p = &pictures[i];
        for (int64_t k = 0; k < p->count; k++) {
            a->values[i] += likeness(&grams, log_pictures, &p->hyp, &p->refs[k], scratch);
            caption_free(&p->refs[k]);
        }
        a->values[i] = p->counts ? 10 * (a->values[i] / GRAM_MOST / (double)p->count) : NAN;
        caption_free(&p->hyp);
        free(p->refs);
    }
    free(scratch);
    free(pictures);
    grams_close(&grams);
    answers_report(a, "CIDEr", "CIDEr", result);
    return 0;
}

static double resample(void *self, const int32_t *times)
{
    return answers_resample(&((struct self *)self)->answers, times);
}

static void close_cider(void *self)
{
    answers_free(&((struct self *)self)->answers);
}

const struct metric metric_cider = {
    .name = "cider",
    .summary = "CIDEr-D of captions (COCO, NoCaps): CIDEr",
    .headline = "CIDEr",
    .options = options,
    .bytes = sizeof(struct self),
    .open = open_cider,
    .resample = resample,
    .close = close_cider,
};
