/* Steps, slices, shares. */
#include "run/plan.h"

#include <math.h>

#include "dist/share.h"

int plan_make(struct plan *plan, const struct plan_wish *w, int64_t samples, int rank, int ranks, struct error *error)
{
    struct plan p = {.batch = w->batch, .samples = samples, .steps = w->steps};
    if (!w->steps == !(w->epochs > 0))
        return error_set(error, ERROR_USAGE, "give the length of the run as --steps or as --epochs");
    if (!p.steps) p.steps = (int64_t)ceil(w->epochs * (double)samples / (double)w->batch);
    p.slices = slices_choose(w->slices, w->batch, ranks, w->least_slice, error);
    if (p.slices < 0) return -1;
    p.rows = p.batch / p.slices;
    p.first = share_first(p.slices, ranks, rank);
    p.mine = share_first(p.slices, ranks, rank + 1) - p.first;
    p.local = p.mine * p.rows;
    *plan = p;
    return 0;
}

bool plan_epochs_end(const struct plan *p, double epochs, int64_t step)
{
    if (!(epochs > 0)) return false;
    double period = epochs * (double)p->samples, batch = (double)p->batch;
    return floor((double)step * batch / period) > floor((double)(step - 1) * batch / period);
}

struct place plan_place(const struct plan *p, int64_t step, int64_t n, int64_t i)
{
    uint64_t at = (uint64_t)(step * p->batch + (p->first + n) * p->rows + i), samples = (uint64_t)p->samples;
    return (struct place){at / samples, at % samples};
}
