#!/usr/bin/env bash
# Features as maps of colours, and what tasks keep of each sample: the same bytes on any number of ranks and threads and in any batch.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 7 || exit 1
"$BUILD"/test/make_pictures "$tmp/many" 24 || exit 1
"$BUILD"/test/make_sequences "$tmp/davis" || exit 1
cp "$tmp/davis/JPEGImages/480p/bee/00000.jpg" "$tmp/pictures/high.jpg"
cp "$tmp/davis/JPEGImages/480p/ant/00000.jpg" "$tmp/pictures/wide.jpg"
model="--weights init:3 --model PE-Core-Test8-32"

maps() { # NAME RANKS OPTION...: into NAME and NAME.json
    local name=$1 n=$2; shift 2
    rm -rf "$tmp/maps"
    ranks "$n" pe-evaluator pca $model --images "$tmp/pictures" --maps "$tmp/maps" --short-side 64 --output "$tmp/$name.json" "$@" && rm -rf "${tmp:?}/$name" && mv "$tmp/maps" "$tmp/$name"
}
maps base 1 --threads 1 > "$tmp/base.log" 2>&1 || cat "$tmp/base.log"
as_base() { maps "$@" && diff -r "$tmp/base" "$tmp/$1" && same "$tmp/base.json" "$tmp/$1.json"; }
check maps_on_2_ranks as_base two 2 --threads 1
check maps_on_3_ranks as_base three 3 --threads 1 --batch-size 2
check more_ranks_than_pictures as_base ten 10 --threads 1 --batch-size 1
check maps_from_3_threads as_base threads 1 --threads 3 --batch-size 5
all_there() { [ "$(find "$tmp/base" -name '*.png' | wc -l)" = 18 ] && [ -e "$tmp/base/layer-02/high.png" ]; }
check a_map_a_layer_and_picture all_there
size() { [ "$(od -An -tu1 -j16 -N8 "$1" | tr -s ' ')" = " 0 0 0 $2 0 0 0 $3" ] || { od -An -tu1 -j16 -N8 "$1"; return 1; }; }
check maps_keep_the_shape_of_wide_pictures size "$tmp/base/layer-01/wide.png" 13 8
check maps_keep_the_shape_of_high_pictures size "$tmp/base/layer-01/high.png" 8 13
differ() { ! cmp -s "$tmp/base/layer-01/wide.png" "$tmp/base/layer-02/wide.png"; }
check layers_differ differ
one() { maps one 2 --threads 1 --layers 2 && diff -r "$tmp/base/layer-02" "$tmp/one/layer-02" && [ "$(ls "$tmp/one")" = layer-02 ]; }
check one_layer one
check short_side_of_patches says "no multiple of the patch size" status 2 maps bad 1 --short-side 30
cp "$tmp/pictures/0000.jpg" "$tmp/pictures/0001.jpg"
check two_of_one_name says "would have one map" status 1 maps bad 2 --threads 1
rm "$tmp/pictures/0001.jpg" && head -c 300 "$tmp/pictures/wide.jpg" > "$tmp/pictures/broken.jpg"
check picture_that_is_none says "broken.jpg" status 1 maps bad 2 --threads 1

# Predictions that are kept.
mkdir -p "$tmp/classes/a" "$tmp/classes/b"
i=0; for f in "$tmp"/many/*.jpg "$tmp"/many/*.webp; do [ $((i++ % 2)) = 0 ] && cp "$f" "$tmp/classes/a" || cp "$f" "$tmp/classes/b"; done
kept() { # TASK RANKS: on that many, as on one
    local data=$tmp/classes; [ "$1" = zeroshot ] || data=$tmp/many
    [ -e "$tmp/$1-1.json" ] || ranks 1 pe-evaluator "$1" $model --data "$data" --keep-predictions --threads 1 --output "$tmp/$1-1.json" || return 1
    ranks "$2" pe-evaluator "$1" $model --data "$data" --keep-predictions --threads 2 --batch-size 5 --output "$tmp/$1-$2.json" &&
        same "$tmp/$1-1.json" "$tmp/$1-$2.json" && same "$tmp/$1-1.predictions.jsonl" "$tmp/$1-$2.predictions.jsonl"
}
check classes_kept_on_3_ranks kept zeroshot 3
check pictures_kept_on_3_ranks kept retrieval 3
dual() { ranks 2 pe-evaluator retrieval $model --data "$tmp/many" --keep-predictions --dual-softmax on --threads 1 --output "$tmp/dual.json" && ! cmp -s "$tmp/dual.predictions.jsonl" "$tmp/retrieval-1.predictions.jsonl"; }
check pictures_kept_by_the_second_softmax dual
finish
