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

/* A caption's weights and, for each n, their length.  rarity [pictures + 1]: log N - log of how many have it. */
struct weights {
    double *of, lengths[GRAM_MOST];
};

static void weigh(const struct caption *c, const struct grams *g, const double *rarity, struct weights *w)
{
    int32_t i = 0;
    for (int n = 0; n < GRAM_MOST; n++) {
        double sum = 0;
        for (; i < c->ends[n]; i++) {
            w->of[i] = c->times[i] * rarity[g->list[c->grams[i]].pictures];
            sum += w->of[i] * w->of[i];
        }
        w->lengths[n] = sqrt(sum);
    }
}

/* Likeness of a caption, marked in g, to a reference, summed over n.  matched: zeroes, one each of hyp's n-grams, and
 * left so. */
static double likeness(const struct grams *g, const struct caption *hyp, const struct weights *hyp_weights,
                       const struct caption *ref, const struct weights *ref_weights, double *matched)
{
    for (int32_t i = 0; i < ref->ends[GRAM_MOST - 1]; i++) {
        int32_t place = grams_place(g, ref->grams[i]);
        if (place >= 0) matched[place] = ref_weights->of[i];
    }
    double gap = (double)(hyp->bigrams - ref->bigrams), near = exp(-(gap * gap) / (2 * SIGMA * SIGMA)), sum = 0;
    int32_t i = 0;
    for (int n = 0; n < GRAM_MOST; n++) {
        double like = 0, lengths = hyp_weights->lengths[n] * ref_weights->lengths[n];
        for (; i < hyp->ends[n]; i++) {
            like += (hyp_weights->of[i] < matched[i] ? hyp_weights->of[i] : matched[i]) * matched[i];
            matched[i] = 0;
        }
        sum += (lengths != 0 ? like / lengths : like) * near;
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

/* What a picture's reply is worth. */
static double worth(const struct picture *p, struct grams *g, const double *rarity)
{
    int32_t most = p->hyp.ends[GRAM_MOST - 1];
    for (int64_t k = 0; k < p->count; k++)
        if (p->refs[k].ends[GRAM_MOST - 1] > most) most = p->refs[k].ends[GRAM_MOST - 1];
    double *matched = mem_zalloc(3 * (size_t)most + 1, sizeof *matched), sum = 0;
    struct weights hyp = {.of = matched + most}, ref = {.of = matched + 2 * (size_t)most};
    weigh(&p->hyp, g, rarity, &hyp);
    grams_mark(g, &p->hyp);
    for (int64_t k = 0; k < p->count; k++) {
        weigh(&p->refs[k], g, rarity, &ref);
        sum += likeness(g, &p->hyp, &hyp, &p->refs[k], &ref, matched);
    }
    free(matched);
    return 10 * (sum / GRAM_MOST / (double)p->count);
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
    int64_t counted = read_pictures(x, &grams, pictures);
    double *rarity = mem_alloc((size_t)counted + 1, sizeof *rarity);
    for (int64_t i = 0; i <= counted; i++) rarity[i] = log((double)counted) - log(i > 1 ? (double)i : 1);
    for (int64_t i = 0; i < a->count; i++) {
        struct picture *p = &pictures[i];
        a->values[i] = p->counts ? worth(p, &grams, rarity) : NAN;
        for (int64_t k = 0; k < p->count; k++) caption_free(&p->refs[k]);
        caption_free(&p->hyp);
        free(p->refs);
    }
    free(rarity);
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
