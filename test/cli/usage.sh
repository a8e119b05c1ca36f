#!/usr/bin/env bash
# Command lines as people and other programs type them: help, mistakes, exit statuses, and the whole way from pictures to figures.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 60 || exit 1
for program in "pe-dataloader" "pe-dataloader pack" "pe-trainer" "pe-evaluator" "pe-evaluator zeroshot" "pe-aligner" "pe-aligner spatial"; do
    check "help_of_${program// /_}" status 0 $program --help
done
every_option() { # each key of the table is in the help
    pe-trainer --help > "$tmp/help"
    for key in train-data val-data model pretrained lr wd beta1 beta2 eps warmup epochs precision grad-checkpointing force-image-size logs name resume seed \
        grad-clip-norm save-frequency log-every-n-steps global-batch-size; do
        grep -q -- "--$key " "$tmp/help" || { echo "$key is missing"; return 1; }
    done
}
check trainer_has_the_keys_of_the_contract every_option
no_idle_option() { # KEY VERB...: what does nothing there is no option
    local key=$1 verb; shift
    for verb in "$@"; do
        says "unknown key \"$key\"" status 2 pe-evaluator $verb "--$key" 1 || return 1
        ! pe-evaluator $verb --help | grep -q -- "--$key " || { echo "$verb lists --$key"; return 1; }
    done
}
for key in frames video-seconds; do
    check "no_${key}_where_there_are_no_videos" no_idle_option $key segment "depth --head linear" "depth --head dpt" detect track pca embed
done
check no_shards_where_there_are_none no_idle_option verify-shards segment "depth --head linear" detect
check no_held_out_part_where_there_is_no_choice no_idle_option held-out detect
check version status 0 pe-trainer --version
check no_verb status 2 pe-dataloader
check unknown_verb says 'unknown verb "pck"' pe-dataloader pck
check mistyped_key says "maybe --global-batch-size?" pe-trainer --train-data x --model y --name z --global-batch-sise 8
check mistyped_key_status status 2 pe-trainer --train-data x --model y --name z --global-batch-sise 8
check missing_data says "no data set here" pe-trainer --train-data "$tmp/none" --model PE-Core-Test8-32 --name z --global-batch-size 8 --steps 1 --logs "$tmp/logs"
check unknown_model says "maybe PE-Core-Test8-32?" pe-trainer --train-data "$tmp/none" --model PE-Core-Test8-23 --name z --global-batch-size 8 --steps 1 --logs "$tmp/logs"
check no_such_input says "$tmp/nothing: no such file" pe-dataloader pack --input "$tmp/nothing" --output "$tmp/x"

# Every kind of source, one after the other, ends in the same samples.
given pe-dataloader pack --input "$tmp/pictures" --output "$tmp/data"
check export_to_tars status 0 pe-dataloader export --data "$tmp/data" --output "$tmp/tars"
from_tars() {
    pe-dataloader pack --input "$tmp/tars" --output "$tmp/again" > /dev/null 2>&1 && pe-dataloader info --data "$tmp/data" > "$tmp/a" &&
        pe-dataloader info --data "$tmp/again" > "$tmp/b" && same "$tmp/a" "$tmp/b"
}
check pack_of_the_export_is_the_same from_tars
manifest() {
    (echo filepath,title; for i in 0001 0002 0003; do echo "pictures/$i.$(ls "$tmp/pictures" | grep "^$i" | grep -v txt | cut -d. -f2),\"picture $i, of three\""; done) > "$tmp/m.csv"
    pe-dataloader pack --input "$tmp/m.csv" --output "$tmp/csv" > /dev/null 2>&1 && says 'caption: picture 0002, of three' pe-dataloader info --data "$tmp/csv" --sample 1
}
check csv_manifest manifest
image_folder() {
    for c in cat dog; do mkdir -p "$tmp/classes/$c"; done
    cp "$tmp"/pictures/000[02].jpg "$tmp/classes/cat"; cp "$tmp"/pictures/000[46].jpg "$tmp/classes/dog"
    pe-dataloader pack --input "$tmp/classes" --output "$tmp/imagefolder" > /dev/null 2>&1 && says "label: 1 dog" pe-dataloader info --data "$tmp/imagefolder" --sample 3
}
check image_folder image_folder
quarantine() {
    cp -r "$tmp/pictures" "$tmp/some"; echo '<html>' > "$tmp/some/bad.jpg"; echo x > "$tmp/some/bad.txt"; : > "$tmp/some/0001.txt"
    head -c 300 "$tmp/some/0002.jpg" > "$tmp/some/cut.jpg"; echo y > "$tmp/some/cut.txt"
    pe-dataloader pack --input "$tmp/some" --output "$tmp/rest" > /dev/null 2>&1 && [ "$(wc -l < "$tmp/rest/quarantine.jsonl")" -eq 3 ] &&
        grep -q 'HTML or XML' "$tmp/rest/quarantine.jsonl" && grep -q 'empty caption' "$tmp/rest/quarantine.jsonl" && grep -q 'JPEG' "$tmp/rest/quarantine.jsonl" &&
        status 1 pe-dataloader pack --input "$tmp/some" --output "$tmp/strict" --max-bad-fraction 0.01
}
check bad_items_are_quarantined quarantine
check other_pack_in_the_same_folder says "other inputs or options" pe-dataloader pack --input "$tmp/some" --output "$tmp/data"

