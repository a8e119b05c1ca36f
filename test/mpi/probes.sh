#!/usr/bin/env bash
# Probes on ranks: what they are made of, bit by bit, and their results, byte by byte, of several layers and of pixels.
. "$(dirname "$0")/../lib.sh"
for n in 1 2 3 5; do check "parts_on_$n" ranks $n "$BUILD"/test/mpi/probes; done

"$BUILD"/test/make_pictures "$tmp/pictures" 150 || exit 1
i=0
for text in "$tmp"/pictures/*.txt; do # classes are colours
    colour=$(grep -oE 'red|green|blue|yellow' "$text") part=train
    [ $((i++ % 3)) -eq 0 ] && part=test
    mkdir -p "$tmp/$part/$colour"
    mv "${text%.txt}".[jw]* "$tmp/$part/$colour"
done
for part in train test; do pe-dataloader pack --input "$tmp/$part" --output "$tmp/$part-data" > /dev/null 2>&1; done
common="--weights init:1 --model PE-Core-Test8-32 --train-data $tmp/train-data --data $tmp/test-data --layers all --baseline"
probe() { # KIND NAME RANKS OPTION...
    local kind=$1 name=$2 n=$3; shift 3
    [ "$kind" = knn ] && set -- --k 5,20 "$@"
    ranks "$n" pe-evaluator probe --kind "$kind" $common --output "$tmp/$kind-$name.json" "$@"
}
equal() { # KIND NAME ...: as the results of one rank
    local kind=$1 name=$2
    probe "$@" && same "$tmp/$kind-1.json" "$tmp/$kind-$name.json"
}
for kind in knn logistic; do
    probe $kind 1 1 --threads 1 > "$tmp/log" 2>&1 || cat "$tmp/log"
    check "${kind}_on_2" equal $kind 2 2 --threads 1
    check "${kind}_on_3_with_other_batches" equal $kind 3 3 --threads 2 --batch-size 7
done
figure() { # FILE KEY: the first number of that key
    sed -n "s/^ *\"$2\": \([0-9.]*\),\{0,1\}$/\1/p" "$tmp/$1.json" | head -1
}
learns() { # colours are easy, and an encoder that has learned nothing still sees them
    awk -v acc="$(figure "$1" acc1)" -v chance="$(figure "$1" chance)" 'BEGIN { print acc, chance; exit !(acc > 2 * chance && chance > .2) }'
}
check knn_beats_chance learns knn-1
check logistic_beats_chance learns logistic-1
whole() { # all that the results promise
    for key in acc1 acc1_last best_layer last_layer layers acc5 mean_per_class_recall stderr samples classes train_samples chance feature pixels; do
        grep -q "^    \"$key\": " "$tmp/$1.json" || { echo "$key is missing"; return 1; }
    done
    [ "$(grep -c '"layer":' "$tmp/$1.json")" -eq 2 ] && [ "$(figure "$1" samples)" -eq 50 ] && [ "$(figure "$1" train_samples)" -eq 100 ]
}
check knn_results whole knn-1
check logistic_results whole logistic-1
finish
