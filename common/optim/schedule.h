/* What changes over a run, as pure functions of the step. */
#ifndef OPTIM_SCHEDULE_H
#define OPTIM_SCHEDULE_H

#include <stdint.h>

#include "base/error.h"

/* Linear warm-up to peak over `warmup` steps, then a cosine down to `floor` at `steps`.  step counts from 0. */
double schedule_rate(double peak, double floor, int64_t step, int64_t warmup, int64_t steps);

/* By name:
 *   cosine      that one; so is NULL
 *   poly        after the same warm-up a straight line down to floor (mmsegmentation's poly of power 1)
 *   steps       after it the peak, from 8/9 of the steps a tenth of it, from 26/27 a hundredth (ViTDet's)
 *   one-cycle   PyTorch's OneCycleLR: half a cosine from peak / 25 up to peak, another down to peak / 2500 (floor does
 *               not count) */
#define SCHEDULES "cosine|poly|steps|one-cycle"
double schedule_rate_of(const char *name, double peak, double floor, int64_t step, int64_t warmup, int64_t steps);

/* Progressive resolution: "98:0.42,154:0.33,224:0.25" gives each size a share of the steps, in order. */
enum { RESOLUTION_STAGES = 16 };
struct resolutions {
    int count;
    int64_t size[RESOLUTION_STAGES];
    double end[RESOLUTION_STAGES], total; /* shares of the steps until the stage is over, and all of them */
};
/* text NULL or "": `size` all along.  Sizes must be multiples of patch and shares positive. */
int resolutions_parse(struct resolutions *resolutions, const char *text, int64_t size, int64_t patch,
                      struct error *error);
/* Of a step, counted from 0, of `steps`. */
int64_t resolution_at(const struct resolutions *resolutions, int64_t step, int64_t steps);

#endif
