#!/usr/bin/env bash
# Data sets under a person's hands: many shards, little address space.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 200 || exit 1
given pe-dataloader pack --input "$tmp/pictures" --output "$tmp/many" --samples-per-shard 1
little_space() { # as batch systems limit it; AddressSanitizer itself takes more than that
    case "$BUILD" in *asan*) return 0 ;; esac
    (ulimit -v 4000000; says "200 samples in 200 shards, all sound" pe-dataloader verify --data "$tmp/many")
}
packed_in_little() { # the same bytes
    case "$BUILD" in *asan*) return 0 ;; esac
    (ulimit -v 4000000; pe-dataloader pack --input "$tmp/pictures" --output "$tmp/little" --samples-per-shard 1) &&
        diff -r "$tmp/many" "$tmp/little"
}
check packing_in_4_GB_of_address_space packed_in_little
check many_shards_in_4_GB_of_address_space little_space

# A pack does not write into what it reads, nor into another's folder.
printf '{"item":%d,"text":"words of sample %d"}\n' 0 0 1 1 2 2 > "$tmp/human.jsonl"
whole() { pe-dataloader verify --data "$tmp/many" | grep -q "200 samples in 200 shards"; }
ln -s many "$tmp/link"
into_its_input() { # by the path given, nothing is touched
    says "itself" pe-captioner pack --data "$tmp/many" --captions "$tmp" --output "$1" &&
        status 2 pe-captioner pack --data "$tmp/many" --captions "$tmp" --output "$1" && whole
}
check captions_into_their_own_data into_its_input "$tmp/many"
check captions_into_their_own_data_with_a_slash into_its_input "$tmp/many/"
check captions_into_their_own_data_by_a_link into_its_input "$tmp/link"
cd "$tmp" && check captions_into_their_own_data_by_a_relative_path into_its_input ./link/../many
check captions_elsewhere pe-captioner pack --data "$tmp/many" --captions "$tmp" --output "$tmp/new"
check captions_twice pe-captioner pack --data "$tmp/many" --captions "$tmp" --output "$tmp/new"
on_ranks() { # all captions of two data sets, some samples without; the same bytes from any number of ranks
    ranks "$1" pe-captioner pack --data "$tmp/many" "$tmp/new" --captions "$tmp" --keep all --output "$tmp/on$1" &&
        diff -r "$tmp/on1" "$tmp/on$1" && [ "$(wc -l < "$tmp/on$1/quarantine.jsonl")" -eq 200 ]
}
for n in 1 2 3; do check "captions_packed_on_${n}_ranks_are_identical" on_ranks $n; done
changed() { # one word of the captions is another one: that is another pack
    cp -r "$tmp/new" "$tmp/edited" && mkdir "$tmp/words" || return 1
    sed s/words/names/ "$tmp/human.jsonl" > "$tmp/words/human.jsonl"
    says "other inputs or options" pe-captioner pack --data "$tmp/many" --captions "$tmp/words" --output "$tmp/edited"
}
check other_captions_into_a_finished_pack changed
turned() { # rows of other data are known by their keys
    mkdir "$tmp/turned" && echo '{"item":7,"key":"another","text":"of another picture"}' > "$tmp/turned/human.jsonl" &&
        says 'human.jsonl: item 7 has key "another"' pe-captioner pack --data "$tmp/many" --captions "$tmp/turned" --output "$tmp/t"
}
check captions_of_other_data turned
by_an_editor() { # rows without keys; the edited file comes back with a mark, other line ends and an empty line
    local refine="--data $tmp/many --captions $tmp/edit"
    mkdir "$tmp/edit" && echo '{"item":7,"texts":[{"text":"red"}]}' > "$tmp/edit/captions.jsonl" &&
        pe-captioner refine-export $refine --output "$tmp/edit/out" && grep -q '"key": "", "caption": "red"' "$tmp/edit/out" &&
        { printf '\xef\xbb\xbf' && sed 's/"text": "red"/"text": "dark red"/; s/$/\r/' "$tmp/edit/out" && printf '\r\n'; } > "$tmp/edit/in" &&
        says "1 corrected captions taken" pe-captioner refine-import $refine --input "$tmp/edit/in" &&
        says "line 2: item 7 is there twice" pe-captioner refine-import $refine --input <(cat "$tmp/edit/out" "$tmp/edit/out" | sed 's/"text": "red"/"text": "x"/')
}
check captions_through_an_editor by_an_editor
check captions_into_another_pack says "other inputs or options" pe-captioner pack --data "$tmp/many" --captions "$tmp" \
    --output "$tmp/new" --keep all
check pack_into_its_own_input says "itself" pe-dataloader pack --input "$tmp/pictures" --output "$tmp/pictures/."
check pack_of_its_own_output status 1 pe-dataloader pack --input "$tmp/many" --output "$tmp/link"
foreign() { # another program's data set, or one whose pack.json is gone
    cp -r "$tmp/many" "$tmp/foreign" && rm "$tmp/foreign/pack.json"
    says "no pack.json" pe-dataloader pack --input "$tmp/pictures" --output "$tmp/foreign" --samples-per-shard 1 &&
        says "no pack.json" pe-captioner pack --data "$tmp/many" --captions "$tmp" --output "$tmp/foreign" &&
        cp "$tmp/many/pack.json" "$tmp/foreign" && diff -r "$tmp/many" "$tmp/foreign"
}
check pack_into_a_foreign_data_set foreign
check inputs_are_whole_still whole
finish
