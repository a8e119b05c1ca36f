#!/usr/bin/env bash
# Probes as people type them: what is missing or cannot be, labels of data sets that name other classes, samples without a label.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 60 || exit 1
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
pack train cat:0:15 dog:15:15
pack test cat:30:5 dog:35:5
pack single cat:0:15
pack few cat:0:2 dog:15:2
pack other bird:40:5 cat:30:5 dog:35:5
model="--weights init:0 --model PE-Core-Test8-32 --threads 1 --output $tmp/r.json"
data="--train-data $tmp/train-data --data $tmp/test-data"
knn="pe-evaluator probe --kind knn $model" logistic="pe-evaluator probe --kind logistic $model"
check kinds_are_listed says "pe-evaluator probe --kind logistic" pe-evaluator probe --help
check help_of_knn says "--temperature X" $knn --help
check help_of_logistic says "--normalize" $logistic --help
check no_kind says "probe --kind (missing): must be one of knn|logistic" pe-evaluator probe $model $data
check unknown_kind says "probe --kind kmeans: must be one of knn|logistic" pe-evaluator probe --kind kmeans $model $data
check no_data says "--train-data" status 2 $knn --data "$tmp/test-data"
check layer_beyond says "--layers 3: the encoder has layers 0 to 2" status 2 $knn $data --layers 1,3
check k_beyond_training says "--k 10,20,100,200: there are 30 labelled samples to choose 200 from" status 2 $knn $data
check k_that_is_none says "--k 5,x: give numbers from 1 to 10000" status 2 $knn $data --k 5,x
check k_that_falls says "--k 20,10: give numbers from 1 to 10000, ascending" status 2 $knn $data --k 20,10
check c_that_is_none says "--c 0,1: give decades, dinov2, or numbers above 0" status 2 $logistic $data --c 0,1
check seed_that_is_none says "--weights init:x: the seed is a whole number" status 2 $knn $data --weights init:x
check same_data says "the same samples are in --train-data" status 2 $knn --train-data "$tmp/test-data" "$tmp/train-data" --data "$tmp/train-data" --k 5
check one_class says "15 samples to learn from, of 1 classes: there is nothing to tell apart" status 1 $logistic --train-data "$tmp/single-data" --data "$tmp/test-data" --c 1
check too_few_to_hold_out says "too small to hold a tenth of it out; give a single --c" status 1 $logistic --train-data "$tmp/few-data" --data "$tmp/test-data"
sed 's/"class_token": true/"class_token": false/' common/models/configs/PE-Core-Test8-32.json > "$tmp/bare.json"
check no_class_token says "--feature class: layer 2 of $tmp/bare.json has none" status 2 $knn $data --model "$tmp/bare.json" --feature class
mean() { $logistic $data --feature mean --layers 0,2 --c 0.1 --normalize && grep -q '"feature": "mean"' "$tmp/r.json" && grep -q '"best_layer": [02]' "$tmp/r.json"; }
check mean_of_layers mean
default_k() { $knn $data --k 3,20 && grep -q '"k": 20' "$tmp/r.json" && $knn $data --k 3,7 && grep -q '"k": 3' "$tmp/r.json" && grep -q '"knn_7_acc1"' "$tmp/r.json"; }
check headline_is_20_or_the_first default_k

# Of classes that training lacks, cat and dog being other numbers there: matched by name, and birds count as wrong.
given $knn $data --k 3
figure() { sed -n "s/^    \"$1\": \([0-9.]*\),\{0,1\}$/\1/p" "$tmp/r.json"; }
known=$(figure acc1)
by_name() {
    $knn --train-data "$tmp/train-data" --data "$tmp/other-data" --k 3 > "$tmp/said" 2>&1
    cat "$tmp/said"
    grep -q "5 test samples are of classes that training has no sample of: they count as wrong" "$tmp/said" && [ "$(figure unseen)" -eq 5 ] && [ "$(figure classes)" -eq 3 ] &&
        awk -v a="$(figure acc1)" -v b="$known" 'BEGIN { d = a * 15 - b * 10; exit !(b > 0 && d < 1e-9 && d > -1e-9) }'
}
check labels_are_matched_by_name by_name
cp -r "$tmp/pictures" "$tmp/plain" && given pe-dataloader pack --input "$tmp/plain" --output "$tmp/plain-data"
check no_labels_at_all says "no sample has a label" status 1 $knn --train-data "$tmp/train-data" --data "$tmp/plain-data" --k 3
mixed() { # counted, said, and without a trace in the figures
    says "60 test samples have no label: they are left out" $knn --train-data "$tmp/train-data" --data "$tmp/test-data" "$tmp/plain-data" --k 3 &&
        [ "$(figure unlabelled)" -eq 60 ] && [ "$(figure samples)" -eq 10 ] && [ "$(figure acc1)" = "$known" ]
}
check samples_without_a_label mixed
numbers() { # labels without names, beside named ones
    tr -d '\n' < "$tmp/test-data/dataset.json" | sed 's/"classes": *\[[^]]*\],\{0,1\}//' > "$tmp/d" && cp -r "$tmp/test-data" "$tmp/numbers" &&
        cp "$tmp/d" "$tmp/numbers/dataset.json" && says "names no classes, and other data sets do" status 1 $knn --train-data "$tmp/train-data" --data "$tmp/numbers" --k 3
}
check labels_without_names numbers

# From files of features: embed writes them, score reads them, and says what a probe says.
from_files() {
    local part first
    mkdir -p "$tmp/features" "$tmp/truth"
    for part in train:0 test:30; do
        first=${part#*:} part=${part%:*}
        mkdir -p "$tmp/of-$part" && cp "${pictures[@]:first:30}" "$tmp/of-$part" &&
            pe-evaluator embed --weights init:0 --model PE-Core-Test8-32 --threads 1 --images "$tmp/of-$part" --output "$tmp/features/$part.npy" || return 1
        for i in $(seq 30); do echo $((i > 15)); done > "$tmp/truth/$part.txt"
    done
    pe-evaluator score --metric knn --truth "$tmp/truth" --predictions "$tmp/features" --against "$tmp/features" --knn-k 3,20 --output "$tmp/r.json" || return 1
    for key in acc1 acc5 mean_per_class_recall stderr k knn_3_acc1 knn_20_acc1 samples classes train_samples chance missing unparsed; do
        grep -q "^    \"$key\": " "$tmp/r.json" || { echo "no $key"; return 1; }
    done
    [ "$(figure chance)" = 0.5 ] && [ "$(figure k)" -eq 20 ] && grep -q '"difference": 0.0' "$tmp/r.json"
}
check neighbours_of_files from_files
finish
