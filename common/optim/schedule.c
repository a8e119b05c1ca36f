/* Learning rate and resolution over the steps. */
#include "optim/schedule.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

double schedule_rate(double peak, double floor, int64_t step, int64_t warmup, int64_t steps)
{
    if (step < warmup) return peak * (double)(step + 1) / (double)warmup;
    double span = steps > warmup ? (double)(steps - warmup) : 1, at = (double)(step - warmup) / span;
    if (at > 1) at = 1;
    return floor + (peak - floor) * 0.5 * (1 + cos(3.14159265358979323846 * at));
}

/* From `from` to `to` by half a cosine, `at` of the way. */
static double half_cosine(double from, double to, double at)
{
    return to + (from - to) * 0.5 * (1 + cos(3.14159265358979323846 * at));
}

double schedule_rate_of(const char *name, double peak, double floor, int64_t step, int64_t warmup, int64_t steps)
{
    bool poly = name && !strcmp(name, "poly"), stairs = name && !strcmp(name, "steps");
    if (!poly && (!name || !strcmp(name, "cosine"))) return schedule_rate(peak, floor, step, warmup, steps);
    if ((poly || stairs) && step < warmup) return schedule_rate(peak, floor, step, warmup, steps);
    if (stairs) return peak * (27 * step >= 26 * steps ? 0.01 : 9 * step >= 8 * steps ? 0.1 : 1);
    double span = steps > warmup ? (double)(steps - warmup) : 1, at = fmin((double)(step - warmup) / span, 1);
    if (poly) return floor + (peak - floor) * (1 - at);
    return step < warmup ? half_cosine(peak / 25, peak, (double)step / (double)warmup)
                         : half_cosine(peak, peak / 2500, at);
}

int resolutions_parse(struct resolutions *out, const char *text, int64_t size, int64_t patch, struct error *error)
{
    struct resolutions r = {.count = 0};
    if (!text || !*text) {
        *out = (struct resolutions){.count = 1, .size = {size}, .end = {1}, .total = 1};
        return 0;
    }
    for (const char *at = text; *at;) {
        char *end;
        long pixels = strtol(at, &end, 10);
        double share = *end == ':' ? strtod(end + 1, &end) : 0;
        if ((*end && *end != ',') || !(share > 0) || r.count == RESOLUTION_STAGES)
            return error_set(error, ERROR_USAGE,
                             "--resolution-schedule %s: must be SIZE:SHARE,SIZE:SHARE,... with at most %d stages", text,
                             RESOLUTION_STAGES);
        if (pixels < patch || pixels % patch)
            return error_set(error, ERROR_USAGE, "--resolution-schedule %s: %ld is no multiple of the patch size %ld",
                             text, pixels, (long)patch);
        r.size[r.count] = pixels;
        r.end[r.count++] = r.total += share;
        at = *end ? end + 1 : end;
    }
    *out = r;
    return 0;
}

int64_t resolution_at(const struct resolutions *r, int64_t step, int64_t steps)
{
    int i = 0;
    while (i < r->count - 1 && step >= llround((double)steps * r->end[i] / r->total)) i++;
    return r->size[i];
}
