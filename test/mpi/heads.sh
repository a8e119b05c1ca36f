#!/usr/bin/env bash
# Probes whose heads are trained: the same file on any number of ranks, threads and batches, after a kill, of pictures and of videos.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 120 || exit 1
rows() { # FROM TO: a manifest whose classes are the colours; every seventh picture has none
    local i file caption
    for i in $(seq -f %04.0f "$1" "$2"); do
        file=$(echo "$tmp"/pictures/"$i".[jw]*) caption=$(head -1 "$tmp/pictures/$i.txt")
        if [ $((10#$i % 7)) -eq 6 ]; then echo "{\"image\": \"$file\", \"caption\": \"$caption\"}"
        else echo "{\"image\": \"$file\", \"caption\": \"$caption\", \"class\": \"$(cut -d" " -f2 <<< "$caption")\"}"; fi
    done
}
rows 0 89 > "$tmp/train.jsonl"; rows 90 119 > "$tmp/test.jsonl"
for part in train test; do pe-dataloader pack --input "$tmp/$part.jsonl" --output "$tmp/$part" --samples-per-shard 16 > "$tmp/$part.log" 2>&1 || cat "$tmp/$part.log"; done
given pe-trainer --train-data "$tmp/train" --model PE-Core-Test8-32 --global-batch-size 16 --steps 1 --threads 1 --logs "$tmp/logs" --name base
encoder="--weights $tmp/logs/base/checkpoints/latest --model PE-Core-Test8-32 --threads 1"
common="$encoder --train-data $tmp/train --data $tmp/test --global-batch-size 12 --slices 6 --steps 12 --norm-samples 50 --save-frequency 0"
linear="pe-evaluator probe --kind linear $common --lr-grid 1e-3,1e-2,0.1" attention="pe-evaluator probe --kind attention $common --lr 1e-2"
weights() { echo "$tmp/$1.run/checkpoints/step-00000012/model.safetensors"; }
equal() { same "$tmp/$1.json" "$tmp/$2.json" && same "$(weights "$1")" "$(weights "$2")"; }
for kind in linear attention; do
    ${!kind} --output "$tmp/$kind.json" > "$tmp/$kind.log" 2>&1 || cat "$tmp/$kind.log"
    on() { local n=$1; shift; ranks "$n" ${!kind} --output "$tmp/$kind$n.json" "$@" && equal $kind "$kind$n"; }
    check "${kind}_on_2_ranks" on 2 --batch-size 7
    check "${kind}_on_3_ranks" on 3 --zero 0 --workers 2
    check "${kind}_with_3_threads" on 1 --threads 3 --grad-checkpointing
done
learned() { grep -q '"acc1_layer_2"' "$tmp/seen.run/metrics.jsonl" && sed -n 's/.*"acc1": \([0-9.]*\).*/\1/p' "$tmp/seen.json" | head -1 | awk '{ print; exit !($1 > 0.5) }'; }
seen() { $linear --output "$tmp/seen.json" --steps 60 --val-every-n-steps 40 && learned; }
check linear_is_better_than_chance seen
counted() { for line in '"samples": 25' '"unlabelled": 5' '"train_unlabelled": 12' '"held_out_samples": 7' '"lr_chosen_on": "held-out"'; do says "$line" cat "$tmp/linear.json" || return 1; done; }
check samples_without_a_label_are_counted counted
check and_said says "12 training samples have no label: they are left out" cat "$tmp/linear.log"

killed() { # KIND RANKS RANKS_AFTER: kill -9 after the checkpoint of step 3; the same command on other ranks
    local kind=$1; shift
    mpirun --bind-to none -n "$1" ${!kind} --save-every-n-steps 3 --output "$tmp/killed-$kind.json" > "$tmp/killed.log" 2>&1 &
    local pid=$!
    for _ in $(seq 600); do [ -d "$tmp/killed-$kind.run/checkpoints/step-00000003" ] && break; sleep 0.01; done
    kill_tree $pid
    ranks "$2" ${!kind} --output "$tmp/killed-$kind.json" && equal "$kind" "killed-$kind"
}
check linear_killed_on_2_resumed_on_3 killed linear 2 3
check attention_killed_on_1_resumed_on_2 killed attention 1 2
stopped() { status 75 ranks 2 $linear --output "$tmp/stopped.json" --stop-after 5 && [ ! -e "$tmp/stopped.json" ] && says "resumed at step 5" $linear --output "$tmp/stopped.json" && equal linear stopped; }
check linear_stopped_writes_nothing_then_goes_on stopped
again() { rm "$tmp/stopped.json" && $linear --output "$tmp/stopped.json" --resume latest && equal linear stopped; }
check a_finished_run_writes_its_result_again again
check another_recipe_in_its_folder_is_refused says "made with lr-grid" status 2 $linear --output "$tmp/linear.json" --lr-grid 1,2
named() { $linear --output "$tmp/named.json" --logs "$tmp/logs" --name probe && same "$tmp/named.json" "$tmp/linear.json" && [ -d "$tmp/logs/probe/checkpoints" ] && [ ! -e "$tmp/named.run" ]; }
check a_run_may_have_a_name named

# Videos: linear heads see the mean of their frames' features, attention all tokens of all frames; pictures may stand beside them.
"$BUILD"/test/make_clips "$tmp/clips" 12 || exit 1
for i in $(seq -f %04.0f 0 11); do echo "{\"video\": \"$tmp/clips/$i.mp4\", \"class\": \"$([ $((10#$i % 2)) -eq 0 ] && echo red || echo green)\"}"; done > "$tmp/clips.jsonl"
grep -E '"class": "(red|green)"' "$tmp/train.jsonl" | head -9 >> "$tmp/clips.jsonl"
pe-dataloader pack --input "$tmp/clips.jsonl" --output "$tmp/films" --frames 3 --samples-per-shard 5 > "$tmp/films.log" 2>&1 || cat "$tmp/films.log"
films="$encoder --train-data $tmp/films --data $tmp/films --frames 3 --global-batch-size 6 --slices 3 --steps 4 --norm-samples 10 --choose-on test"
for kind in linear attention; do
    alone() { pe-evaluator probe --kind $kind $films --output "$tmp/film-$kind.json" && says '"samples": 21' cat "$tmp/film-$kind.json"; }
    shared() { ranks 3 pe-evaluator probe --kind $kind $films --batch-size 4 --output "$tmp/films-$kind.json" && same "$tmp/film-$kind.json" "$tmp/films-$kind.json"; }
    check "${kind}_of_videos_and_pictures" alone
    check "${kind}_of_videos_on_3_ranks" shared
done
check unknown_kind_is_refused says "must be one of" status 2 pe-evaluator probe --kind lineal $common --output "$tmp/x.json"
check missing_output_is_refused says "--output is required" status 2 pe-evaluator probe --kind linear $common
check more_ranks_than_slices_are_refused says "7 ranks share 6 slices" status 2 ranks 7 $linear --output "$tmp/x.json"
check missing_data_is_refused_on_all_ranks says "no data set here" status 1 ranks 2 $linear --data "$tmp/none" --output "$tmp/x.json"
finish
