#!/usr/bin/env bash
# How programs are started: what would be n worlds of one is refused, and ranks that leave cores idle are told.
. "$(dirname "$0")/../lib.sh"
"$BUILD"/test/make_pictures "$tmp/pictures" 12 || exit 1
pack="pe-dataloader pack --input $tmp/pictures --output $tmp/data"
refused() { # an srun that speaks no PMIx
    SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=0 says "use srun --mpi=pmix" $pack || return
    SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=0 status 2 $pack && [ ! -e "$tmp/data" ]
}
check torn_world_is_refused refused
check program_in_a_batch_script env SLURM_NTASKS=2 SLURM_PROCID=0 $pack
advice="start it with --bind-to none"
bound() { OMPI_MCA_hwloc_base_binding_policy=core timeout -k 5 60 mpirun -n 1 $pack "$@"; }
told() { [ "$(nproc)" -lt 2 ] || says "$advice" bound; }
check idle_cores_are_told told
not_told() { ! says "$advice" "$@"; }
check one_thread_on_purpose_is_no_idle_core not_told bound --threads 1
check unbound_ranks_have_no_idle_cores not_told ranks 1 $pack
finish
