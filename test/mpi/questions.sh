#!/usr/bin/env bash
# pe-evaluator questions: a small Perception LM learns to answer and to caption, and is asked: the same replies and figures in any batch and on 1, 2 and 3 ranks; scored
# again without a model; options weighed; blind; pictures that are missing.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pics" 12 64 && "$BUILD"/test/make_clips "$tmp/clips" 2 || exit 1
n=0 short='\nAnswer the question using a single word or phrase.' letter="\\nAnswer with the option's letter from the given choices directly."
learn() { echo "{\"image\": \"$file\", \"conversations\": [{\"from\": \"human\", \"value\": \"$1\"}, {\"from\": \"assistant\", \"value\": \"$2\"}]}" >> "$tmp/learn.jsonl"; }
row() { echo "{\"id\": $n, \"image\": \"$file\", $2}" >> "$tmp/$1.jsonl"; n=$((n + 1)); }
for text in "$tmp"/pics/*.txt; do
    read -r _ colour shape < "$text"
    file=$(ls "${text%.txt}".jpg "${text%.txt}".webp 2> /dev/null) file=pics/${file##*/}
    case $colour in red) right=A ;; green) right=B ;; blue) right=C ;; *) right=D ;; esac
    learn "What colour?$short" "$colour" && row easyvqa "\"question\": \"What colour?\", \"answers\": [\"$colour\"], \"type\": \"colour\""
    learn "What shape?$short" "$shape" && row easyvqa "\"question\": \"What shape?\", \"answers\": [\"$shape\"], \"type\": \"shape\""
    learn "Which?\\nA. red\\nB. green\\nC. blue\\nD. yellow$letter" $right && row ai2d "\"question\": \"Which?\", \"options\": [\"red\", \"green\", \"blue\", \"yellow\"], \"answers\": [\"$colour\"]"
    learn "Describe the image briefly." "a $colour $shape." && row coco "\"answers\": [\"a $colour $shape\", \"a $shape in $colour\"]"
done
pe-captioner train --train-data "$tmp/learn.jsonl" --plm-config test/cases/plm --tokenizer test/golden/bpe/tokenizer.json --global-batch-size 12 --slices 1 --steps 240 --lr 4e-3 --warmup 10 \
    --max-tiles 0 --context 220 --threads 1 --logs "$tmp/logs" --name plm > "$tmp/train.log" 2>&1 || cat "$tmp/train.log"
questions="pe-evaluator questions --model $tmp/logs/plm/checkpoints/latest --max-tiles 0 --threads 1"
figure() { sed -n "s/.*\"$2\": \([0-9.]*\).*/\1/p" "$1"; }
over() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > b) }' || { echo "$1 is not over $2"; return 1; }; }

asked() { # TASK RANKS OPTION...
    local task=$1 n=$2; shift 2
    ranks "$n" $questions --data "$tmp/$task.jsonl" --task "$task" --output "$tmp/$task-$n.json" "$@" || return 1
    [ "$n" -eq 1 ] || { same "$tmp/$task-1.json" "$tmp/$task-$n.json" && same "$tmp/$task-1.replies.jsonl" "$tmp/$task-$n.replies.jsonl"; }
}
check questions asked easyvqa 1
check questions_on_2_ranks_in_other_batches asked easyvqa 2 --sequences 2 --rows 9
check questions_on_3_ranks asked easyvqa 3
seen() { over "$(figure "$tmp/easyvqa-1.json" exact_match)" 0.7 && over "$(figure "$tmp/easyvqa-1.json" exact_match_colour)" 0.6 && [ "$(figure "$tmp/easyvqa-1.json" samples)" = 24 ]; }
check replies_are_what_it_learned seen
check replies_say_all says '"question":"What colour?","prompt":"What colour?\nAnswer the question using a single word or phrase.","answers":["' head -1 "$tmp/easyvqa-1.replies.jsonl"
again() { # TASK METRIC OPTION...: every figure of score is in the results
    local replies="$tmp/$1-1.replies.jsonl" results="$tmp/$1-1.json" line; shift
    pe-evaluator score --metric "$@" --truth "$replies" --predictions "$replies" --output "$tmp/again.json" || return 1
    sed -n '/"metrics"/,/}/{/:/p}' "$tmp/again.json" | grep -v metrics | tr -d , > "$tmp/lines"
    [ "$(wc -l < "$tmp/lines")" -ge 5 ] || { echo "no figures"; return 1; }
    while read -r line; do grep -qF "$line" "$results" || { echo "$line is not in the results"; cat "$results"; return 1; }; done < "$tmp/lines"
}
check scored_again again easyvqa exact --exact-ignore-case
blind() { # what does not see knows no colour
    $questions --data "$tmp/easyvqa.jsonl" --task easyvqa --output "$tmp/blind.json" --blind "$1" && over 0.45 "$(figure "$tmp/blind.json" exact_match_colour)" && says "\"blind\": \"$1\"" cat "$tmp/blind.json"
    local status=$?
    rm -r "$tmp"/blind*
    return $status
}
check blind_grey blind grey
check blind_without_pictures blind none
check another_run_in_its_place_is_refused says "made with other data, model or options" $questions --data "$tmp/easyvqa.jsonl" --task easyvqa --output "$tmp/easyvqa-1.json" --prompts common

