#!/usr/bin/env bash
# What a run is and when it may go on: identity, the folder's lock, logs that hold each step once, states that nobody should have edited.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 90 || exit 1
"$BUILD"/test/make_pictures "$tmp/others" 96 || exit 1
rm -f "$tmp"/others/000[0-5].*
given pe-dataloader pack --input "$tmp/pictures" --output "$tmp/data" --samples-per-shard 16
given pe-dataloader pack --input "$tmp/others" --output "$tmp/others.data" --samples-per-shard 16
common="--train-data $tmp/data --model PE-Core-Test8-32 --global-batch-size 16 --steps 12 --warmup 4 --lr 3e-3 --threads 1 --save-frequency 0 --save-every-n-steps 3
    --keep-checkpoints 0 --log-every-n-steps 2 --logs $tmp/logs"
run() { echo "$tmp/logs/$1"; }
weights() { echo "$(run "$1")/checkpoints/step-00000012/model.safetensors"; }
copy() { rm -rf "$(run "$2")"; cp -r "$(run "$1")" "$(run "$2")"; rm -rf "$(run "$2")"/checkpoints/step-0000001* "$(run "$2")"/checkpoints/step-00000009; } # as if killed in step 8
pe-trainer $common --name base > "$tmp/base.log" 2>&1 || cat "$tmp/base.log"

# --- identity ---
changed() { # KEY OPTION...: resuming with these is refused, names the key, and writes nothing
    local key=$1; shift
    copy base other
    (cd "$(run other)" && find . -type f ! -name lock -exec cksum {} + | sort) > "$tmp/before"
    [ "$(wc -l < "$tmp/before")" -gt 5 ] || { echo "nothing to compare"; return 1; }
    status 2 pe-trainer $common --name other --resume latest "$@" > "$tmp/refused" 2>&1 || { cat "$tmp/refused"; return 1; }
    grep -q "made with $key " "$tmp/refused" || { echo "does not name $key"; cat "$tmp/refused"; return 1; }
    (cd "$(run other)" && find . -type f ! -name lock -exec cksum {} + | sort) | cmp - "$tmp/before"
}
check locked_tower_is_another_run changed lock-image --lock-image
check augmentation_is_part_of_a_run changed aug-scale-min --aug-scale-min 0.5
check upsampling_is_part_of_a_run changed train-data-upsampling-factors --train-data-upsampling-factors 1
check data_of_the_same_size_are_others changed train-data --train-data "$tmp/others.data"
check weights_it_started_from_are_part_of_a_run changed pretrained --pretrained "$(weights base)"
check length_is_part_of_a_run changed steps --steps 24
teacher="--distill-model PE-Core-Test8-32 --aug none"
pe-trainer $common $teacher --distill-pretrained "$(weights base)" --name taught --stop-after 6 > /dev/null 2>&1
other_teacher() {
    says "made with distill-pretrained " pe-trainer $common $teacher --distill-pretrained "$(run base)/checkpoints/step-00000003" --name taught --resume latest
}
check another_teacher_is_another_run other_teacher
dropped() { # what it learned from was given then and is not now
    pe-trainer $common --pretrained "$(weights base)" --name child --stop-after 3 > /dev/null 2>&1
    says "made with pretrained " pe-trainer $common --name child --resume latest && says "now it is none" pe-trainer $common --aug none --name taught --resume latest &&
        status 75 pe-trainer $common --name child --resume latest --resume-with pretrained --stop-after 3
}
check without_its_weights_or_teacher_it_is_another_run dropped

allowed() { # --resume-with: logged, kept in state.json; a key that is none is refused
    copy base longer
    says "nonsense: not part of a run's identity" pe-trainer $common --name longer --resume latest --resume-with nonsense || return 1
    says "resumed with another steps: 15 instead of 12" pe-trainer $common --name longer --resume latest --steps 15 --lr 1e-3 --resume-with steps,lr &&
        says '"key": "lr"' cat "$(run longer)/checkpoints/step-00000015/state.json" &&
        says "resumed with another lr: 0.001 instead of 0.003" cat "$(run longer)/out.log"
}
check differences_may_be_allowed allowed
slices() { # begun on 2 ranks; without --slices another number of ranks goes on with the checkpoint's
    ranks 2 pe-trainer $common --name sliced --stop-after 5
    [ $? -eq 75 ] && ranks 1 pe-trainer $common --name sliced --resume latest && ranks 2 pe-trainer $common --name sliced2 && same "$(weights sliced)" "$(weights sliced2)"
}
check slices_come_from_the_checkpoint slices
path() { # from a checkpoint given by its folder; later ones are superseded
    copy base chosen
    says "resumed at step 3" pe-trainer $common --name chosen --resume "$(run chosen)/checkpoints/step-00000003" && same "$(weights base)" "$(weights chosen)" &&
        [ -d "$(run chosen)/checkpoints/step-00000006.superseded" ] &&
        says "resumed at step 6" pe-trainer $common --name fresh --resume "$(run base)/checkpoints/step-00000006" && same "$(weights base)" "$(weights fresh)" &&
        says "a checkpoint of another run" pe-trainer $common --name chosen --resume "$(run base)/checkpoints/step-00000006" &&
        says "has been set aside" pe-trainer $common --name chosen --resume "$(run chosen)/checkpoints/step-00000006.superseded"
}
check resume_from_a_path path
relative() { # --logs and the folder as they are typed, a link, a slash at the end
    copy base near
    cd "$tmp" && says "resumed at step 6" pe-trainer $common --logs ./logs --name near --resume logs/near/../near/checkpoints/step-00000006/ --stop-after 1
    says "resumed at step 7" pe-trainer $common --logs logs --name near --resume logs/near/checkpoints/latest && same "$(weights base)" "$(weights near)"
}
check resume_from_a_relative_path relative
nothing_written() { # weights that do not fit are found out before there is a folder
    status 1 pe-trainer $common --name unfit --force-image-size 64 --pretrained "$(weights base)" && [ ! -e "$(run unfit)" ]
}
check refused_weights_leave_no_folder nothing_written
config() { # config.json starts the same run again
    pe-trainer --config "$(run base)/config.json" --name again && same "$(weights base)" "$(weights again)" && says '"lr": 0.003,' cat "$(run again)/config.json"
}
check config_starts_the_same_run_again config

