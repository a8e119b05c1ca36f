#!/usr/bin/env bash
# The shape of the tree: floors, each header alone, no function over 100 lines, no line over 120 columns, both compilers without warnings where clang is there.
. "$(dirname "$0")/../lib.sh"
flags="-std=c17 -D_GNU_SOURCE -Wall -Wextra -Wno-missing-field-initializers -Werror -fopenmp -Icommon -I. $(pkg-config --cflags ompi-c jansson libpng libwebp 2>/dev/null)"
sources() { find . \( -path ./build -o -path './.*' \) -prune -o \( "$@" \) -print | cut -c3-; }
headers() {
    local header
    for header in $(sources -name '*.h' | grep -vE 'backend/(cpu|cuda)/|test/emulator/'); do
        printf '#include "%s"\n' "$header" | sed 's|"common/|"|' | ${CC:-gcc} $flags -fsyntax-only -x c - || return 1
    done
}
functions() {
    local long
    long=$(sources -name '*.[ch]' -o -name '*.cu' | grep -v '^test/' | xargs awk 'FNR==1{s=0} /^\{/{s=FNR} /^\}/{if(s&&FNR-s>100)print FILENAME":"FNR" "FNR-s" lines"; s=0}')
    echo "$long"; [ -z "$long" ]
}
columns() { # 120, as .clang-format has it; a row of an option table is a line
    local wide
    wide=$(sources -name '*.[ch]' -o -name '*.cu' -o -name '*.cpp' |
        xargs awk 'length($0) > 120 && !/^ *\{OPTION_/ { print FILENAME ":" FNR " " length($0) " columns" }')
    echo "$wide"; [ -z "$wide" ]
}
clang_clean() {
    local file
    command -v clang > /dev/null && echo '#include <omp.h>' | clang -fopenmp -fsyntax-only -x c - 2> /dev/null || { echo "clang with OpenMP is not installed: not checked"; return 0; }
    for file in $(sources -name '*.c' | grep -vE '^test/|backend/cpu/') common/backend/cpu/table.c; do
        clang $flags -fsyntax-only "$file" || return 1
    done
}
check floors scripts/check_floors
check each_header_alone headers
check functions_under_100_lines functions
check lines_of_120_columns columns
check clang_has_no_warnings clang_clean
finish
