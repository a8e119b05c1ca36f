/* The one binary tree in which gradients, losses and features' gradients of slices are summed.  A sum of floats depends
 * on its order; this order depends on the number of slices (leaves) alone, never on who holds them or which came first.
 *
 *   leaf    0   1   2   3   4   5   6      A node of height h is leaves [i 2^h, (i + 1) 2^h), as far as there are
 *            \ /     \ /     \ /    |      any.  Its children are the two nodes of height h - 1 below it; where the
 *             +       +       +     |      right one would have no leaves the left one stands for both.
 *              \     /         \   /
 *               \   /           \ /        A rank holds a share of the leaves in a row (dist/share.h) and adds up what
 *                 +              +         nodes it can: 0 1 | 2 3 | 4 5 6 are a node each, a share of 1 2 3 4 leaves
 *                  \            /          three: 1, 2 3 and 4.
 *                    --- + ----
 *
 * Between ranks a sum has parts, one for each rank, that shall end with it.  The sum of a node for the part of the rank
 * whose first leaf is l is formed where leaf first + l mod 2^h is: each part takes its own way up the tree.  With
 * powers of two this is recursive halving. */
#ifndef DIST_TREE_H
#define DIST_TREE_H

#include <stdbool.h>
#include <stdint.h>

enum { TREE_NODES = 64 }; /* that wait at once, of any number of leaves */

/* The sum of leaves [first, end), or what will stand for it. */
struct tree_node {
    int64_t first, end;
    float *sum;
};

/* The nodes a rank has so far, in the order of their leaves, and buffers for those to come; buffers are the owner's. */
struct tree {
    int64_t leaves; /* of all ranks */
    int count, idle_count;
    struct tree_node node[TREE_NODES];
    float *idle[TREE_NODES];
};

void tree_lend(struct tree *t, float *buffer); /* one more idle buffer */
float *tree_take(struct tree *t);              /* an idle buffer, for a leaf */
void tree_put(struct tree *t, int64_t leaf, float *sum);
/* Two nodes that wait become their parent: the caller adds *from to *into, and *from is idle.  false: there are no
 * siblings among them. */
bool tree_join(struct tree *t, float **into, const float **from);
void tree_clear(struct tree *t); /* all buffers are idle */

/* Buffers it takes to sum leaves [first, end), put from the last to the first. */
int tree_buffers(int64_t leaves, int64_t first, int64_t end);
/* The sum in which a leaf is. */
float *tree_at(const struct tree *t, int64_t leaf);

/* Height of the node of all leaves. */
int tree_height(int64_t leaves);
/* Where the sum of the node of `height` >= 1 at leaf `first` is formed, for the part of the rank whose first leaf is
 * `leaf`: the sum where leaf *into is, which holds one child's, takes in the one where leaf *from is.  false: it has
 * one child. */
bool tree_meet(int64_t leaves, int64_t first, int height, int64_t leaf, int64_t *into, int64_t *from);

#endif
