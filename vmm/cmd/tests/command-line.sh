#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The command line's contract: bad input and a host that lacks something end in one clear line and the right status, and leave nothing behind.
#   command-line.sh DIRTYLAB NO_PAGEMAP_SCAN.SO
set -uo pipefail

dirtylab=$1
shim=$2
# shellcheck source=vmm/cmd/tests/tap.sh
. "$(dirname "$0")/tap.sh"

small=(bench --memory 16M --passes 1 --runs 1 --warmup 0)
before=$(used_hugepages)

expect "an unknown subcommand is refused" 2 'subcommand' "$dirtylab" frobnicate
expect "an unknown option is refused" 2 'frobnicate' "$dirtylab" bench --frobnicate
expect "an unknown tracker is refused, and the known ones are listed" 2 'kvm-bitmpa.*kvm-bitmap' "$dirtylab" bench --tracker kvm-bitmpa
expect "an unknown RAM kind is refused, and the known ones are listed" 2 'hugetlb-4K.*hugetlb-2M' "$dirtylab" bench --ram hugetlb-4K
expect "an unknown writer is refused" 2 'gremlin' "$dirtylab" bench --writer gremlin
expect "an unknown pattern is refused" 2 'zigzag' "$dirtylab" bench --pattern zigzag
expect "an unknown format is refused" 2 'xml' "$dirtylab" bench --format xml
expect "an empty list is refused" 2 'empty' "$dirtylab" bench --tracker ''
expect "a memory of 0 is refused" 2 'memory' "$dirtylab" bench --memory 0
expect "a memory that is no multiple of a page is refused" 2 'multiple' "$dirtylab" bench --memory 268435457
expect "a memory that overflows is refused" 2 'memory' "$dirtylab" bench --memory 99999999999T
expect "a memory with junk behind it is refused" 2 'memory' "$dirtylab" bench --memory 256MB
expect "no vCPU is refused" 2 'vcpus' "$dirtylab" bench --vcpus 0
expect "no pass is refused" 2 'passes' "$dirtylab" bench --passes 0
expect "more pages than the arena has are refused" 2 'pages' "$dirtylab" bench --pages 99999999999
expect "a handler on a CPU that is not there is refused" 2 'uffd-handler' "$dirtylab" bench --uffd-handler 4000
expect "an argument that nobody asked for is refused" 2 'takes no argument' "$dirtylab" bench here
expect "a file in a folder that is not there is refused before anything is measured" 1 'cannot be written' "$dirtylab" bench --json /nowhere/x.json

expect "a move that is none is refused" 2 'A:B@PASS' "$dirtylab" bench-migration --move kvm-bitmap:uffd-wp
expect "a move from a tracker to itself is refused" 2 'A:B@PASS' "$dirtylab" bench-migration --move kvm-bitmap:kvm-bitmap@2
expect "a load that nobody knows is refused" 2 'idle,moderate,heavy' "$dirtylab" bench-migration --load furious
expect "a transport that nobody knows is refused" 2 'unix,tcp,tls' "$dirtylab" bench-migration --transport pigeon
expect "a bandwidth of 0 is refused" 2 'bandwidth' "$dirtylab" bench-migration --bandwidth 0
expect "a migration without a tracker is refused" 3 'tracks nothing' "$dirtylab" bench-migration --tracker none

expect "an unknown case is refused" 2 'frobnicate.*--list' "$dirtylab" semantics --case 'pte.*,frobnicate'
expect "an empty list of cases is refused" 2 'empty' "$dirtylab" semantics --case ''
timeout 120 "$dirtylab" semantics --list >"$work/out" 2>"$work/err" </dev/null
status=$?
if [ $status -eq 0 ] && [ "$(wc -l <"$work/out")" -ge 60 ] && grep -q '^pte\.dontneed ' "$work/out"; then
    result ok "semantics --list names the cases" ""
else
    result "not ok" "semantics --list names the cases" "status $status: $(cat "$work/out" "$work/err")"
fi
# A writer that every tracker of this process is blind to: a miss on any kernel that has one of them.
timeout 120 "$dirtylab" semantics --case writer.alias --json "$work/semantics.json" >"$work/out" 2>"$work/err" </dev/null
status=$?
timeout 120 "$dirtylab" semantics --case writer.alias --strict >/dev/null 2>&1 </dev/null
strict=$?
if ! grep -q '"verdict" : "MISSED"' "$work/semantics.json"; then
    skip "semantics --strict fails on a miss" "no tracker works here"
