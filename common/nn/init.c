/* Initialisation rules. */
#include "nn/init.h"

#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/rng.h"
#include "base/str.h"

static struct rng open_for(const struct parameter *p, uint64_t seed)
{
    return rng_open(seed, RNG_INIT, XXH3_64bits(p->name, strlen(p->name)), 0);
}

void init_normal(struct parameter *p, uint64_t seed, double deviation)
{
    struct rng rng = open_for(p, seed);
    for (int64_t i = 0; i < tensor_count(&p->tensor); i++) p->values[i] = (float)(deviation * rng_normal(&rng));
}

void init_uniform(struct parameter *p, uint64_t seed, double bound)
{
    struct rng rng = open_for(p, seed);
    for (int64_t i = 0; i < tensor_count(&p->tensor); i++) p->values[i] = (float)rng_range(&rng, -bound, bound);
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
