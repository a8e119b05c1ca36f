#!/usr/bin/env bash
# The video data engine: a small Perception LM learns to caption clips, captions them, people correct, a language model sums up, the shards train the encoder.  The same
# weights and rows on 1, 2 and 4 ranks, stopped or killed on the way.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_clips "$tmp/clips" 24 || exit 1
mkdir "$tmp/told" && for t in "$tmp"/clips/*.txt; do cp "$t" "${t%.txt}".{mp4,json} "$tmp/told"; done
given pe-dataloader pack --input "$tmp/clips" --output "$tmp/all" --frames 4 --samples-per-shard 7
given pe-dataloader pack --input "$tmp/told" --output "$tmp/lessons" --frames 4 --quality 100

common="--train-data $tmp/lessons --plm-config test/cases/plm --tokenizer test/golden/bpe/tokenizer.json --global-batch-size 16 --slices 4 --frames 4 --context 200
    --lr 2e-3 --warmup 10 --drop-path 0.1 --threads 1 --logs $tmp/logs --steps 20"
weights() { echo "$tmp/logs/$1/checkpoints/step-00000020/model.safetensors"; }
pe-captioner train $common --name base > "$tmp/base.log" 2>&1 || cat "$tmp/base.log"
trained() { local name=$1 n=$2; shift 2; ranks "$n" pe-captioner train $common --name "$name" "$@" && same "$(weights base)" "$(weights "$name")"; }
check plm_on_2_ranks trained two 2
check plm_on_3_ranks_in_uneven_shares trained three 3
check plm_on_4_ranks_recomputed trained four 4 --grad-checkpointing --zero 0
resumed() { ranks 4 pe-captioner train $common --name parts --stop-after 7; [ $? -eq 75 ] && trained parts 2 --resume latest; }
check plm_stopped_on_4_goes_on_on_2 resumed

# Stages: only the projector moves in the first; conversations in JSONL, with videos and without, in the second.
check model_or_config_not_both says "give either --model" pe-captioner train $common --model "$tmp/logs/base/checkpoints/latest" --name none
common=${common/--plm-config test\/cases\/plm/--model $tmp/logs/base/checkpoints/latest}
pe-captioner train $common --stage projector --name warm > "$tmp/warm.log" 2>&1 || cat "$tmp/warm.log"
only_projector() {
    "$BUILD"/test/compare_tensors "$(weights base)" "$(weights warm)" > "$tmp/moved"
    [ $? -eq 1 ] && cat "$tmp/moved" && [ "$(wc -l < "$tmp/moved")" -eq 4 ] && [ "$(grep -c multi_modal_projector "$tmp/moved")" -eq 4 ]
}
check projector_stage_moves_the_projector_alone only_projector
cat > "$tmp/talk.jsonl" << 'E'
{"video": "told/0000.mp4", "start_time": 0.2, "end_time": 1.5, "conversations": [{"from": "human", "value": "<image>\nWhat moves?"}, {"from": "assistant", "value": "a shape"}, {"from": "human", "value": "Where?"}, {"from": "assistant", "value": "across"}]}
{"conversations": [{"from": "human", "value": "say <|eot_id|> as text"}, {"from": "assistant", "value": "fine"}]}
E
check conversations_in_jsonl ranks 2 pe-captioner train ${common/$tmp\/lessons/$tmp/talk.jsonl $tmp/lessons} --name talk
echo '{"conversations": []}' > "$tmp/empty.jsonl"
check conversation_without_turns_is_named says 'line 1: "conversations" needs' pe-captioner train ${common/$tmp\/lessons/$tmp/empty.jsonl} --name empty

pe-captioner train --train-data "$tmp/lessons" --plm-config test/cases/plm --tokenizer test/golden/bpe/tokenizer.json --global-batch-size 16 --steps 300 --frames 4 --context 200 \
    --lr 2e-3 --warmup 20 --logs "$tmp/logs" --name good > "$tmp/good.log" 2>&1 || cat "$tmp/good.log"
model="$tmp/logs/good/checkpoints/latest"
engine="--model $model --frames 4 --max-new-tokens 24 --threads 1"
caption="pe-captioner caption $engine --frame-captions 2 --sequences 4 --rows 64"
texts() { sed 's/.*"texts":\[{[^}]*"text":"\([^"]*\)".*/\1/' "$1"; }
learned() { # captions of the lessons are those it was taught, all but one at most
    $caption --data "$tmp/lessons" --output "$tmp/learned" || return 1
    paste -d'|' <(texts "$tmp/learned/captions.jsonl") <(cat "$tmp"/told/*.txt) | awk -F'|' '{ n++; right += $1 == $2 } END { print right, "of", n; exit n < 18 || right < n - 1 }'
}
check captions_are_those_it_learned learned

given $caption --data "$tmp/all" --output "$tmp/one"
captioned() { local n=$1; shift; ranks "$n" $caption --data "$tmp/all" --output "$tmp/rows$n" "$@" && same "$tmp/one/captions.jsonl" "$tmp/rows$n/captions.jsonl"; }
check captions_on_2_ranks captioned 2
check captions_on_4_ranks_in_other_batches captioned 4 --sequences 2 --rows 9
check rows_say_where_they_come_from says '"model":"' head -1 "$tmp/one/captions.jsonl"
check other_options_are_refused says "made with other data, model or options" $caption --data "$tmp/all" --output "$tmp/one" --seed 5

# Killed at any moment, on any number of ranks: each item once.
many="$tmp/all $tmp/all $tmp/all $tmp/all"
rows_so_far() { cat "$tmp"/killed/captions-rows-*.jsonl 2> /dev/null | wc -l; }
killed() {
    local n job waited target=0
    for n in 2 1 4 2; do
        target=$((target + 18)) waited=0
        ranks $n $caption --data $many --attempts 50 --output "$tmp/killed" > /dev/null 2>&1 &
        job=$!
        while kill -0 $job 2> /dev/null && [ "$(rows_so_far)" -lt $target ] && [ $((waited += 1)) -lt 500 ]; do sleep 0.02; done
        kill_tree $job
        [ $n -eq 1 ] && [ "$(rows_so_far)" -ge 96 ] && { echo "the second run was not killed in time"; return 1; }
    done
    printf '{"item": 3, "torn' >> "$tmp/killed/captions-rows-00001.jsonl"
    ranks 2 $caption --data $many --attempts 50 --output "$tmp/killed" || return 1
    $caption --data $many --attempts 50 --output "$tmp/whole" && same "$tmp/whole/captions.jsonl" "$tmp/killed/captions.jsonl" || return 1
    [ "$(cat "$tmp"/killed/captions-rows-*.jsonl | grep -c '"item":')" -eq 96 ] && [ "$(wc -l < "$tmp/killed/captions.jsonl")" -eq 96 ]
}
check killed_four_times_each_item_once killed
late() { # rank 1 sleeps while rank 0 does all that it can: it is still answered, and finishes what it had
    local pid="" p job waited=0 begun="$tmp/late/captions-begun-00001.jsonl"
    timeout 60 mpirun --bind-to none -n 2 $caption --data $many --output "$tmp/late" > /dev/null 2>&1 &
    job=$!
    while [ ! -s "$begun" ] && [ $((waited += 1)) -lt 5000 ]; do sleep 0.002; done
    for p in $(descendants $job); do
        tr '\0' '\n' < "/proc/$p/environ" | grep -q '^OMPI_COMM_WORLD_RANK=1$' && pid=$p
    done
    kill -STOP "$pid" && [ "$(cat "$tmp"/late/captions-rows-*.jsonl | wc -l)" -lt 96 ] || { echo "rank 1 was not stopped in time"; return 1; }
    sleep 5
    kill -CONT "$pid" && wait $job && [ "$(wc -l < "$tmp/late/captions.jsonl")" -eq 96 ]
}
check rank_that_comes_late_is_answered late
begun() { cat "$1"/*-begun-*.jsonl 2> /dev/null | wc -l; }
stopped() { # FOLDER COMMAND...: a signal once some items are begun: status 75; one attempt is all an item has, and it is not used up
    local out=$1 job status; shift
    mpirun --bind-to none -n 2 "$@" --attempts 1 --output "$out" > "$tmp/stopped.log" 2>&1 &
    job=$!
    for _ in $(seq 3000); do [ "$(begun "$out")" -ge 8 ] && break; sleep 0.002; done
    kill -USR1 $(descendants $job | grep -vx $job)
    wait $job; status=$?
    [ $status -eq 75 ] && [ "$(cat "$out"/*-rows-*.jsonl | wc -l)" -lt 96 ] || { echo "status $status"; cat "$tmp/stopped.log"; return 1; }
    "$@" --attempts 1 --output "$out" && [ ! -s "$(ls "$out"/*-quarantine.jsonl)" ]
}
stopped_captions() { stopped "$tmp/signal" $caption --data $many && same "$tmp/whole/captions.jsonl" "$tmp/signal/captions.jsonl"; }
check stopped_captions_count_no_attempt stopped_captions
deadly() { # an item begun by three runs and finished by none; another that was put back
    mkdir -p "$tmp/deadly" && cp "$tmp/one/captions.json" "$tmp/deadly" && printf '5\n5\n6\n6\n5\n6\n-7\n' > "$tmp/deadly/captions-begun-00000.jsonl"
    $caption --data "$tmp/all" --output "$tmp/deadly" && says '"item":5' cat "$tmp/deadly/captions-quarantine.jsonl" && [ "$(wc -l < "$tmp/deadly/captions-quarantine.jsonl")" -eq 1 ]
}
check deadly_item_is_quarantined deadly
given pe-dataloader pack --input "$tmp/told" --output "$tmp/files" --video file --samples-per-shard 7
slow() { # every clip takes longer than a microsecond: all are tried again, and none is lost
    $caption --data "$tmp/files" --output "$tmp/slow" --video-seconds 1e-6 --attempts 2 &&
        says "tried 2 times: " grep "took longer than 1e-06 s" "$tmp/slow/captions-quarantine.jsonl" && [ "$(wc -l < "$tmp/slow/captions-quarantine.jsonl")" -eq "$(ls "$tmp"/told/*.mp4 | wc -l)" ]
}
check slow_item_is_tried_again_then_quarantined slow

damaged() { # a shard that is damaged as a whole ends the run on all ranks: its items are not given up one by one
    cp -r "$tmp/all" "$tmp/broken"
    printf X | dd of="$tmp/broken/shard-00001.lmdb" bs=1 seek=5000 conv=notrunc 2> /dev/null
    status 1 ranks 2 $caption --data "$tmp/broken" --output "$tmp/unwhole" && [ ! -e "$tmp/unwhole/captions.jsonl" ]
}
check damaged_shard_ends_captioning damaged

# People correct some; the language model sums up; what is best goes into shards.
data="--data $tmp/all --captions $tmp/one"
edited() {
    pe-captioner refine-export $data --output "$tmp/edit.jsonl" && sed -i '2s/"text": "[^"]*"/"text": "corrected by hand"/' "$tmp/edit.jsonl" &&
        says "1 corrected captions taken, 1 in all" pe-captioner refine-import $data --input "$tmp/edit.jsonl"
}
check corrections_go_out_and_in edited
echo '{"item": 1, "key": "x", "text": "y"}' > "$tmp/wrong.jsonl"
check wrong_file_is_refused says 'not "x"' pe-captioner refine-import $data --input "$tmp/wrong.jsonl"
summary="pe-captioner summarize $data --model $model --max-new-tokens 12 --threads 1 --template $tmp/template.txt"
echo 'Keywords: {keywords}. Seen: {video_caption}. Frames: {frame_captions}. {not a field} Caption:' > "$tmp/template.txt"
summed() { ranks "$1" $summary --output "$tmp/sum$1" && same "$tmp/sum1/summaries.jsonl" "$tmp/sum$1/summaries.jsonl"; }
ranks 1 $summary --output "$tmp/sum1" > "$tmp/sum.log" 2>&1 || cat "$tmp/sum.log"
check summaries_on_2_ranks summed 2
check summaries_on_4_ranks summed 4
recaptioned() { # other captions than the summaries in this folder were made from
    mkdir -p "$tmp/recaptioned" && sed 's/"text":"[^"]*"/"text":"all new"/' "$tmp/one/captions.jsonl" > "$tmp/recaptioned/captions.jsonl"
    says "data, model or options (captions)" ${summary/--captions $tmp\/one/--captions $tmp/recaptioned} --output "$tmp/sum1"
}
check summaries_of_other_captions_are_refused recaptioned
stopped_summaries() {
    local all=${summary/--data $tmp\/all/--data $many}
    all=${all/--captions $tmp\/one/--captions $tmp/whole}
    stopped "$tmp/signal-sums" ${all/--max-new-tokens 12/--max-new-tokens 48} && [ "$(wc -l < "$tmp/signal-sums/summaries.jsonl")" -eq 96 ]
}
check stopped_summaries_count_no_attempt stopped_summaries
check bf16_weights $summary --output "$tmp/sum16" --weights bf16
check int8_weights $summary --output "$tmp/sum8" --weights int8
check rows_say_how_weights_were_kept says '-int8","' head -1 "$tmp/sum8/summaries.jsonl"
cp "$tmp"/sum1/summaries.jsonl "$tmp/one"
packed() {
    says "1 by a person" pe-captioner pack $data --output "$tmp/shards" && pe-dataloader verify --data "$tmp/shards" &&
        says "caption: corrected by hand" pe-dataloader info --data "$tmp/shards" --sample 1
}
check best_captions_are_packed packed
check shards_train_the_encoder pe-trainer --train-data "$tmp/shards" --model PE-Core-Test8-32 --global-batch-size 8 --steps 2 --frames 4 --threads 1 --logs "$tmp/logs" --name encoder
check a_language_model_cannot_see says "without vision" pe-captioner caption --data "$tmp/all" --model test/golden/llama/tied --tokenizer test/golden/bpe --output "$tmp/blind"
finish
