#!/usr/bin/env bash
# Heads over pixels: the same file on any number of ranks, threads and batches, after a kill; maps that score the same; what is refused.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_maps "$tmp/maps" 24 || exit 1
common="--weights init:3 --model PE-Core-Test8-32 --threads 1 --seed 2 --norm-samples 16 --save-frequency 0 --global-batch-size 6 --slices 6 --warmup 2"
segment="pe-evaluator segment $common --train-data $tmp/maps/ade --data $tmp/maps/ade --reduce-zero-label --classes 4 --steps 6 --short-side 40 --stride 12"
batch="$segment --norm batch"
depth="pe-evaluator depth $common --train-data $tmp/maps/depth --data $tmp/maps/depth --steps 6 --bins 16 --loss-warmup 2 --lr 1e-2 --lr-grid 1,0.1"
dpt="pe-evaluator depth --head dpt $common --train-data $tmp/maps/depth --data $tmp/maps/depth --steps 3 --dpt-channels 8 --loss-warmup 1 --layers last"
weights() { echo "$tmp/$1.run/checkpoints/latest/model.safetensors"; }
equal() { same "$tmp/$1.json" "$tmp/$2.json" && same "$(weights "$1")" "$(weights "$2")"; }
for kind in segment batch depth dpt; do
    ${!kind} --output "$tmp/$kind.json" > "$tmp/$kind.log" 2>&1 || cat "$tmp/$kind.log"
    on() { local n=$1; shift; ranks "$n" ${!kind} --output "$tmp/$kind$n.json" "$@" && equal $kind "$kind$n"; }
    check "${kind}_on_2_ranks" on 2 --batch-size 5
    check "${kind}_on_3_ranks" on 3 --zero 0 --workers 2
    check "${kind}_with_3_threads" on 1 --threads 3 --grad-checkpointing --batch-size 3
done
killed() { # KIND RANKS RANKS_AFTER: kill -9 after the checkpoint of step 2; the same command on other ranks
    local kind=$1; shift
    mpirun --bind-to none -n "$1" ${!kind} --save-every-n-steps 2 --output "$tmp/killed-$kind.json" > "$tmp/killed.log" 2>&1 &
    local pid=$!
    for _ in $(seq 600); do [ -d "$tmp/killed-$kind.run/checkpoints/step-00000002" ] && break; sleep 0.01; done
    kill_tree $pid
    ranks "$2" ${!kind} --output "$tmp/killed-$kind.json" && equal "$kind" "killed-$kind"
}
check batch_norm_killed_on_2_resumed_on_3 killed batch 2 3
check depth_killed_on_1_resumed_on_2 killed depth 1 2

