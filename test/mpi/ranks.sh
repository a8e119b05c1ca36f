#!/usr/bin/env bash
# The same result on any number of ranks, and whatever the memory options are: packs byte by byte, weights bit by bit, figures digit by digit.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 90 || exit 1

pack() { pe-dataloader pack --input "$tmp/pictures" --output "$1" --samples-per-shard 16; }
given pack "$tmp/data"
for n in 2 4; do
    given ranks $n pe-dataloader pack --input "$tmp/pictures" --output "$tmp/data$n" --samples-per-shard 16
    check "pack_on_${n}_ranks_is_identical" diff -r "$tmp/data" "$tmp/data$n"
done

common="--train-data $tmp/data --model PE-Core-Test8-32 --global-batch-size 16 --slices 8 --steps 20 --warmup 4 --lr 3e-3 --threads 1
    --mask-weight 0.5 --resolution-schedule 16:0.3,32:0.7 --save-frequency 0 --logs $tmp/logs"
weights() { echo "$tmp/logs/$1/checkpoints/step-00000020/model.safetensors"; }
pe-trainer $common --name base > "$tmp/base.log" 2>&1 || cat "$tmp/base.log"
trained() { # NAME RANKS OPTION...: 20 steps, then the weights must be those of the base run
    local name=$1 n=$2; shift 2
    ranks "$n" pe-trainer $common --name "$name" "$@" && same "$(weights base)" "$(weights "$name")"
}
check weights_on_2_ranks trained two 2
check weights_on_4_ranks trained four 4
check weights_on_3_ranks trained three 3
check weights_on_5_ranks trained five 5 --zero 0
check weights_on_6_ranks trained six 6 --grad-cache
check weights_on_8_ranks trained eight 8
check weights_with_grad_cache trained cache 1 --grad-cache
check weights_with_recomputation trained recompute 1 --grad-checkpointing
check weights_without_zero trained replicated 2 --zero 0
check weights_with_all_of_it trained all 4 --grad-cache --grad-checkpointing --zero 0
check weights_with_3_threads trained threads 1 --threads 3 --workers 3
elsewhere() { # every x86-64-v4 machine computes these bits; the pictures are those of Debian 12's libraries
    grep -q x86-64-v4 "$tmp/base.log" && grep -q '^VERSION_ID="12"' /etc/os-release || { echo "another machine or system: not compared"; return 0; }
    says 407f561a2f822d84d0ea2b7c0846eb863b1baaf7a0f44a49c8c3b8cff375a584 sha256sum "$(weights base)"
}
check weights_are_those_of_other_machines elsewhere
given pe-trainer $common --name other --seed 1
check weights_of_another_seed_differ status 1 same "$(weights base)" "$(weights other)"

# Slices that are no power of two, in shares that are not even.
odd="--train-data $tmp/data --model PE-Core-Test8-32 --global-batch-size 18 --slices 9 --steps 4 --warmup 2 --lr 3e-3 --threads 1 --mask-weight 0.5
    --resolution-schedule 16:1 --save-frequency 0 --logs $tmp/logs"
four() { echo "$tmp/logs/$1/checkpoints/step-00000004/model.safetensors"; }
pe-trainer $odd --name nine1 > "$tmp/nine.log" 2>&1 || cat "$tmp/nine.log"
nine() { local n=$1; shift; ranks "$n" pe-trainer $odd --name "nine$n" "$@" && same "$(four nine1)" "$(four "nine$n")"; }
check nine_slices_on_2_ranks nine 2 --zero 0
check nine_slices_on_3_ranks nine 3
check nine_slices_on_4_ranks nine 4 --grad-cache
check nine_slices_on_5_ranks nine 5
check nine_slices_on_8_ranks nine 8 --zero 0 --grad-cache
moved() { status 75 ranks 4 pe-trainer $odd --name moved --stop-after 2 && ranks 3 pe-trainer $odd --name moved --resume latest && same "$(four nine1)" "$(four moved)"; }
check stopped_on_4_ranks_resumed_on_3 moved

# Distillation: the teacher has another resolution and context; its similarities are what the student comes to have.
teacher="--distill-model PE-Core-Tiny8-64 --distill-pretrained $tmp/logs/teacher/checkpoints/latest --distill-image-size 32 --aug none"
given pe-trainer --train-data "$tmp/data" --model PE-Core-Tiny8-64 --force-image-size 32 --global-batch-size 16 --steps 2 --threads 1 --logs "$tmp/logs" --name teacher
pe-trainer $common --mask-weight 0 $teacher --name student > "$tmp/student.log" 2>&1 || cat "$tmp/student.log"
learned() { local n=$1; shift; ranks "$n" pe-trainer $common --mask-weight 0 $teacher --name "student$n" "$@" && same "$(weights student)" "$(weights "student$n")"; }
check distilled_on_2_ranks learned 2 --grad-cache
check distilled_on_4_ranks learned 4
nearer() { sed -n 's/.*"distill_loss":\([0-9.e-]*\).*/\1/p' "$tmp/logs/student/metrics.jsonl" | awk 'NR == 1 { first = $1 } { last = $1 } END { print first, last; exit !(NR > 1 && last < first) }'; }
check student_nears_its_teacher nearer
check teacher_needs_weights says "give --distill-pretrained" pe-trainer $common --distill-model PE-Core-Tiny8-64 --name none

model="--weights $tmp/logs/base/checkpoints/latest --model PE-Core-Test8-32 --threads 1"
figures() { ranks "$1" pe-evaluator retrieval $model --data "$tmp/data" --batch-size "$2" --output "$tmp/r$1.json" && same "$tmp/r1.json" "$tmp/r$1.json"; }
given pe-evaluator retrieval $model --data "$tmp/data" --output "$tmp/r1.json"
check retrieval_on_2_ranks figures 2 7
check retrieval_on_4_ranks figures 4 32
given pe-evaluator embed $model --images "$tmp/pictures" --output "$tmp/e1.npy"
embedded() { ranks "$1" pe-evaluator embed $model --images "$tmp/pictures" --batch-size 5 --output "$tmp/e.npy" && same "$tmp/e1.npy" "$tmp/e.npy"; }
check embeddings_on_4_ranks embedded 4
check more_ranks_than_slices_are_refused_by_name says "9 ranks share 8 slices: use at most 8 ranks" ranks 9 pe-trainer $common --name nine
check refusal_has_status_2_on_all_ranks status 2 ranks 9 pe-trainer $common --name nine
check indivisible_batches_are_told_the_nearest says "does not divide into 7 slices; 14 does" ranks 3 pe-trainer $common --slices 7 --name none
finish
