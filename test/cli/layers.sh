#!/usr/bin/env bash
# pe-evaluator layers: curves of features kept in one pass and of heads that are trained, and what a second run measures again.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 40 || exit 1
pictures=("$tmp"/pictures/*.[jw]*)
pack() { # NAME CLASS:FIRST:COUNT ...: pictures in folders of their classes
    local name=$1 class first count; shift
    for part in "$@"; do
        IFS=: read -r class first count <<< "$part"
        mkdir -p "$tmp/$name/$class"
        cp "${pictures[@]:first:count}" "$tmp/$name/$class"
    done
    pe-dataloader pack --input "$tmp/$name" --output "$tmp/$name-data" > /dev/null 2>&1
}
pack train cat:0:12 dog:12:12
pack test cat:24:8 dog:32:8
layers="pe-evaluator layers --model PE-Core-Test8-32 --weights init:0 init:1 --labels one two --tasks knn,linear --train-data $tmp/train-data --data $tmp/test-data --output $tmp/curves.json"
options="--task-options threads=1 knn.k=3 linear.steps=2 linear.global-batch-size=8 linear.slices=2"
measured() {
    $layers $options || return 1
    [ "$(ls "$tmp/curves" | grep json | paste -sd ' ')" = "one-knn.json one-linear.json two-knn.json two-linear.json" ] || { ls "$tmp/curves"; return 1; }
    [ "$(grep -c '"encoder"' "$tmp/curves.json")" -eq 4 ] && [ "$(wc -l < "$tmp/curves.csv")" -eq 9 ] && grep -q "</svg>" "$tmp/curves.svg"
}
check curves_of_two_encoders measured
again() { # what is there stays, what is not is made
    sed -i 's/"chance": .*/"chance": 0.125,/' "$tmp/curves/one-knn.json" && rm "$tmp/curves/two-linear.json"
    $layers $options --skip-existing && grep -q '"chance": 0.125' "$tmp/curves/one-knn.json" && [ -e "$tmp/curves/two-linear.json" ]
}
check what_is_there_is_kept again
check other_options_are_refused says "one-knn.json: made with other options or weights than these" status 1 $layers --skip-existing ${options/k=3/k=5}
unknown() { rm "$tmp/curves/.one-knn.json.options" && says "one-knn.json: nothing says what it was made from" status 1 $layers $options --skip-existing; }
check result_that_nobody_knows_is_refused unknown
check unknown_task says "--tasks zeroshot: no task that is measured layer by layer" status 2 $layers --tasks knn,zeroshot
check task_twice says "--tasks knn twice" status 2 $layers --tasks knn,knn
check names_twice says "two encoders are called one" status 2 $layers --labels one one
check option_of_no_form says "--task-options k: give key=value or TASK.key=value" status 2 $layers --task-options k
finish
