# For test scripts: a scratch folder in $tmp, small data sets, and `check NAME command...`, which prints ok or not ok.
set -u
tmp=$(mktemp -d /tmp/percept-test-XXXXXX)
trap 'rm -rf "$tmp"' EXIT
failures=0

check() { # NAME COMMAND...: ok when the command succeeds
    local name=$1 start=$SECONDS; shift
    if "$@" > "$tmp/out" 2>&1; then echo "ok $name ($((SECONDS - start)) s)"; else not_ok "$name: $*"; fi
}
given() { "$@" > "$tmp/out" 2>&1 || not_ok "given: $*"; } # COMMAND...: what the checks after it stand on
not_ok() { # TITLE, and what was said in $tmp/out
    echo "not ok $1"; sed 's/^/    /' "$tmp/out" | tail -20; failures=$((failures + 1))
}
status() { # EXPECTED COMMAND...: succeeds when the command exits so
    local want=$1 got; shift
    "$@"; got=$?
    [ $got -eq "$want" ] || { echo "exit status $got, expected $want"; return 1; }
}
says() { # TEXT COMMAND...: the command's output holds the text
    local text=$1; shift
    "$@" > "$tmp/said" 2>&1
    grep -qF -- "$text" "$tmp/said" || { echo "does not say: $text"; cat "$tmp/said"; return 1; }
}
ranks() { local n=$1; shift; timeout -k 5 300 mpirun --bind-to none -n "$n" "$@"; }
descendants() { # PID: it, what it started, what that started, ... as far as it still runs
    grep -s '^PPid:' /proc/[0-9]*/status | awk -F'[/:[:space:]]+' -v root="$1" '{ parent[$3] = $NF }
        END { for (p in parent) { for (q = p; q != root && q in parent; q = parent[q]); if (q == root) print p } }'
}
kill_tree() { # PID, a job of this shell: kill -9 it and all that it started
    kill -9 $(descendants "$1") 2> /dev/null
    wait "$1" 2> /dev/null
}
same() { cmp "$1" "$2"; }
finish() { exit $((failures > 0)); }
