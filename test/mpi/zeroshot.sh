#!/usr/bin/env bash
# Zero-shot on ranks: files read straight, some of them damaged, give the same results on any number of them; so does a run that classifies as it goes.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 30 || exit 1
given pe-dataloader pack --input "$tmp/pictures" --output "$tmp/train"
model="--model PE-Core-Test8-32 --threads 1"
train="--train-data $tmp/train $model --global-batch-size 8 --slices 4 --steps 3 --logs $tmp/logs"
i=0
for file in "$tmp"/pictures/*.jpg "$tmp"/pictures/*.webp; do
    class=class_$((i % 6)) && mkdir -p "$tmp/set/$class" && cp "$file" "$tmp/set/$class"
    i=$((i + 1))
done
cp -r "$tmp/set" "$tmp/damaged"
for file in 0000.jpg 0017.webp; do head -c 100 "$tmp/pictures/$file" > "$(ls "$tmp"/damaged/*/$file)"; done

# A run that classifies; its last weights are those of the tests below.
run() { ranks "$1" pe-trainer $train --name "run$1" --zeroshot-data "$tmp/set" "$tmp/damaged" --zeroshot-max-bad-fraction 0.1 --zeroshot-templates voc2007 \
    --zeroshot-every-n-steps 2 --val-data "$tmp/train"; }
figures() { grep -o '"[a-z]*-zeroshot-val-top[15]":[0-9.]*' "$tmp/logs/run$1/metrics.jsonl"; }
logged() { run 1 && [ "$(figures 1 | wc -l)" -eq 8 ] && says 'set-zeroshot-val-top1: ' cat "$tmp/logs/run1/out.log"; }
check run_that_classifies logged
on() { run "$1" && figures 1 > "$tmp/figures" && figures "$1" | cmp - "$tmp/figures"; }
for n in 2 3; do check "run_that_classifies_on_$n" on $n; done
check damaged_set_ends_a_run says "class_0/0000: JPEG" status 1 ranks 2 pe-trainer $train --name torn --zeroshot-data "$tmp/damaged"
check two_sets_of_one_name says "two sets are called set" status 2 pe-trainer $train --name none --zeroshot-data "$tmp/set" "$tmp/set"
check templates_one_each says "3 --zeroshot-templates for 2 --zeroshot-data" status 2 \
    pe-trainer $train --name none --zeroshot-data "$tmp/set" "$tmp/damaged" --zeroshot-templates a b c

straight() { # from the files, PNG aside: the bits of the run on their pack
    ranks 2 pe-trainer --train-data "$tmp/pictures" $model --global-batch-size 8 --slices 4 --steps 3 --logs "$tmp/logs" --name straight &&
        same "$tmp/logs/run1/checkpoints/latest/model.safetensors" "$tmp/logs/straight/checkpoints/latest/model.safetensors"
}
check training_on_files straight

one="--weights $tmp/logs/run1/checkpoints/latest $model"
zeroshot() { ranks "$1" pe-evaluator zeroshot $one --data "$tmp/damaged" --max-bad-fraction 0.1 --batch-size "$2" --output "$tmp/z$1.json"; }
zeroshot 1 64 > /dev/null 2>&1
zeroshot_on() { zeroshot "$1" "$2" && same "$tmp/z1.json" "$tmp/z$1.json" && grep -q '"missing": 2' "$tmp/z1.json"; }
check zeroshot_on_2 zeroshot_on 2 4
check zeroshot_on_3 zeroshot_on 3 1
check too_many_missing_on_3 says "2 of 30 samples could not be read" status 1 ranks 3 pe-evaluator zeroshot $one --data "$tmp/damaged" --max-bad-fraction 0.05 --output "$tmp/n.json"
mkdir "$tmp/torn" && cp "$tmp"/pictures/* "$tmp/torn" && head -c 100 "$tmp/pictures/0004.jpg" > "$tmp/torn/0004.jpg"
retrieval() { ranks "$1" pe-evaluator retrieval $one --data "$tmp/torn" --max-bad-fraction 0.1 --dual-softmax on --batch-size "$2" --output "$tmp/r$1.json"; }
retrieval 1 64 > /dev/null 2>&1
retrieval_on() { retrieval "$1" "$2" && same "$tmp/r1.json" "$tmp/r$1.json" && grep -q '"missing": 1' "$tmp/r1.json"; }
check dual_softmax_on_3 retrieval_on 3 7
for n in 2 3; do check "figures_on_$n" ranks $n "$BUILD"/test/mpi/score; done
sweep() {
    says "1 of 2 results are not there" status 1 ranks 3 pe-evaluator zeroshot $one --data "$tmp/nothing" "$tmp/set" --output "$tmp/swept/{dataset}.json" &&
        pe-evaluator zeroshot $one --data "$tmp/set" --output "$tmp/s.json" && same "$tmp/s.json" "$tmp/swept/set.json"
}
check sweep_on_3 sweep
finish
