#!/usr/bin/env bash
# Objects followed through videos: the same masks and figures on any number of ranks and threads and in any batch; the figures are those of the masks.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 24 || exit 1
"$BUILD"/test/make_sequences "$tmp/davis" || exit 1
given pe-dataloader pack --input "$tmp/pictures" --output "$tmp/data"
given pe-trainer --train-data "$tmp/data" --model PE-Core-Test8-32 --global-batch-size 8 --slices 1 --steps 1 --threads 1 --logs "$tmp/logs" --name run
model="--weights $tmp/logs/run/checkpoints/latest --model PE-Core-Test8-32 --data $tmp/davis --short-side 64"

track() { # NAME RANKS OPTION...: into NAME and NAME.json
    local name=$tmp/$1 n=$2; shift 2
    rm -rf "$name"
    ranks "$n" pe-evaluator track $model --masks "$name" --output "$name.json" "$@"
}
figure() { sed -n "s/^ *\"$2\": \([0-9.e-]*\),*\$/\1/p" "$1" | sed -n "${3:-1}p"; }
track base 1 --threads 1 --layers 1,2 > "$tmp/base.log" 2>&1 || cat "$tmp/base.log"
as_base() { track "$@" --layers 1,2 && diff -r "$tmp/base" "$tmp/$1" && diff "$tmp/base.json" <(sed "s,$tmp/$1/,$tmp/base/," "$tmp/$1.json"); }
shown() { pe-evaluator report "$tmp/base.json" --output "$tmp/base.html" && grep -q "<h2>Objects followed" "$tmp/base.html"; }
check report_finds_the_masks shown
check masks_and_figures_on_2_ranks as_base two 2 --threads 1
check masks_and_figures_on_3_ranks as_base three 3 --threads 1 --batch-size 7
check more_ranks_than_videos as_base five 5 --threads 1 --batch-size 1
check masks_and_figures_from_3_threads as_base threads 1 --threads 3 --batch-size 3
curves() { # in `layers` too; of videos in files it has no options
    local layers="pe-evaluator layers --weights $tmp/logs/run/checkpoints/latest --model PE-Core-Test8-32 --tasks track --layers 1,2 --track-data $tmp/davis --output $tmp/curves.json"
    $layers --task-options track.short-side=64 threads=1 && [ "$(figure "$tmp/curves.json" best)" = "$(figure "$tmp/base.json" J\&F-Mean)" ] &&
        says 'unknown key "frames"' status 2 $layers --task-options track.short-side=64 threads=1 track.frames=3
}
check layers_follow_too curves
other() { track other 1 --threads 1 --layers 1,2 "$@" && ! diff -r "$tmp/base" "$tmp/other" > /dev/null; }
for option in "--memory 1" "--radius 1" "--top-k 2" "--temperature 1" "--short-side 128" "--norm final"; do
    check "masks_change_with_${option:2:6}" other $option
done