elif [ $status -eq 0 ] && [ $strict -eq 1 ] && grep -q 'MISSED' "$work/out"; then
    result ok "semantics --strict fails on a miss, and only then is a miss a failure" ""
else
    result "not ok" "semantics --strict fails on a miss" "status $status, with --strict $strict: $(cat "$work/out" "$work/err")"
fi

# Files from anybody: one line that names the file, and a page that was there stays as it was.
page=$work/page.html
echo before >"$page"
"$dirtylab" probe --json "$work/probe.json" >/dev/null
head -c 700 "$work/probe.json" >"$work/short.json"
sed 's,dirtylab.probe/1,dirtylab.probe/2,' "$work/probe.json" >"$work/newer.json"
echo '{"name": "something else"}' >"$work/foreign.json"
head -c 4096 /dev/urandom >"$work/noise.json"
expect "report without a file is refused" 2 'needs a result file' "$dirtylab" report --html "$page"
expect "report without a page is refused" 2 '--html' "$dirtylab" report "$work/probe.json"
expect "report: a file that is not there is named" 1 'nowhere.json: No such file' "$dirtylab" report "$work/nowhere.json" --html "$page"
expect "report: a file cut short is refused" 1 'short.json: .*(ends within|without end)' "$dirtylab" report "$work/probe.json" "$work/short.json" --html "$page"
expect "report: a newer schema is refused" 1 'newer.json: schema: .*newer dirtylab' "$dirtylab" report "$work/newer.json" --html "$page"
expect "report: foreign JSON is refused" 1 'foreign.json: schema: is missing' "$dirtylab" report "$work/foreign.json" --html "$page"
expect "report: noise is refused" 1 'noise.json: line' "$dirtylab" report "$work/noise.json" --html "$page"
expect "report: what is no yardstick is refused" 1 'probe.json: .*dirty_log_perf_test' \
    "$dirtylab" report "$work/probe.json" --yardstick "$work/probe.json" --html "$page"
if [ "$(cat "$page")" = before ] && [ "$(find "$work" -name 'page.html*' | wc -l)" -eq 1 ]; then
    result ok "report: what cannot be read leaves the old page alone, and no other file" ""
else
    result "not ok" "report: what cannot be read leaves the old page alone" "$(find "$work" -name 'page.html*')"
fi
if "$dirtylab" report "$work/probe.json" --html "$page" && grep -q '^<!DOCTYPE html>' "$page"; then
    result ok "report writes a page" ""
else
    result "not ok" "report writes a page" "$(head -c 300 "$page")"
fi

# What dirty_log_perf_test of Linux 6.12 prints, and what it prints with -g, where each get clears as well: a harvest is get and clear.
# medians of 4, 6 and 100, 300 µs: 5 and 200; of the sums: 205
cat >"$work/perf.txt" <<'END'
Random seed: 0x1
Test iterations: 2
Testing guest mode: PA-bits:ANY, VA-bits:48,  4K pages
guest physical test memory: [0xfffcfbffe000, 0xfffcffffe000)
Populate memory time: 0.806005999s
Enabling dirty logging time: 0.000077075s

Iteration 1 dirty memory time: 0.688599652s
Iteration 1 get dirty log time: 0.000004000s
Iteration 1 clear dirty log time: 0.000100000s
Iteration 2 dirty memory time: 0.443839305s
Iteration 2 get dirty log time: 0.000006000s
Iteration 2 clear dirty log time: 0.000300000s
Disabling dirty logging time: 0.003860591s
Get dirty log over 2 iterations took 0.000010000s. (Avg 0.000005000s/iteration)
Clear dirty log over 2 iterations took 0.000400000s. (Avg 0.000200000s/iteration)
END
grep -vi 'clear dirty log' "$work/perf.txt" >"$work/perf-g.txt"
# The table's rows, each as: phase, median in ns, and what corresponds.
yardstick_rows() {
    "$dirtylab" report "$work/probe.json" --yardstick "$1" --html - | sed 's,<tr>,\n&,g' |
        sed -nE 's,^<tr><th scope="row">([a-z ]+)</th><td[^>]* data-value="([0-9.]+)".*</td><td>([^<]*)</td><td.*,\1 \2 \3,p'
}
rows=$(yardstick_rows "$work/perf.txt")
rows_g=$(yardstick_rows "$work/perf-g.txt")
if grep -qx 'get 5000 ' <<<"$rows" && grep -qx 'clear 200000 ' <<<"$rows" && grep -qx 'get and clear 205000 harvest.*' <<<"$rows" &&
    grep -qx 'get 5000 harvest.*' <<<"$rows_g" && ! grep -q clear <<<"${rows_g//harvest*/}"; then
    result ok "report: a harvest stands beside dirty_log_perf_test's get and clear" ""
