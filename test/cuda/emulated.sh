#!/usr/bin/env bash
# The CUDA backend on the GPU of host code (test/emulator): every kernel from the case table of test/op, parity with the reference models, and the
# trainer and evaluator with --device cuda.  PERCEPT_CUDA set already: that library instead (make check-gpu runs this on a real GPU).
. "$(dirname "$0")/../lib.sh"
[ "$(uname -m)" = x86_64 ] || { echo "ok no_emulator_on_$(uname -m)"; exit 0; }
export PERCEPT_CUDA=${PERCEPT_CUDA:-$PWD/$BUILD/test/libpercept-emulated.so}
emulated=$([[ $PERCEPT_CUDA = *emulated* ]] && echo yes)

program() { # NAME CASE...: the test program runs, and has run these cases
    local name=$1 case; shift
    "$BUILD/test/$name" > "$tmp/program" 2>&1; local rc=$?
    cat "$tmp/program"
    for case in "$@"; do grep -q "^ok $case" "$tmp/program" || return 1; done
    return $rc
}
check cuda_ops program op/ops ops_cuda_fp32 ops_cuda_bf16
check cuda_updates program op/update update_adamw_cuda update_lamb_cuda update_sgd_cuda
check cuda_parity program golden/core core_parity_cuda core_parity_recomputed_cuda core_parity_no_class_token_cuda core_inference_cuda core_parity_bf16 \
    core_parity_bf16_recomputed
check cuda_decoder program golden/llama llama_parity_scaled_rope_tied llama_parity_in_parts_untied llama_meta_pth generation_same_in_any_batch
check cuda_features program mpi/features takers_share_a_pass_cuda takers_share_a_pass_bf16 groups_stay_together_cuda
check cuda_heads program golden/heads heads_linear_cuda heads_attention_cuda
check cuda_fcos program golden/fcos fcos_learns_as_torchvision_cuda fcos_finds_as_torchvision_cuda
check cuda_dense_heads program golden/dense_heads dense_segment_cuda dense_depth_cuda dense_dpt_cuda
check cuda_spatial program golden/spatial spatial_as_autograd_cuda
check cuda_sam2 program golden/sam2 sam2_maps_with_padding_cuda sam2_masks_with_padding_cuda sam2_coarse_masks_cuda
check cuda_plm program golden/plm plm_parity plm_parity_recomputed
# on however many GPUs there are: groups of ranks, each with NCCL of its own; and the tree of sums on a GPU
groups() { EMULATED_GPUS=3 ranks 3 "$BUILD/test/mpi/world" && program unit/dist tree_sum; }
check cuda_groups_and_tree groups
check cuda_contrastive program property/contrastive contrastive_equals_full_matrix_at_14 contrastive_equals_full_matrix_at_100 contrastive_equals_full_matrix_at_1 \
    distillation_equals_full_matrix distillation_beside_contrastive

"$BUILD"/test/make_pictures "$tmp/pictures" 40 || exit 1
given pe-dataloader pack --input "$tmp/pictures" --output "$tmp/data" --samples-per-shard 16
common="--train-data $tmp/data --model PE-Core-Test8-32 --global-batch-size 16 --slices 4 --steps 3 --warmup 2 --lr 3e-3 --threads 1 --save-frequency 0
    --logs $tmp/logs --log-every-n-steps 1"
