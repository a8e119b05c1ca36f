/* The CPU table.  Compiled once per instruction level with CPU_TABLE naming the result; the kernels are included so
 * that each level has its own copies of everything, all of them static. */
#include <omp.h>

#define BACKEND_REAL float

#include "backend/cpu/simd.h"
#include "backend/device.h"
#include "base/check.h"
#include "base/memory.h"

#include "backend/cpu/memory.c"
#include "backend/cpu/gemm.c"
#include "backend/cpu/norm.c"
#include "backend/cpu/linear.c"
#include "backend/cpu/attention.c"
#include "backend/cpu/packed.c"
#include "backend/cpu/rows.c"
#include "backend/cpu/winograd.c"
#include "backend/cpu/convolve.c"
#include "backend/cpu/maps.c"
#include "backend/cpu/group_norm.c"
#include "backend/cpu/prompted.c"
#include "backend/cpu/contrastive.c"
#include "backend/cpu/dense.c"
#include "backend/cpu/detection.c"
#include "backend/cpu/gram.c"
#include "backend/cpu/optimizer.c"

#ifndef CPU_TABLE
#define CPU_TABLE cpu_kernels_portable
#define CPU_LEVEL "portable"
#endif

extern const struct kernels CPU_TABLE;
const struct kernels CPU_TABLE = {
    .name = "cpu/" CPU_LEVEL,
    .real_bytes = sizeof(real),
    .strip_rows = 256,
    .scratch_floats = gemm_scratch_floats,
    .map = map,
    .unmap = unmap,
    .host_map = host_map,
    .host_unmap = host_unmap,
    .upload = upload,
    .download = upload,
    .copy = copy,
    .wait = wait_all,
    .stage = stage,
    .staged = slot_nothing,
    .stage_done = slot_nothing,
    .fetch_begin = fetch_begin,
    .fetch_end = fetch_end,
    .linear_forward = linear_forward,
    .linear_backward_input = linear_backward_input,
    .linear_backward_weight = linear_backward_weight,
    .matmul = matmul,
    .norm_forward = norm_forward,
    .norm_backward = norm_backward,
    .attention_forward = attention_forward,
    .attention_backward = attention_backward,
    .cache_store = cache_store,
    .cached_attention = cached_attention,
    .packed_bytes = packed_bytes,
    .pack_rows = pack_rows,
    .linear_packed = linear_packed,
    .embed_packed = embed_packed,
    .rotary = rotary,
    .branch_forward = branch_forward,
    .branch_backward = branch_backward,
    .patches = patches,
    .tokens_forward = tokens_forward,
    .tokens_backward = tokens_backward,
    .grid_resize = grid_resize,
    .grid_resize_backward = grid_resize_backward,
    .embed_forward = embed_forward,
    .embed_backward = embed_backward,
    .gather_rows = gather_rows,
    .scatter_rows_add = scatter_rows_add,
    .rms_forward = rms_forward,
    .rms_backward = rms_backward,
    .put_rows = put_rows,
    .mean_rows = mean_rows,
    .mean_rows_backward = mean_rows_backward,
    .pool_grid = pool_grid,
    .pool_grid_backward = pool_grid_backward,
    .gate_forward = gate_forward,
    .gate_backward = gate_backward,
    .softmax_loss = softmax_loss,
    .softmax_gradient = softmax_gradient,
    .repeat_row = repeat_row,
    .sum_rows = sum_rows,
    .normalize_forward = normalize_forward,
    .normalize_backward = normalize_backward,
    .cosine_forward = cosine_forward,
    .cosine_backward = cosine_backward,
    .add_row = add_row,
    .standardize = standardize,
    .column_sums = column_sums,
    .convolve_forward = convolve_forward,
    .convolve_backward_input = convolve_backward_input,
    .convolve_backward_weight = convolve_backward_weight,
    .spread_forward = spread_forward,
    .spread_backward = spread_backward,
    .max_pool_forward = max_pool_forward,
    .max_pool_backward = max_pool_backward,
    .resize_forward = resize_forward,
    .resize_backward = resize_backward,
    .group_norm_forward = group_norm_forward,
    .group_norm_backward = group_norm_backward,
    .affine_forward = affine_forward,
    .affine_backward = affine_backward,
    .activation_forward = activation_forward,
    .activation_backward = activation_backward,
    .heads_apart = heads_apart,
    .heads_together = heads_together,
    .map_to_tokens = map_to_tokens,
    .tokens_to_map = tokens_to_map,
    .add = add,
    .add_real = add,
    .fill = fill,
    .sum_floats = sum_floats,
    .round = round_real,
    .focal_forward = focal_forward,
    .focal_backward = focal_backward,
    .giou_forward = giou_forward,
    .giou_backward = giou_backward,
    .binary_forward = binary_forward,
    .binary_backward = binary_backward,
    .softmax_stats = softmax_stats,
    .merge_stats = merge_stats,
    .contrastive_gradient = contrastive_gradient,
    .distill_gradient = distill_gradient,
    .contrastive_loss = contrastive_loss,
    .tree_sum = tree_sum,
    .scale_gradient = scale_gradient,
    .pixel_loss = pixel_loss,
    .bins_forward = bins_forward,
    .bins_backward = bins_backward,
    .depth_loss = depth_loss,
    .gram_difference = gram_difference,
    .square_sums = square_sums,
    .parameter_sums = parameter_sums,
    .clip_factor = clip_factor,
    .adam = adam,
    .lamb_direction = lamb_direction,
    .lamb_apply = lamb_apply,
    .sgd = sgd,
    .clamp = clamp,
};
