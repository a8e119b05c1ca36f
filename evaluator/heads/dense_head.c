/* Scale and shift of batch norm. */
#include "evaluator/heads/dense_head.h"

#include <string.h>

static bool has_batch(const struct heads *h)
{
    return !strcmp(h->settings.norm, "batch");
}

void dense_head_add(struct heads *h, struct head *head, const char *prefix)
{
    if (!has_batch(h)) return;
    heads_add(h, head, prefix, "norm_scale", 1, &head->width);
    heads_add(h, head, prefix, "norm_shift", 1, &head->width);
}

int dense_head_first(const struct heads *h)
{
    return has_batch(h) ? 2 : 0;
}

struct tensor *dense_head_input(const struct heads *h, struct tape *t, const struct head *head, struct tensor *x)
{
    return has_batch(h) ? op_affine(t, x, head_tensor(head, 0), head_tensor(head, 1)) : x;
}

bool dense_head_draw(struct parameter *p)
{
    for (int64_t i = 0; !strcmp(p->name, "norm_scale") && i < tensor_count(&p->tensor); i++) p->values[i] = 1;
    return !strncmp(p->name, "norm_", strlen("norm_")); /* the shift stays zero */
}
