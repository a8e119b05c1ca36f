#!/usr/bin/env bash
# Data sets under a person's hands: many shards, little address space.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 200 || exit 1
pe-dataloader pack --input "$tmp/pictures" --output "$tmp/many" --samples-per-shard 1 > /dev/null 2>&1
little_space() { # as batch systems limit it; AddressSanitizer itself takes more than that
    case "$BUILD" in *asan*) return 0 ;; esac
    (ulimit -v 4000000; says "200 samples in 200 shards, all sound" pe-dataloader verify --data "$tmp/many")
}
check many_shards_in_4_GB_of_address_space little_space
finish
