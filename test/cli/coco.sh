#!/usr/bin/env bash
# pe-evaluator score of COCO and LVIS: what it says of files that the official evaluators take in silence.
. "$(dirname "$0")/../lib.sh"
cd "$(dirname "$0")/../golden/coco" || exit 1
score() { pe-evaluator score --metric "$1" --truth "${truth:-$2-truth.json}" --predictions "${results:-$2-results.json}" --output "$tmp/out.json" --bootstrap 20; }
edited() { # PART NAME SED: a copy with a change that is one
    sed "$3" "$2-$1.json" > "$tmp/$1.json" && ! cmp -s "$2-$1.json" "$tmp/$1.json"
}
figures() { # the keys, the standard error and the counts
    score coco-box plain && grep -q '"stderr": 0\.' "$tmp/out.json" && grep -q '"missing": 0' "$tmp/out.json" &&
        [ "$(grep -oE '"A[PR][0-9sml]*"' "$tmp/out.json" | tr -d '"' | paste -sd ' ')" = "AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl" ]
}
missing() { # a picture without a result
    score coco-box missed && grep -q '"missing": 1' "$tmp/out.json" && says "categories with annotations but no detection: 1 (ids 7)" score coco-box missed
}
none() { # no figure instead of -1
    says "no annotation counts for APl, ARl: null" score coco-box area && grep -q '"APl": null' "$tmp/out.json" && ! grep -q -- -1 "$tmp/out.json"
}
id_zero() { says "annotations[0]: id 0" score coco-box zero && says "with another id than 0, AP would be 0.708993" score coco-box zero; }
box_areas() { says "results[0] and 28 more: has a bbox beside its mask" score coco-mask masksboxes; }
area_of_box() { # in the truth
    local truth="$tmp/truth.json"
    edited truth plain 's/"id":2,"image_id"/"segmentation":[[1,1,9,1,12,5,9,9,1,9,0,5]],&/' && says "annotations[1]: has a mask, but the area of its box" score coco-box plain
}
unknown_category() {
    local results="$tmp/results.json"
    edited results plain 's/"category_id":7/"category_id":8/g' && says "results[5] and 1 more: of no category of the truth" score coco-box plain
}
no_category_of_annotation() {
    local truth="$tmp/truth.json"
    edited truth plain 's/"category_id":7/"category_id":8/g' && says "annotations[2]: of no category of the file" score coco-box plain
}
unknown_image() {
    local results="$tmp/results.json"
    edited results plain 's/"image_id":2/"image_id":5/g' && says "results[5]: image 5 is not in plain-truth.json" score coco-box plain && status 1 score coco-box plain
}
nothing_counts() {
    local truth="$tmp/truth.json"
    edited truth plain 's/"iscrowd":0/"iscrowd":1/g' && says "no annotation that counts" score coco-box plain && status 1 score coco-box plain
}
no_results() {
    local results="$tmp/none.json"
    echo '[]' > "$results" && says "no results" score coco-box plain && grep -q '"AP": 0.0' "$tmp/out.json" && grep -q '"missing": 2' "$tmp/out.json"
}
cut() { says "beyond the best 300 of their picture" score lvis-box lviscut && says "beyond the best 100 of their picture and category" score coco-box crowded; }
against() {
    pe-evaluator score --metric coco-box --truth plain-truth.json --predictions plain-results.json --against missed-results.json --output "$tmp/out.json" &&
        grep -q '"difference": 0.375' "$tmp/out.json" && grep -q '"other_sign"' "$tmp/out.json"
}
for test in figures missing none id_zero box_areas area_of_box unknown_category no_category_of_annotation unknown_image nothing_counts no_results cut against; do
    check coco_$test $test
done
finish
