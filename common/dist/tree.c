/* Integers only: who is added to whom. */
#include "dist/tree.h"

#include <string.h>

#include "base/check.h"

void tree_lend(struct tree *t, float *buffer)
{
    CHECK(t->idle_count < TREE_NODES, "%d buffers", t->idle_count);
    t->idle[t->idle_count++] = buffer;
}

float *tree_take(struct tree *t)
{
    CHECK(t->idle_count, "%d sums wait and no buffer is idle", t->count);
    return t->idle[--t->idle_count];
}

void tree_put(struct tree *t, int64_t leaf, float *sum)
{
    int at = 0;
    CHECK(t->count < TREE_NODES && leaf >= 0 && leaf < t->leaves, "leaf %ld of %ld beside %d sums", (long)leaf,
          (long)t->leaves, t->count);
    while (at < t->count && t->node[at].first < leaf) at++;
    memmove(t->node + at + 1, t->node + at, (size_t)(t->count - at) * sizeof *t->node);
    t->node[at] = (struct tree_node){leaf, leaf + 1, sum};
    t->count++;
}

/* A left child is whole, so its length is a power of two. */
static bool siblings(const struct tree *t, const struct tree_node *a, const struct tree_node *b)
{
    int64_t length = a->end - a->first, end = a->first + 2 * length;
    return a->first % (2 * length) == 0 && b->first == a->end && b->end == (end < t->leaves ? end : t->leaves);
}

bool tree_join(struct tree *t, float **into, const float **from)
{
    for (int i = 0; i + 1 < t->count; i++) {
        struct tree_node *a = &t->node[i], *b = a + 1;
        if (!siblings(t, a, b)) continue;
        *into = b->sum;
        *from = a->sum;
        tree_lend(t, a->sum);
        *a = (struct tree_node){a->first, b->end, b->sum};
        t->count--;
        memmove(b, b + 1, (size_t)(t->count - i - 1) * sizeof *b);
        return true;
    }
    return false;
}

void tree_clear(struct tree *t)
{
    while (t->count) tree_lend(t, t->node[--t->count].sum);
}

int tree_buffers(int64_t leaves, int64_t first, int64_t end)
{
    struct tree t = {.leaves = leaves};
    int most = 0;
    float *into;
    const float *from;
    for (int64_t leaf = end - 1; leaf >= first; leaf--) {
        if (!t.idle_count) {
            tree_lend(&t, NULL);
            most++;
        }
        tree_put(&t, leaf, tree_take(&t));
        while (tree_join(&t, &into, &from)) continue;
    }
    return most;
}

float *tree_at(const struct tree *t, int64_t leaf)
{
    for (int i = 0; i < t->count; i++)
        if (leaf >= t->node[i].first && leaf < t->node[i].end) return t->node[i].sum;
    CHECK(0, "leaf %ld is in none of %d sums", (long)leaf, t->count);
    return NULL;
}

int tree_height(int64_t leaves)
{
    int height = 0;
    while ((int64_t)1 << height < leaves) height++;
    return height;
}

/* A node cut off before the leaf that is due is formed as its left child is. */
static int64_t keeper(int64_t leaves, int64_t first, int height, int64_t leaf)
{
    int64_t at = first + (leaf & (((int64_t)1 << height) - 1));
    return at < leaves ? at : keeper(leaves, first, height - 1, leaf);
}

bool tree_meet(int64_t leaves, int64_t first, int height, int64_t leaf, int64_t *into, int64_t *from)
{
    int64_t half = (int64_t)1 << (height - 1);
    if (first + half >= leaves) return false;
    int64_t left = keeper(leaves, first, height - 1, leaf), right = keeper(leaves, first + half, height - 1, leaf);
    *into = keeper(leaves, first, height, leaf);
    *from = *into == left ? right : left;
    return true;
}
