#!/usr/bin/env bash
# pe-evaluator score of masks and depth: the same bytes on any number of threads and ranks; what is refused leaves no result.  (Figures: test/unit/dense.c.)
. "$(dirname "$0")/../lib.sh"
g=test/golden/dense
same_anywhere() { # METRIC [OPTION...]
    local what="pe-evaluator score --metric $1 --truth $g/$1/truth --predictions $g/$1/predictions --output $tmp/r.json ${*:2}"
    OMP_NUM_THREADS=1 $what && mv "$tmp/r.json" "$tmp/one.json" && OMP_NUM_THREADS=4 $what && same "$tmp/one.json" "$tmp/r.json" && rm "$tmp/r.json" &&
        ranks 3 $what && same "$tmp/one.json" "$tmp/r.json"
}
check davis_anywhere same_anywhere davis
check miou_anywhere same_anywhere miou --miou-classes 12
check depth_anywhere same_anywhere depth
refused() { status 2 ranks 2 pe-evaluator score --metric miou --truth $g/miou/truth --predictions $g/miou/predictions --output "$tmp/none.json" && [ ! -e "$tmp/none.json" ]; }
check refused_on_all_ranks refused
finish
