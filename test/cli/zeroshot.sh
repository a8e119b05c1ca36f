#!/usr/bin/env bash
# Zero-shot classification and retrieval on files as people hand them on: the same figures as of the packed set; what cannot be read; several
# encoders and sets in one command, and their table.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 24 || exit 1
"$BUILD"/test/make_clips "$tmp/clips" 8 || exit 1
given pe-dataloader pack --input "$tmp/pictures" --output "$tmp/train"
for seed in 1 2; do
    pe-trainer --train-data "$tmp/train" --model PE-Core-Test8-32 --threads 1 --global-batch-size 8 --slices 4 --steps 1 --seed $seed --logs "$tmp/logs" \
        --name run$seed > /dev/null 2>&1
done
model="--model PE-Core-Test8-32 --threads 1" weights=$tmp/logs/run1/checkpoints/latest
one="--weights $weights $model"

# 24 pictures in six classes: an ImageFolder, clip_benchmark's folder of two tars, and packs of both, all called `set`.
names=(red_thing green_thing blue_thing other_thing last_thing no_thing)
printf 'a photo of a {c}\n{c}\n' > "$tmp/templates"
mkdir -p "$tmp/folder/set" "$tmp/wds/set/test" "$tmp/members"
printf '%s\n' 'blue thing' 'green thing' 'last thing' 'no thing' 'other thing' 'red thing' > "$tmp/wds/set/classnames.txt"
labels=(5 1 0 4 2 3) i=0
for file in "$tmp"/pictures/*.jpg "$tmp"/pictures/*.webp; do
    class=${names[i % 6]}
    mkdir -p "$tmp/folder/set/$class" && cp "$file" "$tmp/folder/set/$class"
    cp "$file" "$tmp/members/s$(basename "$file")" && echo ${labels[i % 6]} > "$tmp/members/s$(basename "${file%.*}").cls"
    i=$((i + 1))
done
echo 2 > "$tmp/wds/set/test/nshards.txt"
(cd "$tmp/members" && tar cf ../wds/set/test/0.tar s000* && tar cf ../wds/set/test/1.tar s001* s002*)
cp "$tmp/templates" "$tmp/wds/set/zeroshot_classification_templates.txt"
cp "$tmp/templates" "$tmp/folder/set/zeroshot_classification_templates.txt"
for form in folder wds; do pe-dataloader pack --input "$tmp/$form/set" --output "$tmp/packed-$form/set" > /dev/null 2>&1; done
pe-evaluator zeroshot $one --data "$tmp/packed-folder/set" --output "$tmp/z.json" > "$tmp/z.txt"
figures_of() { pe-evaluator zeroshot $one --data "$1" --output "$tmp/other.json" && same "$tmp/z.json" "$tmp/other.json"; }
for form in packed-wds folder wds; do check "figures_of_$form" figures_of "$tmp/$form/set"; done
in_result() { grep -qF -- "$1" "$2" || { cat "$2"; return 1; }; }
check names_and_templates_are_said in_result '"templates": "data set"' "$tmp/z.json"
check all_samples_are_counted in_result '"samples": 24' "$tmp/z.json"
written() { # as in templates: the same figures
    pe-evaluator zeroshot $one --data "$tmp/folder/set" --templates "$tmp/templates" --output "$tmp/t.json" > "$tmp/t.txt" &&
        in_result '"templates": "templates"' "$tmp/t.json" && [ "$(grep acc1 "$tmp/t.txt")" = "$(grep acc1 "$tmp/z.txt")" ]
}
check templates_of_a_file written
published() { pe-evaluator zeroshot $one --data "$tmp/folder/set" --templates voc2007 --output "$tmp/v.json" && in_result '"template_count": 1' "$tmp/v.json"; }
check published_templates published

# Folders that are wnids; a subset of the classes.
mkdir -p "$tmp/wnids"
for pair in red_thing:n01443537 blue_thing:n02123045 no_thing:n15075141; do cp -r "$tmp/folder/set/${pair%:*}" "$tmp/wnids/${pair#*:}"; done
wnids() { pe-evaluator zeroshot $one --data "$tmp/wnids" --output "$tmp/w.json" && in_result '"classnames": "imagenet1k"' "$tmp/w.json" && in_result '"classes": 3' "$tmp/w.json"; }
check wnids_are_names wnids
subset() { # toilet paper is none of ImageNet-R's
    says "4 of 12 samples are of classes that were not asked for" pe-evaluator zeroshot $one --data "$tmp/wnids" --classnames imagenet-r --output "$tmp/r.json" &&
        in_result '"outside": 4' "$tmp/r.json" && in_result '"samples": 8' "$tmp/r.json" && in_result '"classes": 200' "$tmp/r.json"
}
check subset_of_imagenet subset
check other_classes says "are none of the folders of --classnames imagenet-r" pe-evaluator zeroshot $one --data "$tmp/folder/set" --classnames imagenet-r --output "$tmp/r.json"

# What cannot be read: an error, or left out and counted.
cp -r "$tmp/folder/set" "$tmp/damaged" && head -c 200 "$tmp/pictures/0000.jpg" > "$tmp/damaged/red_thing/0000.jpg"
cp -r "$tmp/folder/set" "$tmp/without" && rm "$tmp/without/red_thing/0000.jpg"
check unreadable_picture_is_an_error says "red_thing/0000" status 1 pe-evaluator zeroshot $one --data "$tmp/damaged" --output "$tmp/d.json"
left_out() {
    says "damaged: red_thing/0000: JPEG" pe-evaluator zeroshot $one --data "$tmp/damaged" --max-bad-fraction 0.05 --output "$tmp/d.json" && in_result '"missing": 1' "$tmp/d.json" &&
        pe-evaluator zeroshot $one --data "$tmp/without" --output "$tmp/d2.json" &&
        [ "$(grep -v 'missing\|dataset' "$tmp/d.json")" = "$(grep -v 'missing\|dataset' "$tmp/d2.json")" ]
}
check unreadable_picture_is_left_out left_out
check too_many_are_an_error says "1 of 24 samples could not be read, more than --max-bad-fraction 0.01" \
    status 1 pe-evaluator zeroshot $one --data "$tmp/damaged" --max-bad-fraction 0.01 --output "$tmp/d3.json"

# Retrieval: captions beside pictures, in tars, packed; a missing one goes with its captions.
mkdir -p "$tmp/captions/pairs/test" "$tmp/captions-packed"
(cd "$tmp/pictures" && tar cf "$tmp/captions/pairs/test/0.tar" *) && echo 1 > "$tmp/captions/pairs/test/nshards.txt"
echo retrieval > "$tmp/captions/pairs/dataset_type.txt"
ln -s pictures "$tmp/pairs"; cp -r "$tmp/train" "$tmp/captions-packed/pairs"
recalls_of() { pe-evaluator retrieval $one --data "$1" --output "$2" > "$tmp/retrieved"; }
recalls_of "$tmp/captions-packed/pairs" "$tmp/p.json"
recalls() { recalls_of "$1" "$tmp/q.json" && same "$tmp/p.json" "$tmp/q.json"; }
check recalls_of_tars recalls "$tmp/captions/pairs"
check recalls_of_files recalls "$tmp/pairs"
mkdir "$tmp/torn" && cp "$tmp"/pictures/* "$tmp/torn" && head -c 200 "$tmp/pictures/0004.jpg" > "$tmp/torn/0004.jpg"
mkdir "$tmp/fewer" && cp "$tmp"/pictures/* "$tmp/fewer" && rm "$tmp"/fewer/0004.*
torn() {
    pe-evaluator retrieval $one --data "$tmp/torn" --max-bad-fraction 0.05 --output "$tmp/torn.json" && in_result '"missing": 1' "$tmp/torn.json" &&
        recalls_of "$tmp/fewer" "$tmp/fewer.json" && [ "$(grep -v 'missing\|dataset' "$tmp/torn.json")" = "$(grep -v 'missing\|dataset' "$tmp/fewer.json")" ]
}
check missing_goes_with_its_captions torn

# Videos: class folders, and a list of a video set; packed as files they are the same.
mkdir -p "$tmp/films/run_fast" "$tmp/films/jump" "$tmp/packed-films"
cp "$tmp"/clips/000[0-3].mp4 "$tmp/films/run_fast"; cp "$tmp"/clips/000[4-7].mp4 "$tmp/films/jump"
films() {
    pe-evaluator zeroshot $one --data "$tmp/films" --templates k400 --output "$tmp/f.json" && in_result '"template_count": 28' "$tmp/f.json" &&
        pe-dataloader pack --input "$tmp/films" --video file --output "$tmp/packed-films/films" &&
        pe-evaluator zeroshot $one --data "$tmp/packed-films/films" --templates k400 --output "$tmp/f2.json" && same "$tmp/f.json" "$tmp/f2.json"
}
check videos_in_class_folders films
(echo 'key,video_id,sentence'; for i in 0 1 2 3; do echo "ret$i,000$i,a shape in clip $i@clip number $i"; done) > "$tmp/clips/list.csv"
listed() { pe-evaluator retrieval $one --data "$tmp/clips/list.csv" --output "$tmp/l.json" && in_result '"texts": 8' "$tmp/l.json" && in_result '"dual_softmax": "on"' "$tmp/l.json"; }
check list_of_a_video_set listed
list_packed() { pe-dataloader pack --input "$tmp/clips/list.csv" --output "$tmp/list-data" && says "caption: clip number 2" pe-dataloader info --data "$tmp/list-data" --sample 2; }
check list_of_a_video_set_is_packed list_packed
check dual_softmax_is_off_for_pictures in_result '"dual_softmax": "off"' "$tmp/p.json"

# Several encoders on several sets.
both="--weights $weights $tmp/logs/run2/checkpoints/latest $model"
swept() {
    pe-evaluator zeroshot $both --data "$tmp/folder/set" "$tmp/wnids" --output "$tmp/swept/{dataset}_{pretrained}_{model}_{task}.json" || return
    [ "$(ls "$tmp/swept" | paste -sd ' ')" = "set_run1-latest_PE-Core-Test8-32_zeroshot_classification.json set_run2-latest_PE-Core-Test8-32_zeroshot_classification.json \
wnids_run1-latest_PE-Core-Test8-32_zeroshot_classification.json wnids_run2-latest_PE-Core-Test8-32_zeroshot_classification.json" ] || { ls "$tmp/swept"; return 1; }
    same "$tmp/z.json" "$tmp/swept/set_run1-latest_PE-Core-Test8-32_zeroshot_classification.json" &&
        same "$tmp/w.json" "$tmp/swept/wnids_run1-latest_PE-Core-Test8-32_zeroshot_classification.json"
}
check sweep swept
skipped() {
    local kept="$tmp/swept/set_run1-latest_PE-Core-Test8-32_zeroshot_classification.json"
    sed -i 's/"acc1": .*/"acc1": 7,/' "$kept" && rm "$tmp/swept/wnids_run2-latest_PE-Core-Test8-32_zeroshot_classification.json"
    says "is there already" pe-evaluator zeroshot $both --data "$tmp/folder/set" "$tmp/wnids" --output "$tmp/swept/{dataset}_{pretrained}_{model}_{task}.json" --skip-existing || return
    in_result '"acc1": 7' "$kept" && [ "$(ls "$tmp/swept" | wc -l)" -eq 4 ]
}
check sweep_skips_what_is_there skipped
other_sets="--data $tmp/folder/set $tmp/wnids --output $tmp/swept/{dataset}_{pretrained}_{model}_{task}.json --skip-existing"
check sweep_skips_no_result_of_other_options says "made with other options or weights than these" status 1 pe-evaluator zeroshot $both $other_sets --frame-average unit
check sweep_skips_on_other_threads says "is there already" pe-evaluator zeroshot $both $other_sets --threads 2 --batch-size 5
other_weights() { # under the same name
    cp -rL "$tmp/logs/run1/checkpoints/latest" "$tmp/weights" && one="--weights $tmp/weights $model --data $tmp/wnids --output $tmp/{dataset}.json"
    pe-evaluator zeroshot $one && says "is there already" pe-evaluator zeroshot $one --skip-existing || return
    cp "$tmp/logs/run2/checkpoints/latest/model.safetensors" "$tmp/weights/model.safetensors"
    says "made with other options or weights than these" status 1 pe-evaluator zeroshot $one --skip-existing
}
check sweep_skips_no_result_of_other_weights other_weights
check sweep_skips_no_result_that_nobody_knows says "nothing says what it was made from" status 1 pe-evaluator zeroshot --weights "$tmp/logs/run2/checkpoints/latest" $model --data "$tmp/wnids" --skip-existing \
    --output "$tmp/w.json"
