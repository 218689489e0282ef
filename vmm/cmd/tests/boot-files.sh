#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Files that dirtylab boot is given and cannot use: one clear line, status 1 for a bad file and 3 for what is not to be had, and nothing
# left behind.
#   boot-files.sh DIRTYLAB GUEST.elf TESTBED-CACHE
set -uo pipefail

dirtylab=$1
guest=$2
cache=${DIRTYLAB_CACHE:-$3}
# shellcheck source=vmm/cmd/tests/tap.sh
. "$(dirname "$0")/tap.sh"
if [ ! -e /dev/kvm ]; then
    echo "1..0 # SKIP there is no /dev/kvm"
    exit 0
fi
kernels=$work/kernels
mkdir "$kernels"
if ! "$(dirname "$0")/make-kernels" "$guest" "$kernels"; then
    echo "Bail out! The kernels cannot be made."
    exit 1
fi

# refused NAME STATUS PATTERN KERNEL OPTION…: with 256 MiB
refused() {
    local name=$1 status=$2 pattern=$3 kernel=$4
    shift 4
    expect "$name" "$status" "$pattern" "$dirtylab" boot --memory 256M --kernel "$kernel" "$@"
}

refused "a kernel that is not there" 1 'kernel /nowhere/x .*No such file' /nowhere/x
refused "a kernel that is a folder" 1 'cannot be read' "$kernels"
refused "a kernel that is a device" 1 'neither a file nor a pipe' /dev/zero
truncate -s 2G "$kernels/huge"
refused "a kernel larger than any" 1 'larger than 1024 MiB, the most that it may have here$' "$kernels/huge"
refused "an empty kernel" 1 'empty' "$kernels/empty"
refused "a kernel of one byte" 1 'neither an ELF file nor a bzImage' "$kernels/one-byte"
refused "a kernel that is a text" 1 'neither an ELF file nor a bzImage' "$kernels/text"
refused "a kernel that is compressed" 1 'compressed' "$kernels/gzip"
refused "an ELF header cut off" 1 'the kernel cannot be booted' "$kernels/elf-header-cut"
refused "an ELF file cut off" 1 'cut|truncated|short' "$kernels/elf-cut"
refused "an ELF kernel for i386" 1 '32-bit' "$kernels/elf-i386"
refused "an ELF kernel for arm64" 1 'x86' "$kernels/elf-aarch64"
refused "a big-endian ELF file" 1 'the kernel cannot be booted' "$kernels/elf-big-endian"
refused "an ELF file without a segment" 1 'the kernel cannot be booted' "$kernels/elf-no-segment"
refused "an ELF file whose program headers are cut off" 1 'the kernel cannot be booted' "$kernels/elf-segments-cut"
refused "a segment whose offset wraps" 1 'the kernel cannot be booted' "$kernels/elf-offset-wraps"
refused "a segment that ends beyond the file" 1 'the kernel cannot be booted' "$kernels/elf-filesz-beyond"
refused "a segment with more in the file than in memory" 1 'the kernel cannot be booted' "$kernels/elf-filesz-over-memsz"
refused "a segment whose address wraps" '[13]' 'kernel' "$kernels/elf-address-wraps"
refused "an entry point outside all segments" 1 'entry' "$kernels/elf-entry-outside"
refused "an ELF kernel larger than RAM" 3 'memory' "$kernels/elf-larger-than-ram"
refused "an ELF kernel that lies beyond RAM" 3 'memory' "$kernels/elf-beyond-ram"
refused "a bzImage's header cut off" 1 'truncated' "$kernels/bzimage-header-cut"
refused "a bzImage cut off" 1 'truncated' "$kernels/bzimage-cut"
refused "a bzImage without code" 1 'entry' "$kernels/bzimage-no-code"
refused "a bzImage of an old protocol" 1 'older' "$kernels/bzimage-old"
refused "a bzImage of 32 bits" 1 '32-bit' "$kernels/bzimage-32-bit"
refused "a bzImage that lies low" 1 '1 MiB' "$kernels/bzimage-low"
refused "a bzImage that lies beyond RAM" 3 'memory' "$kernels/bzimage-beyond-ram"
refused "a bzImage that needs more than RAM" 3 'memory' "$kernels/bzimage-larger-than-ram"
expect "a kernel that needs more than the little RAM there is" 3 'memory' "$dirtylab" boot --memory 16M --kernel "$kernels/bzimage"

