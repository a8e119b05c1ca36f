#!/usr/bin/env bash
# Features on ranks: those that are no numbers end every command, and the trainer's validation; takers share a pass.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 24 || exit 1
for c in cat dog; do mkdir -p "$tmp/classes/$c"; done
cp "$tmp"/pictures/000[02].jpg "$tmp/classes/cat"
cp "$tmp"/pictures/000[46].jpg "$tmp/classes/dog"
given pe-dataloader pack --input "$tmp/pictures" --output "$tmp/data"
given pe-dataloader pack --input "$tmp/classes" --output "$tmp/labelled"
model="--model PE-Core-Test8-32 --threads 1" pe=$tmp/pe.safetensors
train="--train-data $tmp/data $model --global-batch-size 8 --slices 4 --steps 1 --logs $tmp/logs"
given pe-trainer $train --name base
given pe-evaluator export --weights "$tmp/logs/base/checkpoints/latest" $model --naming pe --output "$pe"

# All weights NaN: the header, then bytes of ones.
header=$((8 + $(od -An -tu4 -N4 "$pe")))
rest=$(($(stat -c %s "$pe") - header))
(head -c $header "$pe"; head -c $rest /dev/zero | tr '\0' '\377') > "$tmp/nan.safetensors"
nan="--weights $tmp/nan.safetensors $model --output $tmp/result"
printf 'a cat\na dog\n' > "$tmp/texts"
refused() { # RANKS WHAT COMMAND...: status 1, the words, and no file
    local n=$1 what=$2; shift 2
    rm -f "$tmp/result"
    says "$what: its feature is not finite" status 1 ranks "$n" "$@" && [ ! -e "$tmp/result" ]
}
for n in 1 3; do
    check "zeroshot_of_nan_on_$n" refused $n "text 0 a photo of a cat." \
        pe-evaluator zeroshot $nan --data "$tmp/labelled"
    check "retrieval_of_nan_on_$n" refused $n "sample 0" pe-evaluator retrieval $nan --data "$tmp/data"
    check "embed_of_nan_on_$n" refused $n "pictures/0000.jpg" pe-evaluator embed $nan --images "$tmp/pictures"
    check "texts_of_nan_on_$n" refused $n "text 0 a cat" pe-evaluator embed $nan --texts "$tmp/texts"
done

# One word no training text has is NaN; the validation's have it.
word=$tmp/word.safetensors zebra=22548 width=64
row=$(head -c $header "$pe" | grep -ao '"token_embedding.weight":{[^}]*"data_offsets":\[[0-9]*' | sed 's/.*\[//')
cp "$pe" "$word"
printf '\377\377\377\377' | dd of="$word" bs=1 conv=notrunc seek=$((header + row + zebra * width * 4)) status=none
mkdir "$tmp/zebras"
cp "$tmp"/pictures/000[02].jpg "$tmp/zebras"
echo 'a horse' > "$tmp/zebras/0000.txt"
echo 'a zebra' > "$tmp/zebras/0002.txt"
given pe-dataloader pack --input "$tmp/zebras" --output "$tmp/zebra-data"
zebras="--pretrained $word --val-data $tmp/zebra-data"
for n in 1 2; do
    check "validation_of_nan_on_$n" refused $n "text 1 a zebra" pe-trainer $train $zebras --name "nan$n"
done

# Takers that share a pass, over pictures and over videos.
"$BUILD"/test/make_clips "$tmp/clips" 6 || exit 1
given pe-dataloader pack --input "$tmp/clips" --output "$tmp/frames" --frames 3
videos() { FEATURES_DATA="$tmp/frames" ranks "$1" "$BUILD"/test/mpi/features; }
for n in 2 3; do check "passes_over_files_on_$n" ranks $n "$BUILD"/test/mpi/features; done
for n in 1 2 3; do check "passes_over_videos_on_$n" videos $n; done
finish
