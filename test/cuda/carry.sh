#!/usr/bin/env bash
# What scripts/gpu-carry collects runs elsewhere: here from another folder, with nothing but itself in front of the paths.
. "$(dirname "$0")/../lib.sh"
if [ ! -e build/libpercept-cuda.so ] || [ "$BUILD" != build/release ]; then echo "ok nothing_to_carry_without_cuda"; exit 0; fi
PATH=$PATH:$WHOLE_PATH # scripts/gpu-carry builds and collects
command -v xz > /dev/null || { echo "ok nothing_to_carry_without_xz"; exit 0; }
check gpu_carry_collects scripts/gpu-carry "$tmp/carry"
export GPU_RUN_FOLDER="$tmp/there"
there() { scripts/gpu-run "$tmp/carry" "$@"; }
check carried_program_runs says "pe-trainer" there pe-trainer --version
check carried_ranks_run says "pe-evaluator" there mpirun --bind-to none -n 2 pe-evaluator --version
check carried_programs_are_the_ones_run says "$tmp/there/bin/pe-trainer" there which pe-trainer
size() { [ "$(stat -c %s "$tmp/carry/percept.tar.xz")" -lt $((48 << 20)) ]; }
check carry_is_small size
finish
