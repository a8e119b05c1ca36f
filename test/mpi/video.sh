#!/usr/bin/env bash
# Videos from files to shards, through the trainer and the evaluator: the same on any number of ranks, frames or files, alone or mixed with pictures.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_clips "$tmp/clips" 24 || exit 1
"$BUILD"/test/make_pictures "$tmp/pictures" 30 || exit 1
given pe-dataloader pack --input "$tmp/pictures" --output "$tmp/images"

frames="pe-dataloader pack --input $tmp/clips --samples-per-shard 5 --frames 4 --resize 48 --quality 95"
$frames --output "$tmp/frames" > "$tmp/pack.log" 2>&1
packed_on() { ranks "$1" $frames --output "$tmp/frames$1" && diff -r "$tmp/frames" "$tmp/frames$1"; }
check frames_on_4_ranks_are_identical packed_on 4
check frames_have_their_times says "frames at 0.000 s, 0.600 s, 1.200 s, 1.900 s" pe-dataloader info --data "$tmp/frames" --sample 0
check uncaptioned_videos_are_kept says "24 as frames (96 of them)" pe-dataloader info --data "$tmp/frames"
check frames_verify pe-dataloader verify --data "$tmp/frames"
check files_are_kept_whole pe-dataloader pack --input "$tmp/clips" --output "$tmp/files" --video file
exported() { pe-dataloader export --data "$tmp/files" --output "$tmp/tars" && tar xOf "$tmp/tars/00000.tar" 000000000.mp4 | cmp - "$tmp/clips/0000.mp4"; }
check files_come_out_as_they_went_in exported
repacked() { pe-dataloader pack --input "$tmp/tars" --output "$tmp/again" --frames 4 && says "24 as frames" pe-dataloader info --data "$tmp/again"; }
check tars_of_videos_are_read repacked

# A PE-Video row prefers what a person wrote; a manifest may cut.
mkdir "$tmp/pvd" && cp "$tmp/clips/0003.mp4" "$tmp/pvd/7.mp4"
echo '{"human_caption": "by hand", "model_caption": "by machine", "keywords": ["k"]}' > "$tmp/pvd/7.json"
tar cf "$tmp/pvd.tar" -C "$tmp/pvd" 7.mp4 7.json
human() { pe-dataloader pack --input "$tmp/pvd.tar" --output "$tmp/pvd-data" > /dev/null && says "caption: by hand" pe-dataloader info --data "$tmp/pvd-data" --sample 0; }
check human_caption_comes_first human
echo '{"video": "clips/0000.mp4", "caption": "cut", "start_time": 0.5, "end_time": 1.0}' > "$tmp/cut.jsonl"
cut_to() { pe-dataloader pack --input "$tmp/cut.jsonl" --output "$tmp/cut-data" --frames 2 > /dev/null && says "frames at 0.500 s, 0.900 s" pe-dataloader info --data "$tmp/cut-data" --sample 0; }
check start_and_end_cut_a_video cut_to

# What cannot be used is named, with its reason; the rest is packed.
mkdir "$tmp/bad" && cp "$tmp"/clips/000[0-4].mp4 "$tmp/bad"
head -c 3000 "$tmp/clips/0000.mp4" > "$tmp/bad/short.mp4"; : > "$tmp/bad/empty.mp4"; echo 'no film' > "$tmp/bad/text.avi"
quarantined() {
    pe-dataloader pack --input "$tmp/bad" --output "$tmp/bad-data" --max-bad-fraction 0.5 > /dev/null || return 1
    [ "$(wc -l < "$tmp/bad-data/quarantine.jsonl")" -eq 3 ] && for key in short empty text; do grep -q "\"key\": *\"$key\".*reason\|\"key\":\"$key\".*reason" "$tmp/bad-data/quarantine.jsonl" || return 1; done
}
check bad_videos_are_quarantined quarantined

# A playlist under a video's name, or a name that FFmpeg takes for a list, leads nowhere (test/unit/video.c watches).
mkdir "$tmp/lists" && printf "ffconcat version 1.0\nfile '%s'\n" "$tmp/clips/0000.mp4" > "$tmp/lists/list.mp4"
tar cf "$tmp/list.tar" -C "$tmp/lists" list.mp4
echo "{\"video\": \"concat:$tmp/clips/0000.mp4\"}" > "$tmp/list.jsonl"
leads_nowhere() {
    pe-dataloader pack --input "$tmp/lists" "$tmp/list.tar" "$tmp/list.jsonl" "$tmp/clips" --output "$tmp/listed" \
        --max-bad-fraction 0.5 || return
    [ "$(grep -c 'list\.tar\|list\.jsonl\|lists' "$tmp/listed/quarantine.jsonl")" -eq 3 ] || return
    says "24 as frames" pe-dataloader info --data "$tmp/listed"
}
check playlists_lead_to_no_other_file leads_nowhere

# The trainer takes only samples with captions.
mkdir "$tmp/told" && for t in "$tmp"/clips/*.txt; do cp "$t" "${t%.txt}.mp4" "$tmp/told"; done
given pe-dataloader pack --input "$tmp/told" --output "$tmp/told-frames" --frames 4 --quality 100
given pe-dataloader pack --input "$tmp/told" --output "$tmp/told-files" --video file
common="--model PE-Core-Test8-32 --global-batch-size 16 --slices 4 --steps 6 --warmup 2 --lr 3e-3 --threads 1 --frames 4 --save-frequency 0 --logs $tmp/logs"
weights() { echo "$tmp/logs/$1/checkpoints/step-00000006/model.safetensors"; }
pe-trainer $common --train-data "$tmp/told-frames" "$tmp/images" --train-data-upsampling-factors 1.5 0.5 --name mixed > "$tmp/mixed.log" 2>&1 || cat "$tmp/mixed.log"
trained() { local n=$1; shift; ranks "$n" pe-trainer $common --name "mixed$n" "$@" && same "$(weights mixed)" "$(weights "mixed$n")"; }
check mixture_on_2_ranks_is_identical trained 2 --train-data "$tmp/told-frames" "$tmp/images" --train-data-upsampling-factors 1.5 0.5 --grad-cache
check mixture_on_4_ranks_is_identical trained 4 --train-data "$tmp/told-frames" "$tmp/images" --train-data-upsampling-factors 1.5 0.5 --mask-weight 0
check training_on_files pe-trainer $common --train-data "$tmp/told-files" --name files
check epoch_follows_the_factors says "(2.3 epochs)" cat "$tmp/mixed.log"
check factors_must_match says "2 upsampling factors for 1 data sets" pe-trainer $common --train-data "$tmp/told-files" --train-data-upsampling-factors 1 2 --name none

model="--weights $tmp/logs/mixed/checkpoints/latest --model PE-Core-Test8-32 --threads 1 --frames 4"
retrieved() { ranks "$1" pe-evaluator retrieval $model --data "$tmp/told-frames" --batch-size "$2" --output "$tmp/r$1.json"; }
check video_retrieval retrieved 1 64
same_on() { retrieved "$1" "$2" && same "$tmp/r1.json" "$tmp/r$1.json"; }
check video_retrieval_on_2_ranks same_on 2 5
averaged() { pe-evaluator retrieval $model --data "$tmp/told-frames" --frame-average raw --output "$tmp/raw.json"; }
check raw_average averaged
finish