half() { # one set is missing, one file of weights is none: the rest is made
    says "3 of 4 results are not there" status 1 pe-evaluator zeroshot --weights "$weights" "$tmp/templates" $model --data "$tmp/nothing" "$tmp/wnids" \
        --output "$tmp/half/{dataset}_{pretrained}.json" || return
    [ "$(ls "$tmp/half")" = wnids_run1-latest.json ] && same "$tmp/w.json" "$tmp/half/wnids_run1-latest.json"
}
check sweep_goes_on_without_what_fails half
check sweep_without_places says "would be the result of several" status 2 pe-evaluator zeroshot $both --data "$tmp/wnids" --output "$tmp/s.json"
check sweep_with_a_wrong_place says "{set} is none of" status 2 pe-evaluator zeroshot $one --data "$tmp/wnids" --output "$tmp/{set}.json"
check sweep_with_too_many_models says "2 --model for 1 --weights" status 2 pe-evaluator zeroshot $one --data "$tmp/wnids" --model a b --output "$tmp/s.json"

# The table.
result() { # DATASET ACC1
    printf '{"dataset": "%s", "model": "M", "pretrained": "w", "task": "zeroshot_classification", "metrics": {"acc1": %s, "classnames": "a, b"}, "language": "en"}' "$1" "$2" \
        > "$tmp/table/$1.json"
}
mkdir "$tmp/table"
i=1; for set in wds_imagenet1k imagenetv2 objectnet imagenet-a wds_imagenet-r; do result $set $((125 * i))e-3; i=$((i + 1)); done
header='dataset,model,pretrained,task,language,model_fullname,acc1,classnames'
built() {
    pe-evaluator build "$tmp/table" "$tmp/z.json" --output "$tmp/b.csv" > "$tmp/b.txt" && [ "$(wc -l < "$tmp/b.csv")" -eq 7 ] &&
        in_result "$header,acc5,mean_per_class_recall,stderr" "$tmp/b.csv" && in_result 'imagenetv2,M,w,zeroshot_classification,en,M w,0.25,"a, b",,' "$tmp/b.csv"
}
check table_of_results built
averaged() { # 0.125 .. 0.625 and 0.375
    result imagenet_sketch-test 0.375 && pe-evaluator build "$tmp/table" --output "$tmp/b.csv" > "$tmp/b.txt" &&
        in_result 'imagenet and its robustness sets,M,w,average,en,M w,0.375,' "$tmp/b.csv" && in_result 'acc1 0.3750  M w' "$tmp/b.txt"
}
check average_when_all_are_there averaged
check no_result says "no result (no metrics)" status 1 pe-evaluator build "$tmp/logs/run1/config.json" --output "$tmp/b.csv"
finish
