#!/usr/bin/env bash
# Sums, gathering, queues and groups (test/mpi/world.c) on 2 to 8 ranks; test/run itself starts it as a world of one.
. "$(dirname "$0")/../lib.sh"
for n in 2 3 4 5 6 8; do check "world_of_$n" ranks $n "$BUILD/test/mpi/world"; done
finish