run="--train-data $tmp/data --model PE-Core-Test8-32 --global-batch-size 16 --threads 1 --logs $tmp/logs"
check train_adamw_class_pool status 0 pe-trainer $run --name adam --steps 3 --opt adamw --pool class --rope false --val-data "$tmp/data"
check train_without_augmentation status 0 pe-trainer $run --name plain --steps 3 --aug none --lock-text
check existing_run_is_refused status 2 pe-trainer $run --name adam --steps 3
logged() { grep -q 'Train Epoch: 0 \[' "$tmp/logs/adam/out.log" && grep -q '"grad_norm"' "$tmp/logs/adam/metrics.jsonl" && ls "$tmp/logs/adam/tensorboard/"events.* && [ -s "$tmp/logs/adam/config.json" ]; }
check run_folder logged
learns() { # colours and shapes: the loss must fall well below chance within 60 steps
    pe-trainer $run --name learn --steps 60 --warmup 10 --lr 5e-3 --log-every-n-steps 60 --aug none > /dev/null 2>&1
    tail -1 "$tmp/logs/learn/metrics.jsonl" | awk -F'"last_loss":' '{ split($2, v, ","); if (v[1] > 2.2) { print "loss " v[1]; exit 1 } }'
}
check training_learns learns
weights="--weights $tmp/logs/learn/checkpoints/latest --model PE-Core-Test8-32 --threads 1"
printf 'a photo of a {c}\n{c}\n' > "$tmp/templates"; printf 'cat\ndog\n' > "$tmp/names"
check zeroshot status 0 pe-evaluator zeroshot $weights --data "$tmp/imagefolder" --templates "$tmp/templates" --output "$tmp/z.json"
result() { grep -q '"acc1"' "$tmp/z.json" && grep -q '"mean_per_class_recall"' "$tmp/z.json" && grep -q '"dataset": "imagefolder"' "$tmp/z.json"; }
check zeroshot_result result
no_utf8() { # figures of data whose folder's name is no UTF-8 are not lost
    ln -s imagefolder "$tmp"/im$'\xe9' && pe-evaluator zeroshot $weights --data "$tmp"/im$'\xe9' --output "$tmp/n.json" &&
        grep -qF '"dataset": "im\\xe9"' "$tmp/n.json"
}
check zeroshot_of_a_folder_that_is_no_utf8 no_utf8
check template_without_place says "has no {c}" pe-evaluator zeroshot $weights --data "$tmp/imagefolder" --templates "$tmp/names" --output "$tmp/z.json"
check weights_of_the_wrong_model says "is --model the model of this file?" pe-evaluator embed --weights "$tmp/logs/learn/checkpoints/latest" --model PE-Core-Tiny8-64 \
    --texts "$tmp/names" --output "$tmp/t.npy"
check export_for_pe status 0 pe-evaluator export $weights --naming pe --output "$tmp/pe.safetensors"
check export_without_an_architecture says "no architecture of this shape" pe-evaluator export $weights --output "$tmp/oc"
finish
