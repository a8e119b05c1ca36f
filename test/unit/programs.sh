#!/usr/bin/env bash
# Tests call what test/programs lists and nothing else, and a minimal Debian with scripts/install-deps has all of it.
. "$(dirname "$0")/../lib.sh"
hidden() { # programs that many machines have and a bare one lacks
    local name
    for name in python3 python perl pkill pgrep killall ps git jq bc file curl xxd; do
        ! command -v $name || { echo "$name is found"; return 1; }
    done
}
check only_listed_programs_are_found hidden
noticed() { # also where its failure goes unseen
    (MISSING="$tmp/missing"; echo "$(python3 -c pass)" | jq . || true) 2> /dev/null
    says python3 cat "$tmp/missing" && says jq cat "$tmp/missing"
}
check a_call_of_another_is_noticed noticed
installed() { # by install-deps, with all its packages depend on, or there from the start: essential, required
    local wanted name path package
    wanted=$(sed -n '/^build="/,/"$/p' scripts/install-deps | tr -d '"' | sed 's/^build=//')
    { dpkg-query -W -f='${Package} ${Essential} ${Priority}\n' | awk '$2 == "yes" || $NF == "required" { print $1 }'
      apt-cache depends --recurse --installed --no-{recommends,suggests,conflicts,breaks,replaces,enhances} $wanted apt | grep '^[a-z]'; } | sort -u > "$tmp/packages"
    for name in $(sed 's/#.*//; s/?[^ ]*//g' test/programs); do
        path=$(PATH=$WHOLE_PATH type -P "$name") || { echo "$name is not here"; return 1; }
        path=$(realpath "$path") && echo "$name ${path#/usr}" # a package names a file in /bin or in /usr/bin: they are one
    done > "$tmp/paths"
    dpkg -S $(awk '{ print $2; print "/usr" $2 }' "$tmp/paths") 2> /dev/null | sed -E 's/^([^:,]*)[^ ]* (\/usr)?/\1 /' > "$tmp/owners"
    while read -r name path; do
        package=$(awk -v path="$path" '$2 == path { print $1; exit }' "$tmp/owners")
        grep -qx "$package" "$tmp/packages" || { echo "$name is of package ${package:-none}, which scripts/install-deps does not bring"; return 1; }
    done < "$tmp/paths"
}
if command -v dpkg > /dev/null; then check listed_programs_are_installed installed; else echo "ok listed_programs_not_checked_without_dpkg"; fi
finish
