#!/usr/bin/env bash
# Detection: the same file on any number of ranks, threads and batches, after a kill; boxes that score the same; what is refused.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_boxes "$tmp/coco" 30 || exit 1
common="--weights init:3 --model PE-Core-Test8-32 --threads 1 --seed 2 --norm-samples 12 --save-frequency 0 --global-batch-size 6 --slices 6 --warmup 2 --lr 1e-2
    --channels 32 --convs 1 --pixels 64"
detect="pe-evaluator detect $common --train-data $tmp/coco --data $tmp/coco --steps 6"
weights() { echo "$tmp/$1.run/checkpoints/latest/model.safetensors"; }
equal() { same "$tmp/$1.json" "$tmp/$2.json" && same "$(weights "$1")" "$(weights "$2")" && same "$tmp/$1.run/boxes-layer-2.json" "$tmp/$2.run/boxes-layer-2.json"; }
$detect --output "$tmp/detect.json" > "$tmp/detect.log" 2>&1 || cat "$tmp/detect.log"
on() { local n=$1; shift; ranks "$n" $detect --output "$tmp/detect$n.json" "$@" && equal detect "detect$n"; }
check detect_on_2_ranks on 2 --batch-size 5
check detect_on_3_ranks on 3 --zero 0 --workers 2
check detect_with_3_threads on 1 --threads 3 --grad-checkpointing --batch-size 3
killed() { # RANKS RANKS_AFTER: kill -9 after the checkpoint of step 2; the same command on other ranks
    mpirun --bind-to none -n "$1" $detect --save-every-n-steps 2 --output "$tmp/killed.json" > "$tmp/killed.log" 2>&1 &
    local pid=$!
    for _ in $(seq 600); do [ -d "$tmp/killed.run/checkpoints/step-00000002" ] && break; sleep 0.01; done
    kill_tree $pid
    ranks "$2" $detect --output "$tmp/killed.json" && equal detect killed
}
check detect_killed_on_2_resumed_on_3 killed 2 3
counted() { for line in '"samples": 15' '"train_samples": 24' '"train_without_boxes": 6' '"train_crowds": 10' '"categories": 3'; do says "$line" cat "$tmp/detect.json" || return 1; done; }
check pictures_without_boxes_and_crowds_are_counted counted
check and_said says "10 crowds and 1 flat boxes are not learned from" cat "$tmp/detect.log"

# What is written scores the same, figure by figure; it is the best layer's.
figures() { sed -n '/"metrics"/,$p' "$1" | sed -n 's/^ *"\(AP[a-z0-9]*\|AR[a-z0-9]*\|samples\|missing\|stderr\)": \(.*[0-9l]\),*$/\1 \2/p' | awk '!seen[$1]++' | sort; }
learned() { # more steps: most of the rectangles are found
    $detect --steps 150 --aug none --val-every-n-steps 100 --predictions "$tmp/boxes.json" --output "$tmp/seen.json" && grep -q '"AP_layer_2"' "$tmp/seen.run/metrics.jsonl" &&
        figures "$tmp/seen.json" | awk '$1 == "AP50" { print; found = $2 > 0.3 } END { exit !found }'
}
check rectangles_are_found learned
scored() {
    pe-evaluator score --metric coco-box --truth "$tmp/coco/annotations/instances_val2017.json" --predictions "$tmp/boxes.json" --output "$tmp/score.json" &&
        [ "$(figures "$tmp/score.json" | wc -l)" -ge 14 ] && diff <(figures "$tmp/score.json") <(figures "$tmp/seen.json")
}
check boxes_score_the_same scored
shown() { # a page of the result alone
    pe-evaluator report "$tmp/seen.json" --output "$tmp/seen.html" && grep -q "<h2>Which objects are where" "$tmp/seen.html" && grep -q '<image' "$tmp/seen.html"
}
check report_finds_the_boxes shown
alone() { # a layer beside others ends as it would alone
    $detect --layers 1 --output "$tmp/alone.json" && same "$tmp/alone.run/boxes-layer-1.json" "$tmp/detect.run/boxes-layer-1.json"
}
check a_layer_ends_as_it_would_alone alone
layered() {
    pe-evaluator layers --weights init:3 --model PE-Core-Test8-32 --tasks detect --detect-data "$tmp/coco" --output "$tmp/curves.json" \
        --task-options threads=1 detect.steps=2 detect.warmup=1 detect.channels=32 detect.convs=1 detect.norm-samples=8 detect.pixels=64 && grep -q "^detection,init:3,2,AP," "$tmp/curves.csv"
}
check curves_over_layers layered

# Refusals name the file, and leave no result.
refused() { says "$1" status "${3:-1}" ranks 2 ${2/OUT/$tmp/none.json} && [ ! -e "$tmp/none.json" ]; }
cp -r "$tmp/coco" "$tmp/bad"; bad="$tmp/bad/annotations/instances_train2017.json"
mv "$tmp/bad/train2017/0003.jpg" "$tmp/bad/0003.jpg"
check a_missing_picture_is_named refused "train2017/0003.jpg" "$detect --train-data $tmp/bad --output OUT"
cp "$tmp/bad/train2017/0004.jpg" "$tmp/bad/train2017/0003.jpg"
check a_picture_of_another_size_is_named refused "says 48 x 56: boxes would lie elsewhere" "$detect --train-data $tmp/bad --output OUT"
sed -i 's/"id": 7, "name"/"id": 8, "name"/; s/"category_id": 7/"category_id": 8/' "$bad"
check an_unknown_category_is_named refused "category 7 (blue) is none of" "$detect --train-data $tmp/bad --output OUT"
sed -i 's/"id": 8, "name": "blue"/"id": 7, "name": "azure"/' "$bad"
check another_name_is_said refused "category 7 is blue, in $bad it is azure" "$detect --train-data $tmp/bad --output OUT"
cp "$bad" "$tmp/bad/annotations/instances_train2014.json"
check two_files_are_refused refused "2 files instances_train*.json; name the one that is meant" "$detect --train-data $tmp/bad --output OUT"
mv "$tmp/bad/annotations/instances_train2014.json" "$tmp/bad/mine.json"
check pictures_must_be_known refused "must be said: --train-images" "$detect --train-data $tmp/bad/mine.json --output OUT" 2
elsewhere() { cp "$tmp/coco/annotations/instances_train2017.json" "$tmp/mine.json" && $detect --train-data "$tmp/mine.json" --train-images "$tmp/coco/train2017" --output "$tmp/mine-result.json" && same "$(weights detect)" "$(weights mine-result)"; }
check pictures_may_lie_elsewhere elsewhere
echo '{"images": []}' > "$tmp/bad/none.json"
check no_annotations_are_named refused 'no "categories": this is no file of annotations' "$detect --train-data $tmp/bad/none.json --train-images $tmp --output OUT"
check odd_patches_are_refused refused "whole patches of an even size" "$detect --pixels 60 --output OUT" 2
check channels_are_refused refused "not a multiple of 32" "$detect --channels 48 --output OUT" 2
check a_grid_of_rates_is_refused refused "--lr-grid: give one rate" "$detect --lr-grid 1,2 --output OUT" 2
finish
