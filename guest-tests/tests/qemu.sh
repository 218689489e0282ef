#!/bin/sh
# SPDX-License-Identifier: MIT
# The embedded guest under another VMM: QEMU without KVM, two machine types, every pattern. TAP on standard output. qemu.sh GUEST.elf
set -u
guest=$1
if ! command -v qemu-system-x86_64 > /dev/null; then
    echo "1..0 # SKIP qemu-system-x86_64 is not installed (package qemu-system-x86)"
    exit 0
fi

number=0
# run MACHINE OPTIONS EXPECTED: the guest must end by itself and print the expected last line
run() {
    number=$((number + 1))
    output=$(timeout 60 qemu-system-x86_64 -M "$1" -accel tcg -kernel "$guest" -append "$2" -serial stdio -display none -no-reboot \
        -m 256 -smp 2 < /dev/null 2>&1 | tr -d '\r')
    if [ "$(printf '%s\n' "$output" | tail -n 1)" = "dirtylab-guest: $3" ]; then
        echo "ok $number - $1: $2"
    else
        echo "not ok $number - $1: $2"
        printf '%s\n' "$output" | sed 's/^/# /'
    fi
}

echo "1..13"
for pattern in sequential random silent read; do
    run pc "pattern=$pattern pages=100 passes=2 seed=1 vcpus=2 serial=1" "done, writes 200"
done
run pc "pattern=hotspot pages=100 passes=2 vcpus=2" "done, writes 1800"
run pc "pattern=stride pages=100 passes=2 vcpus=2" "done, writes 200"
run pc "pattern=random pages=1500 passes=2 vcpus=2 ring=0" "done, writes 3000"
run pc "pattern=silent pages=100 passes=2 ring=0" "done, writes 200"
run pc "pattern=read pages=100 passes=2 ring=0" "done, writes 200"
run microvm "pattern=random pages=100 passes=2 vcpus=2" "done, writes 200"
run pc "pages=100 passes=2 nonsense=1" "panic: command line"
run pc "pages=100 passes=2 vcpus=3" "panic: processors"
run microvm "pages=0 passes=1 vcpus=1" "done, writes 0"
