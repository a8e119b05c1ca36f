#!/usr/bin/env bash
# Stopped, killed, torn, out of disk: what is resumed ends bit-identical to the run that nothing disturbed.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 90 || exit 1
given pe-dataloader pack --input "$tmp/pictures" --output "$tmp/data" --samples-per-shard 16
common="--train-data $tmp/data --model PE-Core-Test8-32 --global-batch-size 16 --slices 8 --steps 24 --warmup 4 --lr 3e-3 --threads 1
    --save-frequency 0 --save-every-n-steps 3 --keep-checkpoints 0 --logs $tmp/logs"
weights() { echo "$tmp/logs/$1/checkpoints/step-00000024/model.safetensors"; }
pe-trainer $common --name base > "$tmp/base.log" 2>&1 || cat "$tmp/base.log"
resumed() { ranks "$2" pe-trainer $common --name "$1" --resume latest && same "$(weights base)" "$(weights "$1")"; }

killed() { # NAME RANKS STEPS RANKS_AFTER: kill -9 everything once the checkpoint of step STEPS is there
    mpirun --bind-to none -n "$2" pe-trainer $common --name "$1" > "$tmp/killed.log" 2>&1 &
    local pid=$!
    for _ in $(seq 600); do [ -d "$tmp/logs/$1/checkpoints/step-$(printf %08d "$3")" ] && break; sleep 0.02; done
    kill_tree $pid
    resumed "$1" "$4"
}
check killed_on_2_ranks_resumed_on_1 killed k21 2 3 1
check killed_on_1_rank_resumed_on_4 killed k14 1 9 4
check killed_on_4_ranks_resumed_on_2 killed k42 4 15 2
stopped() { # a signal: exit 75 after saving, then on another number of ranks
    ranks 2 pe-trainer $common --name "$1" --stop-after 7
    [ $? -eq 75 ] || return 1
    resumed "$1" 1
}
check stopped_with_status_75_and_resumed stopped stop
signalled() {
    pe-trainer $common --name sig --steps 24 > "$tmp/sig.log" 2>&1 &
    local pid=$!
    for _ in $(seq 600); do [ -d "$tmp/logs/sig/checkpoints/step-00000003" ] && break; sleep 0.01; done
    kill -"$1" $pid; wait $pid
    local status=$?
    [ $status -eq 75 ] || [ $status -eq 0 ] || { echo "status $status"; cat "$tmp/sig.log"; return 1; }
    resumed sig 2
}
check signal_USR1_saves_and_resumes signalled USR1

torn() { # the newest checkpoint is damaged: one byte flipped in its weights; the one before it is used, with a warning
    cp -r "$tmp/logs/base" "$tmp/logs/torn"
    printf X | dd of="$tmp/logs/torn/checkpoints/step-00000024/model.safetensors" bs=1 seek=5000 conv=notrunc 2>/dev/null
    pe-trainer $common --name torn --resume latest > "$tmp/torn.log" 2>&1 || { cat "$tmp/torn.log"; return 1; }
    grep -q "checkpoint skipped" "$tmp/torn.log" && grep -q "resumed at step 21" "$tmp/torn.log" && same "$(weights base)" "$(weights torn)"
}
check damaged_checkpoint_is_skipped torn
kept() { # with one to keep, a checkpoint written beside a newer, damaged one stays, and is what the run goes on from
    cp -r "$tmp/logs/base" "$tmp/logs/kept"
    rm -rf "$tmp/logs/kept/checkpoints/step-00000024"
    printf X | dd of="$tmp/logs/kept/checkpoints/step-00000021/model.safetensors" bs=1 seek=5000 conv=notrunc 2>/dev/null
    pe-trainer $common --name kept --resume latest --keep-checkpoints 1 --save-every-n-steps 0 --stop-after 1
    [ $? -eq 75 ] && [ -d "$tmp/logs/kept/checkpoints/step-00000019" ] && [ ! -d "$tmp/logs/kept/checkpoints/step-00000018" ] &&
        says "resumed at step 19" pe-trainer $common --name kept --resume latest --keep-checkpoints 1 && same "$(weights base)" "$(weights kept)"
}
check checkpoint_beside_a_newer_damaged_one_is_kept kept
full_disk() { # files may not grow beyond 1 MB: the save fails, names the file, leaves nothing half-written, keeps what was there
    cp -r "$tmp/logs/stop" "$tmp/logs/full"
    rm -rf "$tmp/logs/full/checkpoints/step-00000"0{09,12,15,18,21,24}
    (ulimit -f 1024; pe-trainer $common --name full --resume latest) > "$tmp/full.log" 2>&1
    [ $? -eq 1 ] && grep -q "cannot write" "$tmp/full.log" && [ -z "$(find "$tmp/logs/full/checkpoints" -name '*.tmp')" ] &&
        [ -d "$tmp/logs/full/checkpoints/step-00000007" ] && resumed full 1
}
check full_disk_while_saving full_disk
other_options() { says "resume with the same" pe-trainer $common --name base --resume latest --lr 1e-3; }
check resume_with_other_options_is_refused other_options

pack_killed() {
    "$BUILD"/test/make_pictures "$tmp/many" 5000
    pe-dataloader pack --input "$tmp/many" --output "$tmp/whole" --samples-per-shard 100 > /dev/null 2>&1
    pe-dataloader pack --input "$tmp/many" --output "$tmp/part" --samples-per-shard 100 > /dev/null 2>&1 &
    local pid=$!
    for _ in $(seq 300); do [ -e "$tmp/part/shard-00002.json" ] && break; sleep 0.01; done
    kill -9 $pid; wait $pid 2>/dev/null
    [ ! -e "$tmp/part/dataset.json" ] || { echo "was not killed in time"; return 1; }
    ranks 2 pe-dataloader pack --input "$tmp/many" --output "$tmp/part" --samples-per-shard 100 && diff -r "$tmp/whole" "$tmp/part"
}
check killed_pack_is_completed pack_killed
flipped() {
    cp -r "$tmp/data" "$tmp/bad"
    printf '\x7f' | dd of="$tmp/bad/shard-00001.lmdb" bs=1 seek=$1 conv=notrunc 2>/dev/null
    cmp -s "$tmp/data/shard-00001.lmdb" "$tmp/bad/shard-00001.lmdb" && return 0 # that byte was it already
    status 1 pe-dataloader verify --data "$tmp/bad"
}
check verify_finds_a_flipped_byte_of_a_record flipped 9000
check verify_finds_a_flipped_byte_of_a_page_header flipped 8195
nan() { # weights that are not finite stop the run with step and samples
    says "not finite" pe-trainer $common --name nan --lr 10 --wd 10 --opt adamw --warmup 0 --beta2 0 --grad-clip-norm 0 --eps 0
}
check loss_that_is_not_finite_stops nan
finish
