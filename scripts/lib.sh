# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the scripts share: where things are, hugepages that are put back, and children that do not outlive a script.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1

say() {
    printf '%s\n' "$*" >&2
}

# A step's name, and what comes of it, on standard error.
step() {
    say "== $*"
}

as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        say "$0: root is needed for: $*"
        return 1
    fi
}

# --- children ---

# Runs a long command in a process group of its own, so that a signal to the script is answered at once and reaches the whole
# group.
child=
run() {
    local status=0
    set -m
    "$@" </dev/null &
    child=$!
    set +m
    wait "$child" || status=$?
    child=
    return "$status"
}

end_child() {
    [[ -n $child ]] || return 0
    kill -TERM -- "-$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
    child=
}

# --- hugepages ---
# A pool is shared with whoever else uses it: what was added is taken away again, and the rest left as it is.

pools=/sys/kernel/mm/hugepages
declare -A added=()

# change_pool KIB COUNT: adds COUNT pages, or takes them away, and prints by how many the pool has grown. Under a lock: scripts
# may run side by side.
change_pool() {
    # shellcheck disable=SC2016 # the inner shell expands it
    as_root flock "$pools" sh -c 'before=$(cat "$1") && echo $((before + $2)) >"$1" && echo $(($(cat "$1") - before))' \
        change "$pools/hugepages-$1kB/nr_hugepages" "$2"
}

# reserve_hugepages KIB COUNT: 1 when the kernel could not give them all; what it gave stays, and is put back too.
reserve_hugepages() {
    local got
    if [[ ! -d $pools/hugepages-$1kB ]]; then
        say "This kernel has no hugepages of $1 KiB."
        return 1
    fi
    got=$(change_pool "$1" "$2") || return 1
    added[$1]=$((${added[$1]:-0} + got))
    if ((got < $2)); then
        say "Of $2 hugepages of $1 KiB that were asked for, the kernel gave $got: memory is too full or too fragmented."
        return 1
    fi
}

put_back_hugepages() {
    local size
    for size in "${!added[@]}"; do
        ((added[$size] == 0)) || change_pool "$size" "-${added[$size]}" >/dev/null ||
            say "Hugepages of $size KiB could not be put back."
    done
    added=()
}

# --- leaving ---

work=

leave() {
    trap '' INT TERM HUP
    end_child
    put_back_hugepages
    [[ -z $work ]] || rm -rf "$work"
}

# From here on: a folder for temporary files ($work), and nothing left behind, however the script ends.
clean_up_on_exit() {
    trap leave EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    work=$(mktemp -d "${TMPDIR:-/tmp}/dirtylab-scripts.XXXXXX")
}

# --- what came of a step ---

# note LOG NAME RESULT [OUTPUT-FILE]: adds a line to LOG, in the form of meson's testlog.json. RESULT is OK, FAIL or SKIP.
note() {
    python3 -c 'import json, sys
print(json.dumps({"name": sys.argv[1], "result": sys.argv[2], "stderr": open(sys.argv[3], errors="replace").read()}))' \
        "$2" "$3" "${4:-/dev/null}" >>"$1"
}

# --- building ---

# build FOLDER MESON-OPTION...: configures once, then builds.
build() {
    local folder=$1
    shift
    if [[ ! -f $folder/build.ninja ]]; then
        run meson setup "$folder" "$@" || return
    fi
    run ninja -C "$folder"
}
