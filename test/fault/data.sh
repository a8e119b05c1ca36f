#!/usr/bin/env bash
# Truncated and damaged shards: an error that names the shard and what mends it, status 1 on every rank; then mended.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 90 || exit 1
pack="pe-dataloader pack --input $tmp/pictures --samples-per-shard 16"
given $pack --output "$tmp/data"
train="pe-trainer --model PE-Core-Test8-32 --global-batch-size 16 --slices 8 --steps 6 --warmup 1 --threads 1
    --logs $tmp/logs"
shard="$tmp/bad/shard-00001.lmdb"

spoil() { # how: the second shard in a copy of the data
    rm -rf "$tmp/bad" && cp -r "$tmp/data" "$tmp/bad" || return 1
    case $1 in
        truncated) truncate -s 8192 "$shard" ;;
        grown) truncate -s +4096 "$shard" ;;
        missing) rm "$shard" ;;
        record) # within the media of its first one
            local at; at=$(grep -abo PRec "$shard" | head -1 | cut -d: -f1)
            printf '\x7f\x01' | dd of="$shard" bs=1 seek=$((at + 100)) conv=notrunc 2> /dev/null ;;
        pages) # the header of every page but the first two
            local at size; size=$(stat -c %s "$shard")
            for ((at = 8192; at < size; at += 4096)); do
                printf '\xff%.0s' {1..16} | dd of="$shard" bs=1 seek=$at conv=notrunc 2> /dev/null
            done ;;
    esac
}
named() { # RANKS COMMAND...: status 1 and the shard's name
    local n=$1; shift
    ranks "$n" "$@" > "$tmp/named" 2>&1
    [ $? -eq 1 ] && grep -q "shard-00001.lmdb" "$tmp/named" && grep -q "run the same pack again" "$tmp/named" &&
        ! grep -qi "signal" "$tmp/named" || { cat "$tmp/named"; return 1; }
}
mended() { rm -f "$shard" "$tmp/bad/shard-00001.json" && $pack --output "$tmp/bad" && diff -r "$tmp/data" "$tmp/bad"; }
for how in truncated grown missing record pages; do
    spoil $how
    check "${how}_shard_is_found_by_verify" named 1 pe-dataloader verify --data "$tmp/bad"
    check "${how}_shard_is_found_by_verify_on_2_ranks" named 2 pe-dataloader verify --data "$tmp/bad"
    check "${how}_shard_stops_info" named 1 pe-dataloader info --data "$tmp/bad"
    check "${how}_shard_stops_training" named 1 $train --train-data "$tmp/bad" --name "$how-1"
    check "${how}_shard_stops_training_on_2_ranks" named 2 $train --train-data "$tmp/bad" --name "$how-2"
    check "${how}_shard_stops_validation" named 2 $train --train-data "$tmp/data" --val-data "$tmp/bad" --name "$how-3"
    check "${how}_shard_is_mended_by_packing_again" mended
done
trusting() { # what is damaged is then noticed record by record, and replaced
    spoil record
    says "replaced by sample" $train --train-data "$tmp/bad" --name trusting --steps 12 --verify-shards off &&
        status 1 pe-dataloader verify --data "$tmp/bad"
}
check shards_that_are_not_verified trusting

given pe-dataloader pack --input "$tmp/pictures" --output "$tmp/single" --samples-per-shard 1
singles="" # many shards, so that a signal comes in time on a fast machine too
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do singles="$singles $tmp/single"; done
for n in $(seq 0 1439); do echo "{\"item\":$n,\"text\":\"sample $n\"}"; done > "$tmp/human.jsonl"
ended() { # SIGNAL STATUS: on one rank, then the rest on two
    local pack="pe-captioner pack --data $singles --captions $tmp" pid
    rm -rf "$tmp/whole" "$tmp/part"
    $pack --output "$tmp/whole" > /dev/null 2>&1
    $pack --output "$tmp/part" > /dev/null 2>&1 &
    pid=$!
    for _ in $(seq 1000); do [ -e "$tmp/part/shard-00002.json" ] && break; sleep 0.003; done
    kill -"$1" $pid; wait $pid 2> /dev/null
    [ $? -eq "$2" ] && [ ! -e "$tmp/part/dataset.json" ] || { echo "did not end so, or in time"; return 1; }
    touch -d 2001-01-01 "$tmp/part/shard-00001.lmdb"
    ranks 2 $pack --output "$tmp/part" && diff -r "$tmp/whole" "$tmp/part" &&
        [ "$(stat -c %Y "$tmp/part/shard-00001.lmdb")" -lt 1000000000 ] # what was done is not done again
}
check killed_pack_of_captions_is_completed ended KILL 137
check stopped_pack_of_captions_is_completed ended USR1 75
finish
