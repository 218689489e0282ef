# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# Drives one guest by its serial console, in busybox's shell: for the tests that boot a stock Linux. Whatever a test waits for has a time
# limit, after which the console's end is shown.

work=$(mktemp -d)
console=$work/console
number=0
failed=0
guest=
hangs=

# The console's end; all of it stays among the testbed's results.
say_console() {
    [ ! -d /results ] || cp "$console" "/results/guest-$number-console.log"
    echo "# the end of the console:"
    tail -n 15 "$console" | tr -d '\r' | sed 's/^/#   /'
    sed 's/^/# stderr: /' "$work/stderr"
}

# result NAME STATUS: a line of TAP; a failure shows the console.
result() {
    number=$((number + 1))
    if [ "$2" -eq 0 ]; then
        echo "ok $number - $1"
    else
        failed=1
        echo "not ok $number - $1"
        say_console
    fi
    return "$2"
}

# finish: the plan, and the test's exit status.
finish() {
    echo "1..$number"
    exit $failed
}

skip() { # NAME REASON
    number=$((number + 1))
    echo "ok $number - $1 # SKIP $2"
}

# start_guest OPTION...: dirtylab boot with these, its console in $console.
start_guest() {
    rm -f "$work/input" "$console"
    mkfifo "$work/input"
    commands=0
    hangs=
    : >"$work/stderr"
    : >"$console"
    dirtylab boot --log "$work/registers" "$@" <"$work/input" >"$console" 2>"$work/stderr" &
    guest=$!
    exec 3>"$work/input"
}

# alive: the guest's process runs; one that has ended is a zombie until it is waited for.
alive() {
    grep -qs '^State:.[^Z]' "/proc/$guest/status"
}

# await PATTERN SECONDS: until the console has a line with it; 1 when it does not come, or the guest ends first.
await() {
    waited=0
    while ! grep -qE "$1" "$console"; do
        if [ $waited -ge $(($2 * 2)) ]; then
            echo "# not on the console after $2 s: $1"
            return 1
        fi
        if ! alive; then
            grep -qE "$1" "$console" && return 0
            echo "# the guest ended before this came: $1"
            return 1
        fi
        sleep 0.5
        waited=$((waited + 1))
    done
}

# in_guest SECONDS COMMAND: types it at the guest's prompt; its output goes to $work/said. Its status, or 124; once it was that, the guest
# is taken to hang, and is not asked again. The mark at the end is
# written so that the echo of what was typed does not hold it.
in_guest() {
    commands=$((commands + 1))
    before=$(wc -l <"$console")
    printf '%s; echo @"%s":$?@\n' "$2" $commands >&3
    if [ -n "$hangs" ] || ! await "@$commands:[0-9]+@" "$1"; then
        hangs=yes
        return 124
    fi
    tail -n +"$before" "$console" | tr -d '\r' >"$work/said"
    return "$(sed -nE "s/.*@$commands:([0-9]+)@.*/\1/p" "$work/said" | tail -n 1)"
}

# check NAME SECONDS COMMAND: the command must have status 0 in the guest.
check() {
    in_guest "$2" "$3"
    result "$1" $?
}

# expect_status NAME STATUS SECONDS: the guest ends by itself, and dirtylab with this status.
expect_status() {
    waited=0
    while alive; do
        if [ -n "$hangs" ] || [ $waited -ge $(($3 * 2)) ]; then
            echo "# it had not ended after $((waited / 2)) s"
            end_guest
            result "$1" 1
            return
        fi
        sleep 0.5
        waited=$((waited + 1))
    done
    exec 3>&-
    wait "$guest"
    got=$?
    guest=
    if [ $got -eq "$2" ]; then
        result "$1" 0
    else
        echo "# dirtylab ended with status $got"
        result "$1" 1
    fi
}

# end_guest: whatever state it is in. The registers of a guest that had to be ended stay among the testbed's results.
end_guest() {
    [ -n "$guest" ] || return 0
    kill -TERM "$guest" 2>/dev/null
    waited=0
    while alive && [ $waited -lt 20 ]; do
        sleep 0.5
        waited=$((waited + 1))
    done
    kill -KILL "$guest" 2>/dev/null
    wait "$guest" 2>/dev/null
    guest=
    if [ -d /results ] && [ -f "$work/registers" ]; then
        cat "$work/registers" >"/results/guest-$number-registers.log"
    fi
}

trap 'end_guest; rm -rf "$work"' EXIT
trap : PIPE # a guest that has ended reads nothing more
