# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the command line's tests share: TAP, a command whose error line and status must be as said, and a look at what was left behind.
# Sets work, a folder that is removed at the end.

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0

result() { # ok|not ok, name, what was seen
    number=$((number + 1))
    echo "$1 $number - $2"
    if [ "$1" = "not ok" ]; then
        printf '%s\n' "# ${3//$'\n'/$'\n'# }"
    fi
}

skip() { # name, reason
    number=$((number + 1))
    echo "ok $number - $1 # SKIP $2"
}

# Runs a command; its status (a pattern, as of `case`), and an error line that matches, must be as said; and that line must be the only one.
expect() { # name, status, pattern of the error line, command…
    local name=$1 status=$2 pattern=$3 got
    shift 3
    timeout 120 "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    # shellcheck disable=SC2053 # a pattern
    if [[ $got == $status ]] && [ "$(wc -l <"$work/err")" -eq 1 ] && grep -qE "^dirtylab: .*$pattern" "$work/err"; then
        result ok "$name" ""
    else
        result "not ok" "$name" "status $got, not $status; errors:
$(cat "$work/err")"
    fi
}

# In use, and not how many are free: others may reserve some meanwhile.
used_hugepages() {
    local pool
    for pool in /sys/kernel/mm/hugepages/hugepages-*; do
        echo -n "$(($(cat "$pool/nr_hugepages") - $(cat "$pool/free_hugepages"))) "
    done
}
# Processes of ours only: others may be at work beside this test.
export DIRTYLAB_TEST_MARK=$work
left_behind() {
    local process
    for process in /proc/[0-9]*; do
        if [ "$(cat "$process/comm" 2>/dev/null)" = dirtylab ] && grep -qsz "^DIRTYLAB_TEST_MARK=$work\$" "$process/environ"; then
            echo "${process#/proc/}"
        fi
    done
}
# What was killed takes a moment to be gone, the longer the busier the host is.
nothing_left() {
    local i
    for ((i = 0; i < 600; i++)); do
        if [ -z "$(left_behind)" ]; then return; fi
        sleep 0.1
    done
    return 1
}
