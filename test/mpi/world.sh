#!/usr/bin/env bash
# Sums, gathering, queues and groups (test/mpi/world.c) on 2 to 8 ranks; test/run itself starts it as a world of one.
. "$(dirname "$0")/../lib.sh"
for n in 2 3 4 5 6 8; do check "world_of_$n" ranks $n "$BUILD/test/mpi/world"; done
aborts() { says "rank 1 of all, 0 of its group" timeout -k 5 20 mpirun --bind-to none -n 3 "$BUILD/test/mpi/world" abort; }
check a_failed_check_in_a_group_ends_the_job aborts
finish
