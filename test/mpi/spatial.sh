#!/usr/bin/env bash
# Spatial alignment: the same weights on any number of ranks and threads, whatever the memory options; stopped and killed runs; what it refuses; who reads what it
# writes.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_maps "$tmp/maps" 24 && "$BUILD"/test/make_pictures "$tmp/captioned" 16 || exit 1
given pe-dataloader pack --input "$tmp/captioned" --output "$tmp/data"
given pe-trainer --train-data "$tmp/data" --model PE-Core-Test8-32 --global-batch-size 8 --steps 2 --threads 1 --logs "$tmp/logs" --name core
core="$tmp/logs/core/checkpoints/latest"
given pe-dataloader pack --input "$tmp/maps/ade/images" --output "$tmp/packed" --samples-per-shard 16

common="--model PE-Core-Test8-32 --pretrained $core --global-batch-size 12 --slices 6 --steps 8 --lr 1e-2 --threads 1 --save-frequency 0 --log-every-n-steps 1
    --logs $tmp/logs"
masks="--train-data $tmp/maps/ade/images --masks $tmp/maps/ade/annotations"
weights() { echo "$tmp/logs/$1/checkpoints/step-00000008/model.safetensors"; }
align() { # RANKS NAME OPTION...
    local n=$1 name=$2; shift 2
    local run="pe-aligner spatial $common $masks --name $name"
    if [ "$n" = 1 ]; then $run "$@"; else ranks "$n" $run "$@"; fi
}
given align 1 base
aligned() { local n=$1 name=$2; shift 2; align "$n" "$name" "$@" && same "$(weights base)" "$(weights "$name")"; }
check weights_on_2_ranks aligned 2 two
check weights_on_4_ranks aligned 4 four --zero 0 --threads 2 --workers 3
check weights_on_6_ranks aligned 6 six --grad-checkpointing
packed() { pe-aligner spatial $common --train-data "$tmp/packed" --masks "$tmp/maps/ade/annotations" --name packed && same "$(weights base)" "$(weights packed)"; }
check weights_of_packed_pictures packed
moved() { status 75 align 3 moved --stop-after 3 && align 2 moved --resume latest && same "$(weights base)" "$(weights moved)"; }
check stopped_on_3_ranks_resumed_on_2 moved
figure() { sed -n "s/.*\"last_$2\":\([-0-9.e]*\).*/\1/p" "$tmp/logs/$1/metrics.jsonl" | sed -n "$3"; }
# nothing hidden or dropped, asked for its own last layer: the student begins as the encoder, with its LayerScale made up for
begins() {
    align 1 begins --steps 1 --mask-ratio 0 --drop-path 0 --core-layer 2 && figure begins core_loss 1p | awk '{ print; exit !($1 < 1e-6 && $1 > -1e-6) }' &&
        align 1 inserted --steps 1 --mask-ratio 0 --drop-path 0 --core-layer 2 --layer-scale-preserve false && figure inserted core_loss 1p | awk '{ print; exit !($1 > 1e-2) }'
}
check student_begins_as_the_encoder begins
alone() {
    align 1 only-core --local-weight 0 && ! grep -q local_loss "$tmp/logs/only-core/metrics.jsonl" &&
        align 1 only-local --core-weight 0 && ! grep -q core_loss "$tmp/logs/only-local/metrics.jsonl" && ! cmp "$(weights only-core)" "$(weights only-local)"
}
check each_loss_alone alone
learns() { # both go down where they are learned
    align 1 long --steps 60 --mask-ratio 0.25 --drop-path 0.1 && for loss in core_loss local_loss; do
        echo "$(figure long $loss 1p) $(figure long $loss '$p')" | awk '{ print; exit !($2 < 0.7 * $1) }' || return 1
    done
}
check losses_go_down learns
killed() { # twice; in the end all is as if nothing had been
    local long="--steps 24 --save-every-n-steps 2" before=0 step
    align 1 whole --steps 24 || return 1
    for _ in 1 2; do
        align 1 killed $long --resume latest > "$tmp/killed.log" 2>&1 &
        for ((step = before; step < before + 4; )); do
            sleep 0.02
            step=$(ls "$tmp/logs/killed/checkpoints" 2> /dev/null | sed -n 's/^step-0*\([0-9]*\)$/\1/p' | sort -n | tail -1)
            : "${step:=0}"
        done
        kill_tree $!
        before=$step
    done
    echo "killed after step $before"
    [ "$before" -lt 24 ] && align 2 killed $long --resume latest && cmp "$tmp"/logs/{whole,killed}/checkpoints/step-00000024/model.safetensors
}
check killed_and_resumed killed

# --- what it refuses ---
refused() { local text=$1; shift; says "$text" align 1 refused "$@" && [ ! -e "$tmp/logs/refused" ]; }
check wrong_layer refused "--core-layer 3: the model has layers 1 to 2" --core-layer 3
check wrong_grid refused "--force-image-size 30 is no multiple of the patch size 8" --force-image-size 30
check no_masks refused "no such folder" --masks "$tmp/nowhere"
check no_rows refused "give --teacher-rows" --teacher file
check nothing_to_learn refused "nothing is left to learn" --core-weight 0 --local-weight 0
check other_model refused "is --model the model of this file?" --model PE-Core-Tiny8-64
missing() { # a picture without its map is replaced and named; without any map the run ends
    mkdir -p "$tmp/some/training" "$tmp/some/validation" "$tmp/none" && cp "$tmp"/maps/ade/annotations/training/*.png "$tmp/some/training"
    says "0027.png: No such file or directory: replaced by sample" align 1 some --masks "$tmp/some" &&
        says "png: No such file or directory" status 1 align 1 gone --masks "$tmp/none"
}
check pictures_without_map missing

# --- who reads what it wrote ---
reads() {
    local run="$tmp/logs/base/checkpoints/latest"
    says '"pool": "none"' cat "$run/model.json" &&
        pe-evaluator pca --weights "$run" --model "$run/model.json" --images "$tmp/maps/ade/images/validation" --maps "$tmp/pca" --output "$tmp/pca.json" &&
        says "a tower without pooling has no embeddings" pe-evaluator embed --weights "$run" --model "$run/model.json" --images "$tmp/maps/ade/images/validation" --output "$tmp/e.npy" &&
        says "a vision tower alone" pe-trainer --train-data "$tmp/data" --model "$run/model.json" --global-batch-size 8 --steps 1 --logs "$tmp/logs" --name no &&
        pe-evaluator export --naming timm --weights "$run" --model "$run/model.json" --output "$tmp/timm.safetensors" &&
        pe-evaluator report "$tmp/logs/base" --output "$tmp/report.html" && says "cosine to the frozen encoder" cat "$tmp/report.html"
}
check others_read_its_checkpoints reads
again() { # goes on from what was aligned, which keeps its LayerScale
    local run="$tmp/logs/base/checkpoints/latest"
    pe-aligner spatial $common $masks --model "$run/model.json" --pretrained "$run" --name again --steps 2 --force-image-size 48 && says '"image_size": 48' cat "$tmp/logs/again/checkpoints/latest/model.json"
}
check aligned_again_at_another_size again
finish
