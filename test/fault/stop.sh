#!/usr/bin/env bash
# A signal, from a program's first moment on, is answered at the next point where nothing is lost: status 75, and the
# same command goes on.  To have it come at a known moment, a file that the program reads is a pipe at first.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 90 || exit 1
given pe-dataloader pack --input "$tmp/pictures" --output "$tmp/data"

arm() { for pipe in "$@"; do mv "$pipe" "$pipe.whole" && mkfifo "$pipe"; done; }
reached() { exec {fd}> "$1"; } # FILE: wait until it is read
release() { # FILE: give its content, and leave it as it was
    cat "$1.whole" >&$fd
    mv "$1.whole" "$1"
    exec {fd}>&-
}
ended() { # PID: of the stop's status
    wait "$1"
    local status=$?
    [ $status -eq 75 ] || { echo "exit status $status"; cat "$tmp/log"; return 1; }
}
signalled() { # SIGNAL FILE COMMAND...: while the command reads the file
    local signal=$1 file=$2; shift 2
    arm "$file"
    "$@" > "$tmp/log" 2>&1 &
    local pid=$!
    reached "$file"
    kill -"$signal" $pid
    release "$file"
    ended $pid && grep -q "stopped" "$tmp/log"
}

# Packing: the shard at hand is given up, those that are done stay, and the end is what it would have been.
even() { printf '{"image": "pictures/%04d.jpg", "caption": "%d"}\n' $((2 * ($1 % 45))) "$1"; }
for i in $(seq 0 149); do even "$i"; done > "$tmp/list.jsonl"
cp "$tmp/pictures/0000.jpg" "$tmp/first.jpg"; cp "$tmp/pictures/0002.jpg" "$tmp/second.jpg"
sed -i -e '6s/[^"]*\.jpg/first.jpg/' -e '16s/[^"]*\.jpg/second.jpg/' "$tmp/list.jsonl"
pack="pe-dataloader pack --input $tmp/list.jsonl --samples-per-shard"
packed() { $pack 100 --output "$tmp/whole" && $pack 10 --output "$tmp/small"; }
check packed_undisturbed packed
given_up() {
    signalled "$1" "$tmp/first.jpg" $pack 100 --output "$tmp/$1" || return
    [ "$(ls "$tmp/$1")" = pack.json ] || { ls "$tmp/$1"; return 1; }
    $pack 100 --output "$tmp/$1" && diff -r "$tmp/whole" "$tmp/$1"
}
check pack_gives_up_its_shard_and_goes_on_after_USR1 given_up USR1
check pack_gives_up_its_shard_and_goes_on_after_TERM given_up TERM
together() { # rank 1 alone is asked; rank 0, held in its first shard meanwhile, takes no other
    arm "$tmp/first.jpg" "$tmp/second.jpg"
    local note='echo $$ > "$1.$OMPI_COMM_WORLD_RANK"; shift; exec "$@"'
    ranks 3 bash -c "$note" - "$tmp/pid" $pack 10 --output "$tmp/three" > "$tmp/log" 2>&1 &
    local pid=$!
    reached "$tmp/second.jpg"
    kill -USR1 "$(cat "$tmp/pid.1")"
    release "$tmp/second.jpg"
    sleep 1
    reached "$tmp/first.jpg"
    release "$tmp/first.jpg"
    ended $pid && [ ! -e "$tmp/three/shard-00003.json" ] && [ ! -e "$tmp/three/dataset.json" ] || return
    ranks 2 $pack 10 --output "$tmp/three" && diff -r "$tmp/small" "$tmp/three"
}
check ranks_stop_together together

# Whatever else takes time stops too, also while it starts.
data=$tmp/data/dataset.json run="--global-batch-size 8 --threads 1"
check verify_stops signalled USR1 "$data" pe-dataloader verify --data "$tmp/data"
check info_stops signalled TERM "$data" pe-dataloader info --data "$tmp/data"
check export_stops signalled USR1 "$data" pe-dataloader export --data "$tmp/data" --output "$tmp/tars"
left_nothing() { ! ls "$tmp"/tars/* 2> /dev/null; }
check export_leaves_no_part left_nothing
trains="pe-trainer --train-data $tmp/data --model PE-Core-Test8-32 $run --steps 5 --logs $tmp/logs --name early"
check trainer_stops_while_it_starts signalled USR1 "$data" $trains
check trainer_has_saved says "resumed at step 1" $trains --resume latest
model="--model PE-Core-Test8-32 --weights $tmp/logs/early/checkpoints/latest --threads 1 --output $tmp/out.file"
echo one > "$tmp/names"
check retrieval_stops signalled USR1 "$data" pe-evaluator retrieval $model --data "$tmp/data"
check zeroshot_stops signalled TERM "$data" pe-evaluator zeroshot $model --data "$tmp/data" --classnames "$tmp/names"
embed="pe-evaluator embed $model --batch-size 2"
check embedding_of_texts_stops signalled USR1 "$tmp/names" $embed --texts "$tmp/names"
mkdir "$tmp/few" && cp "$tmp"/pictures/000[024].jpg "$tmp/few"
check embedding_of_pictures_stops signalled USR1 "$tmp/few/0002.jpg" $embed --images "$tmp/few"
wrote_nothing() { [ ! -e "$tmp/out.file" ]; }
check evaluator_writes_nothing_then wrote_nothing
finish
