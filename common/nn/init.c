/* Initialisation rules. */
#include "nn/init.h"

#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/rng.h"
#include "base/str.h"

enum { PIECE = 1 << 14 }; /* elements that are drawn one after the other */

/* The draws for an element lie at its place in the parameter's own sequence, whichever thread comes to it. */
static void draw(struct parameter *p, uint64_t seed, bool normal, double size)
{
    int64_t count = tensor_count(&p->tensor), pieces = (count + PIECE - 1) / PIECE;
    const struct rng opened = rng_open(seed, RNG_INIT, XXH3_64bits(p->name, strlen(p->name)), 0);
#pragma omp parallel for schedule(static) if (pieces > 1)
    for (int64_t piece = 0; piece < pieces; piece++) {
        int64_t first = piece * PIECE, end = first + PIECE < count ? first + PIECE : count;
        struct rng rng = opened;
        rng_skip(&rng, (uint64_t)(normal ? first : first / 2)); /* a block: one normal, or two uniform */
        if (normal)
            for (int64_t i = first; i < end; i++) p->values[i] = (float)(size * rng_normal(&rng));
        else
            for (int64_t i = first; i < end; i++) p->values[i] = (float)rng_range(&rng, -size, size);
    }
}

void init_normal(struct parameter *p, uint64_t seed, double deviation)
{
    draw(p, seed, true, deviation);
}

void init_uniform(struct parameter *p, uint64_t seed, double bound)
{
    draw(p, seed, false, bound);
}

static void fill(struct parameter *p, float value)
{
    for (int64_t i = 0; i < tensor_count(&p->tensor); i++) p->values[i] = value;
}

void init_by_name(struct parameter *p, const struct parameters *all, uint64_t seed)
{
    bool norm = strstr(p->name, "ln_") || strstr(p->name, "layernorm");
    if (norm) {
        fill(p, str_ends_with(p->name, "weight") ? 1 : 0);
    } else if (str_ends_with(p->name, "in_proj_weight")) {
        init_uniform(p, seed, sqrt(6. / (double)(p->tensor.rows + p->tensor.cols)));
    } else if (str_ends_with(p->name, "in_proj_bias") || str_ends_with(p->name, "out_proj.bias")) {
        fill(p, 0);
    } else if (str_ends_with(p->name, ".bias")) {
        char weight[256];
        size_t stem = strlen(p->name) - 4;
        CHECK(stem + 7 < sizeof weight, "%s", p->name);
        memcpy(weight, p->name, stem);
        strcpy(weight + stem, "weight");
        const struct parameter *of = parameters_find(all, weight);
        CHECK(of, "%s has no weight beside it", p->name);
        init_uniform(p, seed, 1 / sqrt((double)of->tensor.cols));
    } else {
        init_uniform(p, seed, 1 / sqrt((double)p->tensor.cols));
    }
}
