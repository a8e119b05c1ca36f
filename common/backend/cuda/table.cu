/* The CUDA table, compiled once for each type: BACKEND_REAL is float or __nv_bfloat16, CUDA_TABLE the name of the
 * function that fills it in. */
#include <cuda_bf16.h>

#include "backend/cuda/attention.h"
#include "backend/cuda/plans.h"

#include "backend/cuda/rows.cu"
#include "backend/cuda/product.cu"
#include "backend/cuda/maps.cu"
#include "backend/cuda/decoder.cu"
#include "backend/cuda/attention.cu"
#include "backend/cuda/prompted.cu"
#include "backend/cuda/contrastive.cu"
#include "backend/cuda/dense.cu"
#include "backend/cuda/detection.cu"
#include "backend/cuda/gram.cu"
#include "backend/cuda/optimizer.cu"

void CUDA_TABLE(struct kernels *k);
void CUDA_TABLE(struct kernels *k)
{
    memset(k, 0, sizeof *k);
    k->name = NARROW ? "cuda/bf16" : "cuda/fp32";
    k->real_bytes = sizeof(real);
    k->keeps_inputs = true;
    k->strip_rows = 2048;
    k->slice_columns = 8192;
    k->linear_forward = linear_forward;
    k->linear_backward_input = linear_backward_input;
    k->linear_backward_weight = linear_backward_weight;
    k->matmul = matmul;
    k->norm_forward = norm_forward;
    k->norm_backward = norm_backward;
    k->attention_forward = attention_forward;
    k->attention_backward = attention_backward;
    k->cache_store = cache_store;
    k->cached_attention = cached_attention;
    k->rotary = rotary;
    k->branch_forward = branch_forward;
    k->branch_backward = branch_backward;
    k->patches = patches;
    k->tokens_forward = tokens_forward;
    k->tokens_backward = tokens_backward;
    k->grid_resize = grid_resize;
    k->grid_resize_backward = grid_resize_backward;
    k->embed_forward = embed_forward;
    k->embed_backward = embed_backward;
    k->gather_rows = gather_rows;
    k->scatter_rows_add = scatter_rows_add;
    k->rms_forward = rms_forward;
    k->rms_backward = rms_backward;
    k->put_rows = put_rows;
    k->mean_rows = mean_rows;
    k->mean_rows_backward = mean_rows_backward;
    k->pool_grid = pool_grid;
    k->pool_grid_backward = pool_grid_backward;
    k->gate_forward = gate_forward;
    k->gate_backward = gate_backward;
    k->softmax_loss = softmax_loss;
    k->softmax_gradient = softmax_gradient;
    k->repeat_row = repeat_row;
    k->sum_rows = sum_rows;
    k->normalize_forward = normalize_forward;
    k->normalize_backward = normalize_backward;
    k->cosine_forward = cosine_forward;
    k->cosine_backward = cosine_backward;
    k->add_row = add_row;
    k->standardize = standardize;
    k->column_sums = column_sums;
    k->convolve_forward = convolve_forward;
    k->convolve_backward_input = convolve_backward_input;
    k->convolve_backward_weight = convolve_backward_weight;
    k->spread_forward = spread_forward;
    k->spread_backward = spread_backward;
    k->max_pool_forward = max_pool_forward;
    k->max_pool_backward = max_pool_backward;
    k->resize_forward = resize_forward;
    k->resize_backward = resize_backward;
    k->group_norm_forward = group_norm_forward;
    k->group_norm_backward = group_norm_backward;
    k->affine_forward = affine_forward;
    k->affine_backward = affine_backward;
    k->activation_forward = activation_forward;
    k->activation_backward = activation_backward;
    k->heads_apart = heads_apart;
    k->heads_together = heads_together;
    k->map_to_tokens = map_to_tokens;
    k->tokens_to_map = tokens_to_map;
    k->add = add;
    k->add_real = add_real;
    k->fill = fill;
    k->sum_floats = sum_floats;
    k->round = round_real;
    k->focal_forward = focal_forward;
    k->focal_backward = focal_backward;
    k->giou_forward = giou_forward;
    k->giou_backward = giou_backward;
    k->binary_forward = binary_forward;
    k->binary_backward = binary_backward;
    k->softmax_stats = softmax_stats;
    k->merge_stats = merge_stats;
    k->contrastive_gradient = contrastive_gradient;
    k->distill_gradient = distill_gradient;
    k->contrastive_loss = contrastive_loss;
    k->tree_sum = tree_sum;
    k->scale_gradient = scale_gradient;
    k->pixel_loss = pixel_loss;
    k->bins_forward = bins_forward;
    k->bins_backward = bins_backward;
    k->depth_loss = depth_loss;
    k->gram_difference = gram_difference;
    k->square_sums = square_sums;
    k->parameter_sums = parameter_sums;
    k->clip_factor = clip_factor;
    k->adam = adam;
    k->lamb_direction = lamb_direction;
    k->lamb_apply = lamb_apply;
    k->sgd = sgd;
    k->clamp = clamp;
}