weights() { echo "$tmp/logs/$1/checkpoints/step-00000003/model.safetensors"; }
losses() { sed -n 's/.*"loss":\([0-9.]*\),"last_loss.*/\1/p' "$tmp/logs/$1/metrics.jsonl"; }
follows() { # RUN BOUND [BASE]: its losses are those of the CPU run within this part
    paste <(losses "${3:-cpu}") <(losses "$1") | awk -v bound="$2" '{ n++; d = $1 > $2 ? $1 - $2 : $2 - $1; if (d > bound * $1) bad = 1; print $1, $2 }
        END { exit bad || n < 3 }'
}
train() { local n=$1 name=$2; shift 2; ranks "$n" pe-trainer $common --name "$name" --device cuda "$@"; }
given pe-trainer $common --name cpu
learns() { local bound=$1; shift; train "$@" && follows "$2" "$bound"; }
check cuda_fp32_learns_the_same learns 1e-3 1 fp32
check cuda_bf16_learns_the_same learns 2e-2 1 bf16 --precision bf16 --grad-cache
# what the dry run took is what the first step leaves in use; a real GPU's driver takes some 0.7 GiB of its own
planned() {
    local log="$tmp/logs/fp32/out.log" own=0
    [ "$emulated" ] || own=0.7
    sed -n 's/.*memory planned: \([0-9.]*\) GiB.*/\1/p; s/.*after the first step: \([0-9.]*\) GiB.*/\1/p' "$log" |
        awk -v own=$own '{ v[NR] = $1 } END { print v[1], v[2]; exit !(NR == 2 && v[2] - own < 1.05 * v[1] && v[2] > 0.95 * v[1]) }'
}
check cuda_uses_the_memory_it_planned planned
exact() {
    train 1 one --reduction exact && train 2 two --reduction exact --grad-checkpointing && same "$(weights one)" "$(weights two)" &&
        train 3 three --reduction exact && same "$(weights one)" "$(weights three)"
}
check cuda_exact_on_1_2_and_3_ranks exact
check cuda_exact_follows_cpu follows two 1e-3
stopped() { status 75 train 1 again --stop-after 2 && train 1 again --resume latest && same "$(weights fp32)" "$(weights again)"; }
check cuda_resume_is_bit_identical stopped
# two steps on the CPU, the rest on the GPU, and the other way round
moved() {
    status 75 pe-trainer $common --name to --stop-after 2 && train 1 to --resume latest && follows to 1e-3 &&
        status 75 train 1 from --stop-after 2 && pe-trainer $common --name from --resume latest && follows from 1e-3
}
check cuda_checkpoints_move_to_and_from_the_cpu moved
# clips, a teacher, and a Perception LM with what it says
"$BUILD"/test/make_clips "$tmp/clips" 12 && for t in "$tmp"/clips/*.mp4; do echo "a shape moves" > "${t%.mp4}.txt"; done
given pe-dataloader pack --input "$tmp/clips" --output "$tmp/films" --frames 3
taught() { # NAME OPTION...
    local name=$1; shift
    pe-trainer ${common/$tmp\/data/$tmp/films $tmp/data} --frames 3 --aug none --distill-model PE-Core-Test8-32 --distill-pretrained "$tmp/logs/cpu/checkpoints/latest" \
        --distill-contrastive-weight 1 --name "$name" "$@"
}
clips() { taught clips-cpu && taught clips-gpu --device cuda && follows clips-gpu 1e-3 clips-cpu; }
check cuda_clips_and_distillation_follow_cpu clips
plm() { # NAME OPTION...
    local name=$1; shift
    pe-captioner train --train-data "$tmp/films" --plm-config test/cases/plm --tokenizer test/golden/bpe --global-batch-size 4 --slices 2 --steps 3 --warmup 1 --lr 1e-3 --frames 3 --context 200 \
        --drop-path 0.2 --threads 1 --logs "$tmp/logs" --log-every-n-steps 1 --name "$name" "$@"
}
captioner() { plm plm-cpu && plm plm-gpu --device cuda --grad-checkpointing && follows plm-gpu 1e-3 plm-cpu; }
check cuda_plm_follows_cpu captioner
check cuda_plm_in_bf16 plm plm-bf16 --device cuda --precision bf16
said() { pe-captioner caption --data "$tmp/films" --model "$tmp/logs/plm-cpu/checkpoints/latest" --frames 3 --max-new-tokens 6 --threads 1 --output "$tmp/said-$1" "${@:2}"; }
texts() { grep -o '"text":"[^"]*"' "$tmp/said-$1/captions.jsonl"; }
same_texts() { said cpu && said gpu --device cuda && [ "$(texts cpu)" = "$(texts gpu)" ] && [ "$(texts cpu | wc -l)" -eq 12 ]; }
check cuda_captions_are_those_of_the_cpu same_texts
if [ ! "$emulated" ]; then
    # a whole little run: its curve, step by step, is the CPU's
    long() { # NAME BOUND OPTION...
        local name=$1 bound=$2; shift 2
        pe-trainer $common --steps 300 --name "$name" "$@" > /dev/null 2>&1 || return 1
        paste <(losses cpu300) <(losses "$name") | awk -v bound="$bound" '{ n++; d = ($1 - $2) / $1; if (d < 0) d = -d; if (d > worst) worst = d }
            END { print n, worst; exit n != 300 || worst > bound }'
    }
    pe-trainer $common --steps 300 --name cpu300 > /dev/null 2>&1
    check cuda_fp32_follows_for_300_steps long gpu300 1e-3 --device cuda
    check cuda_bf16_follows_for_300_steps long bf300 2e-2 --device cuda --precision bf16
fi
if [ "$emulated" ]; then
    nccl() { EMULATED_GPUS=2 train 2 nccl --reduction nccl --mask-weight 0 && follows nccl 1e-3; }
    check nccl_on_2_ranks_learns_the_same nccl
    uneven() { EMULATED_GPUS=3 train 3 uneven --reduction nccl && follows uneven 1e-3; }
    check nccl_on_3_ranks_in_uneven_shares uneven
    check nccl_without_zero env EMULATED_GPUS=2 mpirun --bind-to none -n 2 pe-trainer $common --name flat --device cuda --zero 0 --steps 1
    check ranks_sharing_a_gpu_cannot_use_nccl says "one rank a GPU" train 2 shared --reduction nccl
    other() { says "made on another kind of GPU" env EMULATED_NAME=other pe-trainer $common --name fp32 --device cuda --resume latest; }
    check choices_of_another_gpu_are_not_taken other
    damaged() { echo 00 >> "$tmp/logs/fp32/gpu-products.txt"; says "gpu-products.txt: damaged" env EMULATED_NAME=other pe-trainer $common --name fp32 --device cuda --resume latest; }
    check damaged_choices_are_said damaged
    check a_full_gpu_is_said says "GPU 0 has no memory" env EMULATED_MIB=150 pe-trainer $common --name full --device cuda
    check a_full_gpu_has_status_1 status 1 env EMULATED_MIB=50 pe-trainer $common --name full2 --device cuda
    check no_gpu_is_said says "no GPU, or no driver for it" env EMULATED_GPUS=0 pe-trainer $common --name none --device cuda
fi
check nonsense_gpu_is_refused says "must be cpu, cuda or cuda:N" pe-trainer $common --name none --device cuda:x
check unknown_gpu_is_refused says "this machine has GPUs 0 to" pe-trainer $common --name none --device cuda:99
check bf16_on_the_cpu_is_refused says "--precision bf16: the cpu computes in fp32" pe-trainer $common --name none --precision bf16
check nccl_on_the_cpu_is_refused says "--reduction nccl needs --device cuda" pe-trainer $common --name none --reduction nccl

model="--weights $tmp/logs/cpu/checkpoints/latest --model PE-Core-Test8-32 --threads 1"
close() { # FILE FILE BOUND: two .npy files of floats agree
    paste <(tail -c +129 "$1" | od -An -v -w4 -tf4) <(tail -c +129 "$2" | od -An -v -w4 -tf4) |
        awk -v bound="$3" '{ n++; d = $1 - $2; if (d < 0) d = -d; if (d > worst) worst = d } END { print n, worst; exit !(n > 100 && worst < bound) }'
}
given pe-evaluator embed $model --images "$tmp/pictures" --output "$tmp/cpu.npy"
embeds() { pe-evaluator embed $model --images "$tmp/pictures" --batch-size 16 --device cuda --precision "$1" --output "$tmp/$1.npy" && close "$tmp/cpu.npy" "$tmp/$1.npy" "$2"; }
check cuda_embeds_in_fp32 embeds fp32 1e-5
check cuda_embeds_in_bf16 embeds bf16 2e-2
# probes: each head's figures are the CPU's, and the same on any number of ranks
mkdir "$tmp/classes" && for i in $(seq -f %04.0f 0 39); do
    class=$(head -1 "$tmp/pictures/$i.txt" | cut -d' ' -f2)
    mkdir -p "$tmp/classes/$class" && cp "$tmp"/pictures/"$i".[jw]* "$tmp/classes/$class"
done
given pe-dataloader pack --input "$tmp/classes" --output "$tmp/labelled"
probe() { # KIND NAME RANKS OPTION...
    local kind=$1 name=$2 n=$3; shift 3
    ranks "$n" pe-evaluator probe --kind "$kind" $model --train-data "$tmp/labelled" --data "$tmp/labelled" --global-batch-size 16 --slices 4 --steps 3 --norm-samples 32 \
        --save-frequency 0 --log-every-n-steps 1 --logs "$tmp/logs" --name "$name" --output "$tmp/$name.json" "$@"
}
probes() { # KIND OPTION...
    local kind=$1; shift
    probe "$kind" "$kind-cpu" 1 "$@" && probe "$kind" "$kind-1" 1 "$@" --device cuda --reduction exact && probe "$kind" "$kind-3" 3 "$@" --device cuda --reduction exact &&
        follows "$kind-1" 1e-3 "$kind-cpu" && same "$(weights "$kind-1")" "$(weights "$kind-3")" && same "$tmp/$kind-1.json" "$tmp/$kind-3.json" &&
        probe "$kind" "$kind-bf16" 1 "$@" --device cuda --precision bf16 && follows "$kind-bf16" 2e-2 "$kind-cpu"
}
check cuda_linear_probes_follow_cpu probes linear --lr-grid 1e-2,0.1
check cuda_attention_probes_follow_cpu probes attention
# heads over pixels, likewise
"$BUILD"/test/make_maps "$tmp/maps" 12
dense() { # NAME RANKS VERB... : a run
    local name=$1 n=$2; shift 2
    ranks "$n" pe-evaluator "$@" $model --global-batch-size 6 --slices 3 --steps 3 --warmup 1 --norm-samples 12 --save-frequency 0 --log-every-n-steps 1 --logs "$tmp/logs" \
        --name "$name" --output "$tmp/$name.json"
}
dense_follows() { # NAME VERB...
    local name=$1; shift
    dense "$name-cpu" 1 "$@" && dense "$name-1" 1 "$@" --device cuda --reduction exact && dense "$name-3" 3 "$@" --device cuda --reduction exact && follows "$name-1" 1e-3 "$name-cpu" &&
        same "$(weights "$name-1")" "$(weights "$name-3")" && same "$tmp/$name-1.json" "$tmp/$name-3.json" && dense "$name-bf16" 1 "$@" --device cuda --precision bf16 &&
        follows "$name-bf16" 3e-2 "$name-cpu"
}
check cuda_segmentation_follows_cpu dense_follows segment segment --train-data "$tmp/maps/ade" --data "$tmp/maps/ade" --classes 5 --norm batch
check cuda_depth_follows_cpu dense_follows depth depth --train-data "$tmp/maps/depth" --data "$tmp/maps/depth" --bins 16 --loss-warmup 1 --lr 1e-2
check cuda_dpt_follows_cpu dense_follows dpt depth --head dpt --train-data "$tmp/maps/depth" --data "$tmp/maps/depth" --dpt-channels 8 --loss-warmup 1 --layers last --lr 1e-2
# an alignment, likewise
spatial() { # NAME RANKS OPTION...
    local name=$1 n=$2; shift 2
    ranks "$n" pe-aligner spatial --train-data "$tmp/maps/ade/images" --masks "$tmp/maps/ade/annotations" --model PE-Core-Test8-32 \
        --pretrained "$tmp/logs/cpu/checkpoints/latest" --global-batch-size 12 --slices 3 --steps 3 --lr 1e-2 --threads 1 --save-frequency 0 --log-every-n-steps 1 \
        --logs "$tmp/logs" --name "$name" "$@"
}
aligns() {
    spatial aligned-cpu 1 && spatial aligned-1 1 --device cuda --reduction exact && spatial aligned-3 3 --device cuda --reduction exact --grad-checkpointing &&
        follows aligned-1 1e-3 aligned-cpu && same "$(weights aligned-1)" "$(weights aligned-3)" && spatial aligned-bf16 1 --device cuda --precision bf16 &&
        follows aligned-bf16 3e-2 aligned-cpu
}
check cuda_alignment_follows_cpu aligns
"$BUILD"/test/make_boxes "$tmp/coco" 12
check cuda_detection_follows_cpu dense_follows detect detect --train-data "$tmp/coco" --data "$tmp/coco" --pixels 32 --layers last --channels 32 --convs 1 --lr 1e-2
figures() {
    pe-evaluator retrieval $model --data "$tmp/data" --output "$tmp/r0.json" &&
        pe-evaluator retrieval $model --data "$tmp/data" --batch-size 7 --device cuda --output "$tmp/r1.json" && same "$tmp/r0.json" "$tmp/r1.json"
}
check cuda_retrieval_has_the_same_figures figures
"$BUILD"/test/make_sequences "$tmp/davis"
track() { pe-evaluator track $model --data "$tmp/davis" --short-side 64 --layers 1,2 --masks "$tmp/masks-$1" --output "$tmp/track-$1.json" "${@:2}" | sed -n 's/^J&F-Mean  *//p'; }
tracks() { awk -v a="$(track cpu)" -v b="$(track gpu --device cuda --batch-size 5)" 'BEGIN { d = a - b; print a, b; exit !(a > .2 && d < .01 && d > -.01) }'; }
check cuda_tracks_as_the_cpu tracks
finish
