#!/usr/bin/env bash
# pe-evaluator questions killed or stopped at any moment: it goes on, on another number of ranks, asks each question once and ends with the same bytes.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pics" 12 64 || exit 1
echo '{"conversations": [{"from": "human", "value": "a"}, {"from": "assistant", "value": "b"}]}' > "$tmp/learn.jsonl"
pe-captioner train --train-data "$tmp/learn.jsonl" --plm-config test/cases/plm --tokenizer test/golden/bpe/tokenizer.json --global-batch-size 1 --steps 1 --lr 0 --warmup 0 --context 200 \
    --threads 1 --logs "$tmp/logs" --name plm > "$tmp/train.log" 2>&1 || cat "$tmp/train.log"
for i in $(seq 0 119); do
    file=$(printf '%04d' $((i % 12))) && [ $((i % 2)) -eq 0 ] && file=$file.jpg || file=$file.webp
    echo "{\"id\": $i, \"image\": \"pics/$file\", \"question\": \"What is $i?\", \"answers\": [\"x\"]}"
done > "$tmp/rows.jsonl"
questions="pe-evaluator questions --model $tmp/logs/plm/checkpoints/latest --data $tmp/rows.jsonl --task docvqa --max-tiles 2 --threads 1 --attempts 50"
so_far() { cat "$tmp/$1"/replies-rows-*.jsonl 2> /dev/null | wc -l; }
$questions --output "$tmp/whole.json" > "$tmp/whole.log" 2>&1 || cat "$tmp/whole.log"
whole() { same "$tmp/whole.json" "$tmp/$1.json" && same "$tmp/whole.replies.jsonl" "$tmp/$1.replies.jsonl" && [ "$(cat "$tmp/$1".job/replies-rows-*.jsonl | grep -c '"item":')" -eq 120 ]; }
killed() {
    local n job waited target=0
    for n in 2 1 3; do
        target=$((target + 25)) waited=0
        ranks $n $questions --output "$tmp/killed.json" > /dev/null 2>&1 &
        job=$!
        while kill -0 $job 2> /dev/null && [ "$(so_far killed.job)" -lt $target ] && [ $((waited += 1)) -lt 1000 ]; do sleep 0.01; done
        kill_tree $job
        [ -e "$tmp/killed.json" ] && { echo "run $n was not killed in time"; return 1; }
    done
    printf '{"item": 3, "torn' >> "$tmp/killed.job/replies-rows-00001.jsonl"
    ranks 2 $questions --output "$tmp/killed.json" && whole killed
}
check killed_three_times_each_question_once killed
stopped() {
    local job status
    mpirun --bind-to none -n 2 $questions --output "$tmp/stopped.json" > "$tmp/stopped.log" 2>&1 &
    job=$!
    for _ in $(seq 2000); do [ "$(so_far stopped.job)" -ge 10 ] && break; sleep 0.005; done
    kill -USR1 $(descendants $job | grep -vx $job)
    wait $job; status=$?
    [ $status -eq 75 ] && [ "$(so_far stopped.job)" -lt 120 ] || { echo "status $status"; cat "$tmp/stopped.log"; return 1; }
    $questions --output "$tmp/stopped.json" && whole stopped
}
check stopped_goes_on stopped
second() { # where another is at work: nothing of its is touched
    local job refused
    $questions --output "$tmp/first.json" > "$tmp/first.log" 2>&1 &
    job=$!
    for _ in $(seq 2000); do [ "$(so_far first.job)" -ge 1 ] && break; sleep 0.005; done
    kill -STOP $(descendants $job) # it holds its place, however long the second one takes to start
    status 2 $questions --output "$tmp/first.json" > /dev/null 2> "$tmp/second.log" && says "a job is at work here already (host " cat "$tmp/second.log"
    refused=$?
    kill -CONT $(descendants $job)
    wait $job && whole first && [ $refused -eq 0 ]
}
check second_beside_it_is_refused second
results_alone() { # rows are there, results are not: nothing is asked again
    rm "$tmp/killed.json" "$tmp/killed.replies.jsonl" && says "120 items, 0 of them to do" $questions --output "$tmp/killed.json" && whole killed
}
check results_made_again_from_rows results_alone
finish