# Options: a generated letter, and each weighed.
check options asked ai2d 1
chosen() { over "$(figure "$tmp/ai2d-1.json" accuracy)" 0.6; }
check options_are_read chosen
weighed() { # WAY: the same on 1 and 3 ranks and in other batches
    rm -rf "$tmp"/ai2d-*
    asked ai2d 1 --choose "$1" && asked ai2d 3 --choose "$1" --sequences 3 --rows 11 && says '"likelihoods":[-' head -1 "$tmp/ai2d-1.replies.jsonl"
}
check options_weighed weighed likelihood
check options_weighed_are_right chosen
check options_weighed_scored_again again ai2d choice --choice-rule ai2d
likeliest() { # the reply is the letter of the largest
    sed 's/.*"reply":"\(.\)".*"likelihoods":\[\([^]]*\)\].*/\1 \2/' "$tmp/ai2d-1.replies.jsonl" | tr , ' ' |
        awk '{ best = 2; for (i = 3; i <= NF; i++) if ($i > $best) best = i; if (NF != 5 || substr("ABCD", best - 1, 1) != $1) exit 1 } END { exit NR != 12 }'
}
check reply_is_the_likeliest likeliest
check texts_of_options_weighed weighed text-likelihood
check reply_is_the_likeliest_text likeliest

# Captions.
check captions asked coco 1
check captions_on_2_ranks asked coco 2
check captions_scored_again again coco cider
check captions_are_what_it_learned over "$(figure "$tmp/coco-1.json" CIDEr)" 2
check one_full_stop_is_dropped says '"reply":"a ' grep -v '"reply":"[^"]*\."' "$tmp/coco-1.replies.jsonl"

# Several tasks at once; videos, frames, several pictures.
sed 's/^{/{"task": "easyvqa", /' "$tmp/easyvqa.jsonl" > "$tmp/mixed.jsonl" && sed 's/^{/{"task": "coco", /' "$tmp/coco.jsonl" >> "$tmp/mixed.jsonl"
mixed() { $questions --data "$tmp/mixed.jsonl" --output "$tmp/mixed-{task}.json" && same "$tmp/mixed-easyvqa.replies.jsonl" "$tmp/easyvqa-1.replies.jsonl" && same "$tmp/mixed-coco.replies.jsonl" "$tmp/coco-1.replies.jsonl"; }
check several_tasks_at_once mixed
mkdir "$tmp/frames" && cp "$tmp"/pics/000[0-4].jpg "$tmp/frames"
cat > "$tmp/mvbench.jsonl" << 'E'
{"id": "a", "video": "clips/0000.mp4", "start_time": 0.2, "end_time": 1, "question": "What?", "options": ["x", "y"], "answers": ["x"], "group": "first"}
{"id": "b", "video": "frames", "question": "What?", "options": ["x", "y"], "answers": ["y"], "group": "second"}
{"id": "c", "images": ["pics/0000.jpg", "pics/0002.jpg"], "question": "What?", "options": ["x", "y"], "answers": ["B"], "group": "second"}
E
check videos_frames_and_several_pictures asked mvbench 1 --frames 4
check videos_frames_and_several_pictures_on_2_ranks asked mvbench 2 --frames 4
check groups_have_their_figures says '"mean_per_group":' cat "$tmp/mvbench-1.json"

# What cannot be shown has no reply, and is counted.
{ cat "$tmp/easyvqa.jsonl" && echo '{"id": "gone", "image": "pics/none.jpg", "question": "?", "answers": ["x"]}' && echo '{"id": "torn", "image": "pics/0000.txt", "question": "?", "answers": ["x"]}'; } > "$tmp/lost.jsonl"
lost() {
    ranks 2 $questions --data "$tmp/lost.jsonl" --task easyvqa --output "$tmp/lost.json" > "$tmp/lost.log" 2>&1
    [ "$(figure "$tmp/lost.json" missing)" = 2 ] && [ "$(figure "$tmp/lost.json" samples)" = 26 ] && says "2 questions have no reply and count as wrong" cat "$tmp/lost.log" &&
        [ "$(wc -l < "$tmp/lost.job/replies-quarantine.jsonl")" -eq 2 ] && says 'question gone: ' grep '"id":"gone".*none.jpg: .*"score":0' "$tmp/lost.replies.jsonl"
}
check missing_pictures_are_counted lost
none() { # no figure at all, rather than one of 0
    head -2 "$tmp/easyvqa.jsonl" > "$tmp/none.jsonl"
    status 1 $questions --data "$tmp/none.jsonl" --task easyvqa --context 20 --output "$tmp/none.json" > "$tmp/none.log" 2>&1 && [ ! -e "$tmp/none.json" ] &&
        says "none of the 2 questions has a reply" $questions --data "$tmp/none.jsonl" --task easyvqa --context 20 --output "$tmp/none.json" && says "leaves no room" cat "$tmp/none.replies.jsonl"
}
check no_replies_are_no_figure none
scored_lost() { pe-evaluator score --metric exact --exact-ignore-case --truth "$tmp/lost.replies.jsonl" --predictions "$tmp/lost.replies.jsonl" --output "$tmp/again.json" && [ "$(figure "$tmp/again.json" missing)" = 2 ]; }
check missing_pictures_are_counted_again scored_lost
finish