# What is written scores the same.
figure() { sed -n "s/^ *\"$2\": \([0-9.e+-]*\).*/\1/p" "$1" | head -1; }
agree() { local key; for key in "${@:3}"; do [ -n "$(figure "$1" "$key")" ] && [ "$(figure "$1" "$key")" = "$(figure "$2" "$key")" ] || { figure "$1" "$key"; figure "$2" "$key"; return 1; }; done; }
maps() {
    $segment --output "$tmp/segment.json" --predictions "$tmp/classes" && pe-evaluator score --metric miou --miou-classes 4 --miou-reduce-zero-label --miou-first 1 \
        --truth "$tmp/maps/ade" --predictions "$tmp/classes" --output "$tmp/score.json" && agree "$tmp/segment.json" "$tmp/score.json" mIoU aAcc mAcc
}
check maps_of_classes_score_the_same maps
distances() {
    $depth --output "$tmp/depth.json" --predictions "$tmp/metres" && pe-evaluator score --metric depth --truth "$tmp/maps/depth/test" --predictions "$tmp/metres" \
        --output "$tmp/score.json" && agree "$tmp/depth.json" "$tmp/score.json" a1 abs_rel rmse silog rmse_pooled
}
check maps_of_depth_score_the_same distances
shown() { # RESULT HEADING: a page of the result alone shows its maps
    pe-evaluator report "$tmp/$1.json" --output "$tmp/$1.html" && grep -q "<h2>$2" "$tmp/$1.html" && [ "$(grep -o '<img' "$tmp/$1.html" | wc -l)" -ge 9 ]
}
check report_finds_the_classes shown segment "Which pixel is of what"
check report_finds_the_depths shown depth "How far away it is"
its_chance() { grep -q "mean depth map reaches" "$tmp/depth.html" && grep -B9 "mean depth map reaches" "$tmp/depth.html" | grep -q "pixels within 25 % of the true depth"; }
check report_holds_a_figure_against_its_own_chance its_chance
gone() { mv "$tmp/metres" "$tmp/elsewhere"; says "its predictions in $tmp/metres are not shown: they are not there" pe-evaluator report "$tmp/depth.json" --output "$tmp/gone.html"; }
check report_says_that_maps_are_gone gone
learned() { # more steps: better than who names the commonest class everywhere, and than the mean depth map
    $segment --layers last --steps 150 --lr 3e-2 --val-every-n-steps 80 --output "$tmp/seen.json" && grep -q '"mIoU_layer_2"' "$tmp/seen.run/metrics.jsonl" &&
        awk -v a="$(figure "$tmp/seen.json" mIoU)" -v b="$(figure "$tmp/seen.json" chance)" 'BEGIN { print a, b; exit !(a > 1.5 * b && b > 0) }'
}
check segmentation_is_better_than_chance learned
layered() {
    pe-evaluator layers --weights init:3 --model PE-Core-Test8-32 --tasks segment,depth --segment-data "$tmp/maps/ade" --depth-data "$tmp/maps/depth" --output "$tmp/curves.json" \
        --task-options threads=1 segment.classes=4 segment.reduce-zero-label=true segment.steps=2 depth.steps=2 segment.warmup=1 depth.warmup=1 segment.norm-samples=16 &&
        grep -q "^depth,init:3,2,a1," "$tmp/curves.csv" && grep -q "^segmentation,init:3,1,mIoU," "$tmp/curves.csv"
}
check curves_over_layers layered

# Refusals name the file, and leave no result.
refused() { says "$1" status "${3:-1}" ranks 2 ${2/OUT/$tmp/none.json} && [ ! -e "$tmp/none.json" ]; }
cp -r "$tmp/maps" "$tmp/bad"
rm "$tmp/bad/ade/annotations/training/0003.png"
check missing_truth_is_named refused "annotations/training/0003.png: no such file: it is the truth of" "$segment --train-data $tmp/bad/ade --output OUT"
cp "$tmp/maps/ade/annotations/training/0004.png" "$tmp/bad/ade/annotations/training/0003.png"
check truth_of_another_size_is_named refused "annotations/training/0003.png: 56 x 40, its picture" "$segment --train-data $tmp/bad/ade --output OUT"
check a_class_too_many_is_named refused "is none of the 2 classes" "$segment --classes 2 --output OUT"
check classes_must_be_known refused "--classes: how many are there?" "${segment/--classes 4/} --output OUT" 2
check another_layout_is_named refused "depth: no images/training here" "$segment --train-data $tmp/maps/depth --output OUT"
check no_list_is_named refused "neither a list" "$depth --data $tmp/maps/ade --output OUT"
echo "rgb_0000.jpg" > "$tmp/bad/depth/test.txt"
check a_list_of_one_word_is_named refused "test.txt: line 1: a line is a picture, its depth" "$depth --data $tmp/bad/depth --output OUT"
printf 'test/rgb_0024.jpg test/sync_depth_0024.png 518.8\n/test/rgb_0025.jpg /test/sync_depth_0025.png 518.8\n' > "$tmp/bad/depth/test.txt"
listed() { $depth --data "$tmp/bad/depth" --output "$tmp/listed.json" && says '"samples": 2' cat "$tmp/listed.json"; }
check a_list_says_which listed
check windows_without_gaps refused "windows of 32 pixels would leave gaps" "$segment --stride 33 --output OUT" 2
check an_unknown_head_is_refused refused "must be one of linear|dpt" "pe-evaluator depth --head deep $common --output OUT" 2
check layers_need_their_folder says "--depth-data: the folder" status 2 pe-evaluator layers --weights init:3 --model PE-Core-Test8-32 --tasks depth --output "$tmp/x.json"
finish