truncate -s 300M "$kernels/initrd"
refused "an initrd that is not there" 1 'initrd /nowhere/x' "$kernels/bzimage" --initrd /nowhere/x
refused "an empty initrd" 1 'initrd .*empty' "$kernels/bzimage" --initrd "$kernels/empty"
refused "an initrd that is a folder" 1 'initrd .*cannot be read' "$kernels/bzimage" --initrd "$kernels"
refused "an initrd larger than RAM" 3 'initrd .*memory' "$kernels/bzimage" --initrd "$kernels/initrd"
truncate -s 250M "$kernels/initrd"
refused "an initrd that does not fit beside the kernel" 3 'initrd .*memory' "$kernels/bzimage" --initrd "$kernels/initrd"
refused "a command line that is too long" 1 'command line' "$kernels/bzimage" --append "$(printf '%05000d' 0)"

# A header with a byte inverted is refused, or boots what is no kernel, which stops or runs on: never more than a line, never a crash.
wrong=
ran_on=
for kernel in "$kernels"/flipped/*; do
    timeout -k 60 1 "$dirtylab" boot --memory 64M --kernel "$kernel" --append 'pages=1 passes=1' >"$work/out" 2>"$work/err" </dev/null
    status=$?
    case $status in
    0) lines=0 ;;
    124) lines=0 && ran_on+=" ${kernel##*/}" ;;
    1 | 3) lines=1 ;;
    *) lines=-1 ;;
    esac
    if [ "$(wc -l <"$work/err")" -ne "$lines" ]; then
        wrong+="${kernel##*/}: status $status: $(head -n 3 "$work/err")"$'\n'
    fi
done
[ -z "$ran_on" ] || echo "# ran until they were interrupted:$ran_on"
if [ -z "$wrong" ]; then
    result ok "kernels with a byte of their headers inverted, one at a time" ""
else
    result "not ok" "kernels with a byte of their headers inverted, one at a time" "$wrong"
fi

disk() { # name, status, pattern, --disk's value
    expect "$1" "$2" "$3" "$dirtylab" boot --memory 16M --append passes=1 --disk "$4"
}
truncate -s 1M "$work/disk"
truncate -s 1000 "$work/odd"
disk "a disk that is not there" 1 '/nowhere/x.*No such file' /nowhere/x
disk "a disk that is a folder" 1 "$kernels" "$kernels"
disk "an empty disk" 1 'empty|no sector|size' "$kernels/empty"
disk "a disk that is /dev/null" 1 '/dev/null' /dev/null
disk "a disk that ends within a sector" 1 '512|sector' "$work/odd"
disk "an unknown option of a disk" 2 'frobnicate' "$work/disk,frobnicate"
disk "a disk without a name" 2 'disk' ',ro'
mkdir "$work/mount"
# shellcheck disable=SC2016 # the inner shell expands it
expect "a disk on a file system that is read-only, opened for writing" 1 'Read-only file system.*ro|ro.*Read-only' \
    unshare -m bash -c 'mount -t tmpfs none "$0/mount" && truncate -s 1M "$0/mount/disk" && mount -o remount,ro "$0/mount" && exec "$@"' \
    "$work" "$dirtylab" boot --memory 16M --append passes=1 --disk "$work/mount/disk"

crash() { # name, pattern, option…
    local name=$1 pattern=$2
    shift 2
    expect "$name" 1 "$pattern" "$dirtylab" boot --memory 64M --kernel "$kernels/bzimage" "$@"
}
crash "a guest that crashes is said to" 'crashed|PVM'
crash "a log that cannot be written does not hide the crash" '(crashed|PVM).*; and --log: .*/nowhere/registers' --log /nowhere/registers
expect "a log that cannot be written is said" 1 '/nowhere/registers' "$dirtylab" boot --memory 16M --append 'pages=1 passes=1' --log /nowhere/registers