scored() { # FOLDER: the figures of the metric without a model
    pe-evaluator score --metric davis --truth "$tmp/davis" --predictions "$1" --output "$tmp/score.json" > /dev/null
}
near() { awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; print a, b; exit !(a != "" && b != "" && d < 1e-12 && d > -1e-12) }'; }
as_scored() { # LAYER ROW: its row among the layers
    scored "$tmp/base/layer-0$1" && near "$(figure "$tmp/score.json" 'J&F-Mean')" "$(figure "$tmp/base.json" 'J&F-Mean' "$2")" &&
        near "$(figure "$tmp/score.json" 'F-Recall')" "$(figure "$tmp/base.json" 'F-Recall' $(($2 - 1)))"
}
check figures_are_those_of_the_masks_of_layer_1 as_scored 1 2
check figures_are_those_of_the_masks_of_layer_2 as_scored 2 3
copied() {
    cp -r "$tmp/davis/Annotations/480p" "$tmp/copied"
    for video in "$tmp"/copied/*; do for mask in "$video"/*.png; do [ "$mask" = "$video/00000.png" ] || cp "$video/00000.png" "$mask"; done; done
    scored "$tmp/copied" && near "$(figure "$tmp/score.json" 'J&F-Mean')" "$(figure "$tmp/base.json" 'first_mask_J&F-Mean')"
}
check baseline_is_the_first_mask_copied copied
better() { awk -v a="$(figure "$tmp/base.json" 'J&F-Mean')" -v b="$(figure "$tmp/base.json" 'first_mask_J&F-Mean')" 'BEGIN { print a, b; exit !(a > b + .05) }'; }
check objects_are_followed better
first_masks() { for v in ant bee cat dog; do same "$tmp/davis/Annotations/480p/$v/00000.png" "$tmp/base/layer-01/$v/00000.png" || return 1; done; }
check first_masks_are_given first_masks
one() { track one 1 --threads 1 && diff -r "$tmp/base/layer-02" "$tmp/one"; }
check one_layer_has_no_folder one
chosen() { echo cat > "$tmp/names"; track chosen 2 --threads 1 --sequences "$tmp/names" && diff -r "$tmp/base/layer-02/cat" "$tmp/chosen/cat" && [ "$(ls "$tmp/chosen")" = cat ]; }
check sequences_chosen_by_a_file chosen
cp -r "$tmp/davis" "$tmp/given"
find "$tmp/given/Annotations" -name '*.png' ! -name 00000.png -exec rm {} +
given() { track given-masks 2 --threads 1 --data "$tmp/given" && diff -r "$tmp/base/layer-02" "$tmp/given-masks" && ! grep -q 'J&F' "$tmp/given-masks.json"; }
check without_truth_masks_alone given

bad() { # WORDS STATUS OPTION...: refused, and no result
    local words=$1 rc=$2; shift 2
    says "$words" status "$rc" pe-evaluator track $model --masks "$tmp/bad" --output "$tmp/bad.json" --threads 1 "$@" && [ ! -e "$tmp/bad.json" ]
}
on_ranks() { # WORDS OPTION...: by the rank that meets it, which ends all
    says "$1" status 1 track bad 3 --threads 1 "${@:2}" && [ ! -e "$tmp/bad.json" ]
}
check no_davis_folder bad "not both JPEGImages/480p and Annotations/480p" 1 --data "$tmp/data"
check layer_that_is_not_there bad "the encoder has layers 0 to 2" 2 --layers 3
check side_that_the_patch_does_not_divide bad "--short-side 100 is no multiple of the patch size 8" 2 --short-side 100
check side_too_short bad "at least 64" 2 --short-side 8
damaged() { rm -rf "$tmp/damaged"; cp -r "$tmp/davis" "$tmp/damaged"; }
frames=$tmp/damaged/JPEGImages/480p truth=$tmp/damaged/Annotations/480p
check_damaged() { local name=$1 words=$2; shift 2; check "$name" bad "$words" 1 --data "$tmp/damaged" "$@"; }
damaged; rm "$truth/cat/00000.png"
check_damaged no_first_mask "cat: no mask of the first frame"
damaged; rm "$truth/cat/00005.png"
check_damaged some_masks_missing "cat/00005.jpg: 11 of 12 frames have a mask"
damaged; find "$truth/dog" -name '*.png' ! -name 00000.png -exec rm {} +
check_damaged truth_of_some "ant has masks of all frames, dog of the first"
damaged; cp "$frames/bee/00000.jpg" "$frames/ant/00003.jpg"
check frame_of_another_size_on_ranks on_ranks "ant/00003.jpg: 96 x 160 pixels in a sequence of 160 x 96" --data "$tmp/damaged"
check_damaged frame_of_another_size "ant/00003.jpg: 96 x 160 pixels in a sequence of 160 x 96"
damaged; cp "$truth/bee/00000.png" "$truth/ant/00003.png"
check mask_of_another_size_on_ranks on_ranks "ant/00003.png: 96 x 160, the frames of ant are 160 x 96" --data "$tmp/damaged"
check_damaged mask_of_another_size "ant/00003.png: 96 x 160, the frames of ant are 160 x 96"
damaged; cp "$frames/cat/00000.jpg" "$truth/cat/00004.png"
check_damaged mask_that_is_none "cat/00004.png"
damaged; rm "$frames"/dog/0000[1-4].jpg
check_damaged one_frame "dog: 1 frames"
damaged; echo ant >> "$tmp/damaged/ImageSets/2017/val.txt"
check_damaged sequence_twice "val.txt: ant is there twice"
damaged; echo ../x >> "$tmp/damaged/ImageSets/2017/val.txt"
check_damaged no_name "is no name of a sequence"
damaged; head -c 500 "$frames/cat/00007.jpg" > "$tmp/cut" && cp "$tmp/cut" "$frames/cat/00007.jpg"
check_damaged frame_that_is_cut "cat/00007.jpg"
finish
