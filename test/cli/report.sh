#!/usr/bin/env bash
# A report: one page with all that it needs inside; each section where its inputs are, the same bytes again; what is odd is an error that names it.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 24 || exit 1
"$BUILD"/test/make_sequences "$tmp/davis" || exit 1
given pe-dataloader pack --input "$tmp/pictures" --output "$tmp/data"
given pe-trainer --train-data "$tmp/data" --model PE-Core-Test8-32 --threads 1 --global-batch-size 8 --slices 1 --steps 6 --log-every-n-steps 1 --logs "$tmp/logs" --name "a<b"
model="--weights $tmp/logs/a<b/checkpoints/latest --model PE-Core-Test8-32 --threads 1"
mkdir -p "$tmp/classes/red & blue" "$tmp/classes/other" "$tmp/results"
i=0; for f in "$tmp"/pictures/*.jpg; do [ $((i++ % 3)) = 0 ] && cp "$f" "$tmp/classes/red & blue" || cp "$f" "$tmp/classes/other"; done
r=$tmp/results
pe-evaluator zeroshot $model --data "$tmp/classes" --keep-predictions --output "$r/zeroshot.json" > "$tmp/log" 2>&1 || cat "$tmp/log"
pe-evaluator retrieval $model --data "$tmp/data" --keep-predictions --output "$r/retrieval.json" > "$tmp/log" 2>&1 || cat "$tmp/log"
pe-evaluator track $model --data "$tmp/davis" --short-side 64 --layers all --masks "$tmp/masks" --output "$r/track.json" > "$tmp/log" 2>&1 || cat "$tmp/log"
pe-evaluator pca $model --images "$tmp/classes/other" --maps "$tmp/maps" --short-side 64 --output "$r/pca.json" > "$tmp/log" 2>&1 || cat "$tmp/log"

# Predictions that tasks keep say what the figures say.
kept() { # RESULT KEY: the share of rows at place 0
    local share
    share=$(tail -n +2 "$r/$1.predictions.jsonl" | awk -F'"place":' '{ n++; split($2, p, ","); hits += p[1] == 0 } END { printf "%.10f", hits / n }')
    awk -v a="$share" -v b="$(sed -n "s/^ *\"$2\": \([0-9.e-]*\),*\$/\1/p" "$r/$1.json")" 'BEGIN { print a, b; d = a - b; exit !(b != "" && d < 1e-9 && d > -1e-9) }'
}
check kept_classes_are_those_that_count kept zeroshot acc1
check kept_pictures_are_those_that_count kept retrieval image_retrieval_recall@1
rows() { [ "$(wc -l < "$r/zeroshot.predictions.jsonl")" = 13 ] && [ "$(wc -l < "$r/retrieval.predictions.jsonl")" = 49 ]; }
check a_row_a_sample_and_one_of_the_data rows
unasked() { pe-evaluator zeroshot $model --data "$tmp/classes" --output "$tmp/z.json" > /dev/null && [ ! -e "$tmp/z.predictions.jsonl" ]; }
check none_are_kept_unasked unasked

echo "{\"id\": 1, \"image\": \"../pictures/0000.jpg\", \"question\": \"What <i>is</i> it?\", \"reply\": \"A \\u0007disc\", \"answers\": [\"a disc\", \"disc\"], \"score\": 1}
{\"id\": 2, \"images\": [\"$tmp/pictures/0001.webp\"], \"question\": \"Where?\", \"reply\": \"here\", \"answers\": [\"there\"], \"score\": 0}" > "$r/vqa.replies.jsonl"
echo '{"dataset": "q", "model": "m", "pretrained": "p", "task": "vqa", "metrics": {"accuracy": 0.5, "stderr": 0.25, "samples": 2}, "language": "en"}' > "$r/vqa.json"
mkdir -p "$tmp/labels" "$tmp/photos"
cp "$tmp"/davis/JPEGImages/480p/ant/*.jpg "$tmp/photos" && cp "$tmp"/masks/layer-02/ant/*.png "$tmp/labels"
echo '{"images": [{"id": 4, "file_name": "00000.jpg", "width": 160, "height": 96}], "categories": [{"id": 1, "name": "ant & co"}],
    "annotations": [{"id": 1, "image_id": 4, "category_id": 1, "bbox": [10, 10, 50, 40], "area": 2000, "iscrowd": 0}]}' > "$tmp/truth.json"
echo '[{"image_id": 4, "category_id": 1, "bbox": [12, 10, 50, 40], "score": 0.875}, {"image_id": 4, "category_id": 1, "bbox": [100, 10, 20, 20], "score": 0.1}]' > "$tmp/boxes.json"
truth=$tmp/davis/Annotations/480p/ant
report() { # OUTPUT WORD...
    local out=$1; shift
    pe-evaluator report "$tmp/logs/a<b" "$r" --labels "$tmp/photos" "$tmp/labels" "$truth" --boxes "$tmp/photos" "$tmp/boxes.json" "$tmp/truth.json" \
        --tracks "$tmp/davis" "$tmp/masks/layer-02" --depth "$tmp/photos" "$tmp/depth" --examples 1 --output "$out" "$@"
}
# Depth from grey pictures of 16 bits: there is no tool for those here, but arrays are text and bytes.
mkdir "$tmp/depth" && { printf '\x93NUMPY\x01\x00\x76\x00'; printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }"; printf '\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40'; } > "$tmp/depth/00000.npy"
check all_sections report "$tmp/page.html"
has() { grep -qF -- "$1" "$tmp/page.html" || { echo "the page does not hold: $1"; return 1; }; }
for text in "The run a&lt;b" "<h3>Loss</h3>" "6 steps, 48 samples seen" "red &amp; blue" "What it finds for a text in data" "Questions of q and its replies" \
    "What &lt;i&gt;is&lt;/i&gt; it?" "✓ A $(printf '\xef\xbf\xbd')disc" "✗ here" "a disc / disc" "sees as alike" "layer 2" "Which pixel is of what" "ant &amp; co 0.88" \
    "F1 1.00" "Objects followed through videos" "predicted, frame 0" "truth, frame 0" "colours 1.00 to 4.00 m" "Following objects through videos" "0.10" \
    "guessing reaches 50" "first mask copied"; do
    check "holds_${text//[^a-zA-Z0-9]/_}" has "$text"
done
inside() { # nothing from elsewhere, no script, every picture a data URI, every element closed
    ! grep -qiE '<script|<link|<iframe|url\(|src="[^d]|href="[^d]|https?://' "$tmp/page.html" || { grep -oiE '.{30}(<script|<link|url\(|https?://).{60}' "$tmp/page.html"; return 1; }
    for tag in section figure svg div table dl p; do
        [ "$(grep -oE "<$tag[ >]" "$tmp/page.html" | wc -l)" = "$(grep -o "</$tag>" "$tmp/page.html" | wc -l)" ] || { echo "$tag is not closed"; return 1; }
    done
}
check nothing_from_elsewhere inside
small() { [ "$(stat -c %s "$tmp/page.html")" -lt 1000000 ]; }
check page_is_small small
again() { report "$tmp/again.html" && same "$tmp/page.html" "$tmp/again.html"; }
check same_bytes_again again
titled() { pe-evaluator report "$r/vqa.json" --title "A & B" --says "In <words>" --output "$tmp/t.html" && grep -q "<h1>A &amp; B</h1>" "$tmp/t.html" && grep -q "In &lt;words&gt;" "$tmp/t.html" && ! grep -q "The run" "$tmp/t.html"; }
check title_and_words titled
run_alone() { pe-evaluator report "$tmp/logs/a<b" --output "$tmp/t.html" && grep -q "<h1>A training run" "$tmp/t.html" && ! grep -q "All figures" "$tmp/t.html"; }
check a_run_alone run_alone

bad() { # WORDS STATUS WORD...: refused, and no page
    local words=$1 rc=$2; shift 2
    rm -f "$tmp/bad.html"
    says "$words" status "$rc" pe-evaluator report "$@" --output "$tmp/bad.html" && [ ! -e "$tmp/bad.html" ]
}
check nothing_is_refused bad "nothing to report" 2
check missing_file bad "$tmp/none.json" 1 "$tmp/none.json"
check empty_folder bad "neither a run (metrics.jsonl) nor results" 1 "$tmp/davis"
check other_json bad "neither a result" 1 "$tmp/truth.json"
echo '{"curves": [{"task": "t", "layers": [1, 2], "values": [1]}]}' > "$tmp/curves.json"
check short_curve bad "must be as long" 1 "$tmp/curves.json"
mkdir "$tmp/empty" && : > "$tmp/empty/metrics.jsonl"
check run_without_rows bad "no rows yet" 1 "$tmp/empty"
echo '{"loss": 1}' > "$tmp/empty/metrics.jsonl"
check run_of_other_rows bad 'metrics.jsonl: line 1: a row without "step"' 1 "$tmp/empty"
check two_words_for_three bad "takes PICTURES RESULTS.json TRUTH.json" 2 --boxes "$tmp/photos" "$tmp/boxes.json"
check pictures_that_are_not_there bad "no file goes with the prediction 00000.png" 1 --labels "$tmp/classes" "$tmp/labels"
sed 's/"image_id": 4/"image_id": 5/' "$tmp/boxes.json" > "$tmp/other.json"
check boxes_of_other_pictures bad "row 0 has no" 1 --boxes "$tmp/photos" "$tmp/other.json" "$tmp/truth.json"
mkdir "$tmp/moved" && cp "$r"/zeroshot* "$tmp/moved" && mv "$tmp/classes" "$tmp/classes2"
check data_that_moved bad "the data it speaks of cannot be read" 1 "$tmp/moved/zeroshot.json"
sed 's/"sample":[0-9]*/"sample":999/' "$r/zeroshot.predictions.jsonl" | sed "s|$tmp/classes|$tmp/classes2|" > "$tmp/moved/zeroshot.predictions.jsonl"
check data_that_changed bad "is it other data now?" 1 "$tmp/moved/zeroshot.json"
sed 's/"place":0/"place":1/' "$r/zeroshot.predictions.jsonl" > "$tmp/moved/zeroshot.predictions.jsonl"
check predictions_of_another_run bad "they are not of one run" 1 "$tmp/moved/zeroshot.json"
echo 'x' > "$tmp/moved/zeroshot.predictions.jsonl"
check broken_predictions bad "zeroshot.predictions.jsonl: line 1" 1 "$tmp/moved/zeroshot.json"
sed -i 's|../pictures/0000.jpg|../pictures/none.jpg|' "$r/vqa.replies.jsonl"
check picture_of_a_question bad "none.jpg" 1 "$r/vqa.json"
finish
