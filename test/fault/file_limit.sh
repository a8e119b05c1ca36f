#!/usr/bin/env bash
# A file-size limit (ulimit -f) is a failed write that names the file, with status 1: never a death by SIGXFSZ (153),
# never success, and nothing half-written stays.  Output goes through a pipe, which has no limit.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 60 || exit 1
given pe-dataloader pack --input "$tmp/pictures" --output "$tmp/data"
failed_at() { # FILE: the output at hand tells of an error there, and of status 1
    grep -q "^status 1\$" "$tmp/said" && grep -q "error: .*$1" "$tmp/said" || { cat "$tmp/said"; return 1; }
}
limited() { # KIB FILE COMMAND...: the command may write so many KiB to a file, and fails because of FILE
    local limit=$1 file=$2; shift 2
    { (ulimit -f "$limit" && exec "$@") 2>&1; echo "status $?"; } | cat > "$tmp/said"
    failed_at "$file" || return
    [ -z "$(find "$tmp" -name '*.tmp')" ] || { find "$tmp" -name '*.tmp'; return 1; }
}
pack="pe-dataloader pack --input $tmp/pictures --output"
check pack_of_a_shard limited 20 "one/shard-00000.lmdb" $pack "$tmp/one"
check pack_from_the_first_byte limited 0 "two" $pack "$tmp/two"
goes_on() { $pack "$tmp/one" && diff -r "$tmp/data" "$tmp/one"; }
check pack_goes_on goes_on
check export_of_tars limited 10 "tars/00000.tar" pe-dataloader export --data "$tmp/data" --output "$tmp/tars"

run="pe-trainer --train-data $tmp/data --model PE-Core-Test8-32 --global-batch-size 8 --threads 1 --steps 2"
run="$run --logs $tmp/logs"
check trainer_from_the_first_byte limited 0 "logs/none" $run --name none
check trainer_of_a_checkpoint limited 1024 "model.safetensors" $run --name full
given $run --name whole
model="--model PE-Core-Test8-32 --weights $tmp/logs/whole/checkpoints/latest --threads 1 --output $tmp"
check retrieval limited 0 "figures.json" pe-evaluator retrieval $model/figures.json --data "$tmp/data"
check embed limited 1 "features.npy" pe-evaluator embed $model/features.npy --images "$tmp/pictures"
check export_of_weights limited 1024 "weights.safetensors" pe-evaluator export $model/weights.safetensors --naming pe
on_2_ranks() { # the limit is the ranks', not mpirun's, who wants files of its own
    { ranks 2 bash -c 'ulimit -f 8192; exec "$@"' - $run --name two 2>&1; echo "status $?"; } | cat > "$tmp/said"
    failed_at "model.safetensors"
}
check trainer_on_2_ranks on_2_ranks
starting() { ranks 2 bash -c 'ulimit -f 512; exec "$@"' - pe-dataloader verify --data "$tmp/none" 2>&1 | cat; }
check mpi_starts_without_its_shared_memory says "no data set here" starting

teach="pe-captioner train --train-data $tmp/data --plm-config test/cases/plm --tokenizer test/golden/bpe/tokenizer.json"
teach="$teach --global-batch-size 8 --context 200 --threads 1 --steps 1 --logs $tmp/logs"
check captioner_training_from_the_first_byte limited 0 "logs/silent" $teach --name silent
check captioner_checkpoint limited 64 "model.safetensors" $teach --name mute
given $teach --name able
able=$tmp/logs/able/checkpoints/latest
caption="pe-captioner caption --data $tmp/data --model $able --tokenizer test/golden/bpe --max-tiles 1"
check captions limited 1 "captions" $caption --max-new-tokens 4 --threads 1 --output "$tmp/captions"
finish
