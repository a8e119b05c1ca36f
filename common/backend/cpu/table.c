/* The CPU table.  Compiled once per instruction level with CPU_TABLE naming the result; the kernels are included so that
 * each level has its own copies of everything, all of them static. */
#include <omp.h>

#include "backend/cpu/simd.h"
#include "backend/device.h"

#include "backend/cpu/gemm.c"
#include "backend/cpu/linear.c"
#include "backend/cpu/norm.c"
#include "backend/cpu/attention.c"
#include "backend/cpu/rows.c"
#include "backend/cpu/contrastive.c"
#include "backend/cpu/optimizer.c"

#ifndef CPU_TABLE
#define CPU_TABLE cpu_kernels_portable
#define CPU_LEVEL "portable"
#endif

extern const struct kernels CPU_TABLE;
const struct kernels CPU_TABLE = {
    .name = "cpu/" CPU_LEVEL,
    .scratch_floats = gemm_scratch_floats,
    .linear_forward = linear_forward,
    .linear_backward_input = linear_backward_input,
    .linear_backward_weight = linear_backward_weight,
    .matmul = matmul,
    .norm_stats = norm_stats,
    .norm_forward = norm_forward,
    .norm_backward = norm_backward,
    .attention_forward = attention_forward,
    .attention_backward = attention_backward,
    .rotary = rotary,
    .patches = patches,
    .tokens_forward = tokens_forward,
    .tokens_backward = tokens_backward,
    .grid_resize = grid_resize,
    .grid_resize_backward = grid_resize_backward,
    .embed_forward = embed_forward,
    .embed_backward = embed_backward,
    .gather_rows = gather_rows,
    .scatter_rows_add = scatter_rows_add,
    .repeat_row = repeat_row,
    .sum_rows = sum_rows,
    .normalize_forward = normalize_forward,
    .normalize_backward = normalize_backward,
    .cosine_forward = cosine_forward,
    .cosine_backward = cosine_backward,
    .add = add,
    .fill = fill,
    .softmax_stats = softmax_stats,
    .contrastive_gradient = contrastive_gradient,
    .square_sums = square_sums,
    .adam_apply = adam_apply,
    .lamb_update = lamb_update,
    .lamb_apply = lamb_apply,
};