# --- logs ---
once() { # killed in step 8, after its row was written: each row once, the same as undisturbed but for times
    copy base cut
    printf '{"step":7,"torn' >> "$(run cut)/metrics.jsonl"
    pe-trainer $common --name cut --resume latest || return 1
    steps() { sed -n 's/^{"step":\([0-9]*\),"split":"train","time":[0-9.]*,.*/\1/p' "$(run "$1")/metrics.jsonl"; }
    [ "$(steps cut | sort -u | wc -l)" -eq "$(steps cut | wc -l)" ] && [ "$(steps base)" = "$(printf '1\n2\n4\n6\n8\n10\n12')" ] && [ "$(steps cut | tail -1)" = 12 ]
}
check each_step_is_logged_once once
head_and_end() {
    head -1 "$(run base)/out.log" | grep -q "pe-trainer 0\..*--global-batch-size 16" && grep -q "1 ranks x 1 threads on $(uname -n) x 1" "$(run base)/out.log" || return 1
    pe-trainer $common --name sick --lr 10 --wd 10 --opt adamw --warmup 0 --beta2 0 --grad-clip-norm 0 --eps 0 > /dev/null 2>&1
    tail -1 "$(run sick)/out.log" | grep -q "ERROR.*not finite"
}
head_of_a_resumed_run() { # it comes before what is said of checkpoints
    grep -v "[0-9] . INFO . Train" "$(run chosen)/out.log" | grep -A 5 "INFO . pe-trainer.*--resume" | grep -q "superseded by going on"
}
check a_resumed_run_says_its_head_first head_of_a_resumed_run
check log_begins_with_the_command_and_ends_with_the_error head_and_end
warmup() { # once, whatever the ranks
    ranks 2 pe-trainer $common --name warm --steps 4 --warmup 4 > "$tmp/warm.log" 2>&1 && [ "$(grep -c "ends before its learning rate has reached" "$tmp/warm.log")" = 1 ] &&
        grep -q "ends before its learning rate" "$(run warm)/out.log"
}
check long_warmup_is_said warmup

# --- states ---
edited() { # SED SAYS: a state that was edited is refused, not believed
    copy base edited
    rm -rf "$(run edited)"/checkpoints/step-00000003
    sed -i -z "$1" "$(run edited)/checkpoints/step-00000006/state.json"
    status 1 pe-trainer $common --name edited --resume latest > "$tmp/edited" 2>&1 && grep -q "$2" "$tmp/edited" || { cat "$tmp/edited"; return 1; }
}
check negative_step_is_refused edited 's/"step": 6/"step": -5/' "edited or damaged"
check step_beyond_the_end_is_refused edited 's/"step": 6/"step": 1000000/' "edited or damaged"
check missing_optimizer_is_refused edited 's/,\n *"optimizer-[^\n]*//' "optimizer"
check all_damaged_stops_the_run edited 's/"format"/"fromat/' "none of 1 checkpoints is sound"

# --- one job a folder ---
locked() {
    pe-trainer $common --name busy --steps 100000 --save-every-n-steps 0 > "$tmp/busy.log" 2>&1 &
    local job=$!
    for _ in $(seq 500); do [ -e "$(run busy)/metrics.jsonl" ] && break; sleep 0.02; done
    says "a job is at work here already (host $(uname -n), pid $job)" pe-trainer $common --name busy --steps 100000 --save-every-n-steps 0 --resume latest
    local rc=$?
    # before it looks for anything else: what it finds now may be old when the folder is free
    says "a job is at work here already" pe-trainer $common --name busy --train-data "$tmp/none" --resume latest || rc=1
    kill -9 $job; wait $job 2> /dev/null
    [ $rc -eq 0 ] && status 75 pe-trainer $common --name busy --steps 100000 --save-every-n-steps 0 --resume latest --stop-after 1
}
check second_job_in_the_folder_is_refused locked
little_room() { (ulimit -v 8000000; pe-trainer $common --name room --steps 2); }
check little_address_space_is_enough little_room
finish