stock=$(find "$cache" -path '*/boot/vmlinuz-*' 2>/dev/null | sort -V | tail -n 1)
if [ "$("$dirtylab" probe --json - | grep -c '"kvm" : "PVM"')" -eq 0 ]; then
    skip "a stock kernel on a KVM that cannot run one" "this KVM is no PVM"
elif [ -z "$stock" ]; then
    skip "a stock kernel on a KVM that cannot run one" "no kernel has been fetched: scripts/guest-image does"
else
    refused "a stock kernel on a PVM is refused by name, with where it would run" 1 'PVM.*scripts/testbed' "$stock" --append console=ttyS0
    refused "its registers go to a log on request" 1 'PVM' "$stock" --log "$work/registers"
    if grep -qi 'rip' "$work/registers"; then
        result ok "the log holds the registers" ""
    else
        result "not ok" "the log holds the registers" "$(head -n 5 "$work/registers" 2>&1)"
    fi
fi

# Console output must never go to a file of dirtylab's own, such as guest RAM, that got a closed descriptor's number.
DIRTYLAB_TEST_MARK=$work timeout -s KILL 180 "$dirtylab" boot --memory 16M --paused <&- >&- 2>&- &
guarded=$!
boot=
for _ in $(seq 600); do
    boot=$(left_behind | head -n 1)
    [ -n "$boot" ] && [ -e "/proc/$boot/fd/5" ] && break
    sleep 0.1
done
descriptors=$(readlink "/proc/$boot/fd/0" "/proc/$boot/fd/1" "/proc/$boot/fd/2" | tr '\n' ' ')
[ -z "$boot" ] || kill "$boot"
wait "$guarded"
if [ "$descriptors" = "/dev/null /dev/null /dev/null " ]; then
    result ok "closed standard descriptors become /dev/null" ""
else
    result "not ok" "closed standard descriptors become /dev/null" "$descriptors"
fi

# The socket must be gone: it is the board's to remove, and a signal that kills leaves it.
for signal in HUP:129 TERM:143 INT:130; do
    timeout --foreground -s KILL 180 env --default-signal "$dirtylab" boot --memory 16M --paused --control "unix:$work/guest" </dev/null >/dev/null 2>&1 &
    guarded=$!
    for _ in $(seq 600); do
        [ -S "$work/guest" ] && break
        sleep 0.1
    done
    kill -s "${signal%:*}" "$(left_behind)"
    wait "$guarded"
    status=$?
    if [ $status -eq "${signal#*:}" ] && [ ! -e "$work/guest" ]; then
        result ok "SIG${signal%:*} ends a guest with ${signal#*:}, and its socket is gone" ""
    else
        result "not ok" "SIG${signal%:*} ends a guest with ${signal#*:}, and its socket is gone" "status $status: $(ls "$work")"
    fi
done
for signal in HUP INT TERM; do
    timeout --foreground -s KILL 180 env --default-signal --ignore-signal=$signal "$dirtylab" boot --memory 16M --paused \
        --control "unix:$work/guest" </dev/null >/dev/null 2>&1 &
    guarded=$!
    for _ in $(seq 600); do
        [ -S "$work/guest" ] && break
        sleep 0.1
    done
    boot=$(left_behind)
    kill -s $signal "$boot"
    sleep 0.5
    if [ -e "/proc/$boot" ] && [ -S "$work/guest" ]; then
        result ok "SIG$signal that came ignored stays ignored" ""
    else
        result "not ok" "SIG$signal that came ignored stays ignored" "it ended"
    fi
    kill -s KILL "$boot" 2>/dev/null
    wait "$guarded" 2>/dev/null
    rm -f "$work/guest"
done

extra=$(ldd "$dirtylab" | grep -E 'libgio|json|gnutls')
if [ -z "$extra" ]; then
    result ok "a boot loads nothing that only JSON or TLS needs" ""
else
    result "not ok" "a boot loads nothing that only JSON or TLS needs" "$extra"
fi

if nothing_left; then
    result ok "no process of all this is left behind" ""
else
    result "not ok" "no process of all this is left behind" "$(left_behind)"
fi
echo "1..$number"
