#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `dirtylab migrate` between two processes of `dirtylab boot`: what it prints, what it refuses, and what an interruption does.
#
#     migrate.sh DIRTYLAB
set -u
dirtylab=$1
# shellcheck source=vmm/cmd/tests/tap.sh
. "$(dirname "$0")/tap.sh"

guests=()
end_guests() {
    for guest in "${guests[@]}"; do
        kill -KILL "$guest" 2>/dev/null
        wait "$guest" 2>/dev/null
    done
    guests=()
}
trap 'end_guests; rm -rf "$work"' EXIT

wait_for_socket() {
    for ((i = 0; i < 1200; i++)); do
        if [ -S "$1" ]; then return; fi
        sleep 0.05
    done
}

# A guest that writes to the same pages again and again, or one that is awaited; each with a control socket.
boot() { # name, option…
    local name=$1
    shift
    "$dirtylab" boot --memory 64M --control "unix:$work/$name" "$@" >"$work/$name.log" 2>&1 </dev/null &
    guests+=($!)
    wait_for_socket "$work/$name"
}
source_guest() { boot "$1" --append 'pattern=hotspot pages=2000 passes=0 vcpus=1 quiet'; }
destination() { boot "$1" --incoming "unix:$work/$1.in"; }

migrate() { # source, destination, option…
    local from=$1 to=$2
    shift 2
    timeout 120 "$dirtylab" migrate --control "unix:$work/$from" "$@" "unix:$work/$to.in" >"$work/out" 2>"$work/err" </dev/null
}

expect "no control socket is refused" 2 'control' "$dirtylab" migrate tcp:127.0.0.1:1
expect "a control socket that is no unix socket is refused" 2 'control' "$dirtylab" migrate --control tcp:127.0.0.1:1 unix:/x
expect "no address is refused" 2 'one address' "$dirtylab" migrate --control unix:/x
expect "two addresses are refused" 2 'one address' "$dirtylab" migrate --control unix:/x unix:/a unix:/b
expect "a tracker that nobody knows is refused" 2 'kvm-bitmpa' "$dirtylab" migrate --control unix:/x --tracker kvm-bitmpa unix:/a
expect "a bandwidth that is none is refused" 2 'bandwidth' "$dirtylab" migrate --control unix:/x --bandwidth 0x unix:/a
expect "a socket where nobody listens is said so" 1 'nobody can be reached' "$dirtylab" migrate --control "unix:$work/none" unix:/a
python3 -c 'import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
peer = server.accept()[0]
peer.sendall(b"{\"hello\": " + b"[" * 100000 + b"\n")
peer.recv(1)' "$work/junk" &
wait_for_socket "$work/junk"
expect "a socket that speaks no QMP is said so" 1 'no QMP' "$dirtylab" migrate --control "unix:$work/junk" unix:/a
wait

if [ ! -e /dev/kvm ]; then
    skip "a guest is migrated" "there is no /dev/kvm"
    echo "1..$number"
    exit
fi

source_guest a
destination b
if migrate a b --tracker kvm-bitmap --downtime-limit 500 && grep -qE '^completed: total [0-9.]+m?s, downtime [0-9.]+(µs|ms|s), sent ' "$work/out" &&
    [ ! -s "$work/err" ]; then
    result ok "a guest is migrated, with its times on standard output" ""
else
    result "not ok" "a guest is migrated, with its times on standard output" "$(cat "$work/out" "$work/err" "$work"/*.log)"
fi
expect "a guest that has gone is not migrated again" 1 'refused' "$dirtylab" migrate --control "unix:$work/a" "unix:$work/b.in"
end_guests

source_guest c
expect "an address where nobody listens fails with the reason" 1 'failed: ' "$dirtylab" migrate --control "unix:$work/c" "unix:$work/nowhere"
for seconds in 2 10 40; do # on a busy host it may not have begun when it is interrupted
    destination d$seconds
    timeout --preserve-status -s INT $seconds "$dirtylab" migrate --control "unix:$work/c" --bandwidth 100K "unix:$work/d$seconds.in" \
        >"$work/out" 2>"$work/err" </dev/null
    status=$?
    if [ $status -eq 130 ] && grep -q 'cancelled' "$work/err"; then break; fi
done
if [ "$status" -eq 130 ] && grep -q 'cancelled' "$work/err"; then
    result ok "an interruption cancels the migration" ""
else
    result "not ok" "an interruption cancels the migration" "status $status: $(cat "$work/out" "$work/err")"
fi
# 2,000 pages again and again at 8 MiB/s, and no time to stop it: no pass gets ahead, and the user hears of it
destination f
timeout --preserve-status -s INT 75 "$dirtylab" migrate --control "unix:$work/c" --bandwidth 8M --downtime-limit 1 "unix:$work/f.in" \
    >"$work/out" 2>"$work/err" </dev/null &
follower=$!
for ((i = 0; i < 700; i++)); do
    if grep -q 'may never end' "$work/err" || ! kill -0 $follower 2>/dev/null; then break; fi
    sleep 0.1
done
kill -INT $follower 2>/dev/null
wait $follower
if grep -q 'may never end.*--auto-converge' "$work/err"; then
    result ok "one that gets nowhere says what to do" ""
else
    result "not ok" "one that gets nowhere says what to do" "$(cat "$work/out" "$work/err")"
fi
destination e
if migrate c e --bandwidth 0 --auto-converge; then
    result ok "and the guest, which ran on, is migrated by the next attempt" ""
else
    result "not ok" "and the guest, which ran on, is migrated by the next attempt" "$(cat "$work/out" "$work/err" "$work"/*.log)"
fi
end_guests
if nothing_left; then
    result ok "nothing of all this is left behind" ""
else
    result "not ok" "nothing of all this is left behind" "$(left_behind)"
fi
echo "1..$number"