else
    result "not ok" "report: a harvest stands beside dirty_log_perf_test's get and clear" "$rows
$rows_g"
fi

expect "compare with one file is refused" 2 'two result files' "$dirtylab" compare "$work/probe.json"
expect "compare: a file cut short is refused" 1 'short.json: .*(ends within|without end)' "$dirtylab" compare "$work/short.json" "$work/probe.json"
expect "compare: foreign JSON is refused" 1 'foreign.json: schema: is missing' "$dirtylab" compare "$work/probe.json" "$work/foreign.json"

if [ -e /dev/kvm ]; then
    expect "memory larger than the host's is said so" 3 'memory|RAM' "$dirtylab" bench --tracker none --memory 64T
    expect "memory that the host has but not free is said so" 3 'available' "$dirtylab" bench --tracker none --memory "$(($(awk '/MemTotal/ { print $2 }' /proc/meminfo) / 1024 - 64))M"
    expect "huge memory for huge pages is said so" 3 'ask for less' "$dirtylab" bench --tracker all --ram shmem,shmem-thp --memory 64T
    pool=$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages)
    if ((pool > 0 && pool < 4096)); then
        expect "a pool too small for RAM above the hole names all that lacks" 3 '4096 pages needed' \
            "$dirtylab" bench --tracker none --ram hugetlb-2M --memory 8G
    else
        skip "a pool too small for RAM above the hole names all that lacks" "the pool has $pool pages"
    fi
    expect "a writer that knows no such pattern is refused" 2 'nothing to measure' "$dirtylab" bench --writer vmm --pattern read
    expect "an empty place for the handler is refused" 2 'uffd-handler' "$dirtylab" bench --uffd-handler ''
    expect "more vCPUs than KVM has are said so, with KVM's number" 3 'vCPUs' "$dirtylab" bench --tracker none --vcpus 100000
    expect "a hugetlb pool too small is said so, with the command that mends it" 3 'echo [0-9]+ > /sys/kernel/mm/hugepages' \
        "$dirtylab" "${small[@]}" --tracker none --ram hugetlb-2M --memory $(((pool < 4 ? 4 : pool + 1) * 2))M
    if [ "$("$dirtylab" probe --json - | grep -A2 '"soft-dirty"' | grep -c '"supported" : true')" -eq 0 ]; then
        expect "a tracker that this kernel lacks is refused by name" 3 'soft-dirty' "$dirtylab" "${small[@]}" --tracker soft-dirty
        expect "a tracker that works on no RAM kind is refused by name, whatever the RAM" 3 'soft-dirty' "$dirtylab" "${small[@]}" --tracker soft-dirty --ram all
    else
        skip "a tracker that this kernel lacks is refused by name" "this kernel has them all"
    fi
    expect "a kernel without PAGEMAP_SCAN is said so" 3 'PAGEMAP_SCAN' env LD_PRELOAD="$shim" ASAN_OPTIONS=verify_asan_link_order=0 \
        "$dirtylab" "${small[@]}" --tracker pagemap-scan

    # a /dev of our own: without kvm, with a kvm that only root may open, with one that anybody may
    own_dev='mount -t tmpfs none /dev && mknod /dev/null c 1 3 && mknod /dev/urandom c 1 9 && chmod 666 /dev/null /dev/urandom && '
    chmod 755 "$work"
    as_nobody='exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "$@"'
    expect "no /dev/kvm is said so" 3 '/dev/kvm' unshare -m bash -c "$own_dev"'exec "$@"' - "$dirtylab" "${small[@]}" --tracker none
    cp "$dirtylab" "$dirtylab-tools" "$work/" && chmod 755 "$work"/dirtylab*
    expect "no permission on /dev/kvm is said so" 3 '/dev/kvm.*[Pp]ermission|[Pp]ermission.*/dev/kvm' \
        unshare -m bash -c "$own_dev"'mknod -m 600 /dev/kvm c 10 232 && '"$as_nobody" - "$work/dirtylab" "${small[@]}" --tracker none
    if [ "$(cat /proc/sys/vm/unprivileged_userfaultfd)" = 0 ]; then
        expect "no permission for userfaultfd is said so, with what would give it" 3 'userfaultfd' \
            unshare -m bash -c "$own_dev"'mknod -m 666 /dev/kvm c 10 232 && '"$as_nobody" - "$work/dirtylab" "${small[@]}" --tracker uffd-wp
    else
        skip "no permission for userfaultfd is said so, with what would give it" "vm.unprivileged_userfaultfd is 1 here"
    fi

    timeout 120 "$dirtylab" "${small[@]}" --tracker kvm-bitmap --json /dev/full >"$work/out" 2>"$work/err" </dev/null
    status=$?
    if [ $status -eq 1 ] && grep -q 'kvm-bitmap' "$work/out" && grep -q '^dirtylab: .*No space left' "$work/err"; then
        result ok "a full disk under --json costs the file, not the table" ""
    else
        result "not ok" "a full disk under --json costs the file, not the table" "status $status: $(cat "$work/out" "$work/err")"
    fi

    # was_cut STATUS: the last bench ended with that, and had something to show.
    was_cut() {
        [ "$status" -eq "$1" ] && grep -q '"complete" : false' "$work/cut.json" && grep -q 'kvm-bitmap' "$work/out"
    }
    for signal in INT:130 TERM:143; do
        for seconds in 3 15 60; do # on a busy host nothing may have been measured yet
            timeout --preserve-status -s "${signal%:*}" $seconds "$dirtylab" bench --tracker kvm-bitmap --runs 10000 --memory 64M \
                --json "$work/cut.json" >"$work/out" 2>"$work/err" </dev/null
            status=$?
            if was_cut "${signal#*:}" && grep -q '"interrupted"' "$work/cut.json"; then break; fi
        done
        if was_cut "${signal#*:}" && grep -q '"interrupted"' "$work/cut.json"; then
            result ok "SIG${signal%:*} in the middle writes what was measured, marked incomplete, and ends with ${signal#*:}" ""
        else
            result "not ok" "SIG${signal%:*} in the middle writes what was measured" "status $status: $(cat "$work/out" "$work/err")"
        fi
    done

    expect "a move from bitmaps to rings is refused with the reason" 3 'rings or dirty bitmaps' \
        "$dirtylab" bench-migration --tracker kvm-bitmap --move kvm-bitmap:kvm-ring@2
    expect "memory for two guests is asked for" 3 'ask for less' "$dirtylab" bench-migration --memory "$(($(awk '/MemTotal/ { print $2 }' /proc/meminfo) * 3 / 4096))M"
    for seconds in 4 15 60; do
        timeout --preserve-status -s INT $seconds "$dirtylab" bench-migration --tracker kvm-bitmap --runs 10000 --memory 32M \
            --json "$work/cut.json" >"$work/out" 2>"$work/err" </dev/null
        status=$?
        if was_cut 130; then break; fi
    done
    if was_cut 130; then
        result ok "SIGINT in the middle of migrations writes what was measured, marked incomplete" ""
    else
        result "not ok" "SIGINT in the middle of migrations writes what was measured" "status $status: $(cat "$work/out" "$work/err")"
    fi
    if timeout 120 "$dirtylab" bench-migration --tracker kvm-bitmap --memory 32M --runs 1 --warmup 0 --format csv >"$work/out" 2>"$work/err" </dev/null &&
        grep -q '^kvm-bitmap,.*,completed,,true,0,' "$work/out"; then
        result ok "a migration's line of CSV says that all RAM was equal" ""
    else
        result "not ok" "a migration's line of CSV says that all RAM was equal" "$(cat "$work/out" "$work/err")"
    fi

    for format in json csv md; do
        if timeout 120 "$dirtylab" "${small[@]}" --tracker kvm-bitmap --format $format >"$work/out" 2>"$work/err" </dev/null &&
            grep -q 'kvm-bitmap' "$work/out"; then
            result ok "--format $format prints the results so" ""
        else
            result "not ok" "--format $format prints the results so" "$(cat "$work/out" "$work/err")"
        fi
    done
    if timeout 120 "$dirtylab" bench --tracker all --ram all --list >"$work/out" 2>&1 && grep -qE 'skipped' "$work/out"; then
        result ok "--list names the cases and what is skipped, and runs nothing" ""
    else
        result "not ok" "--list names the cases and what is skipped" "$(cat "$work/out")"
    fi
    if nothing_left && [ "$(used_hugepages)" = "$before" ]; then
        result ok "nothing of all this is left behind" ""
    else
        result "not ok" "nothing of all this is left behind" "hugepages $before, now $(used_hugepages); $(left_behind)"
    fi
else
    skip "what needs KVM" "there is no /dev/kvm"
fi
echo "1..$number"
