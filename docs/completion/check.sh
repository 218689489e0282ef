#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What bash completes, asked of the completion as readline would.
#   check.sh DIRTYLAB COMPLETION
set -uo pipefail
dirtylab=$1
# shellcheck source=/dev/null
. "$2"
number=0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# expect NAME WANTED UNWANTED WORD...: the last word is what is being typed; WANTED is among the answers, UNWANTED is not.
expect() {
    local name=$1 wanted=$2 unwanted=$3
    shift 3
    COMP_WORDS=("$dirtylab" "$@")
    COMP_CWORD=$#
    COMPREPLY=()
    _dirtylab
    number=$((number + 1))
    if [[ " ${COMPREPLY[*]} " == *" $wanted "* && (-z $unwanted || " ${COMPREPLY[*]} " != *" $unwanted "*) ]]; then
        echo "ok $number - $name"
    else
        echo "not ok $number - $name"
        echo "# ${COMPREPLY[*]:-nothing}"
    fi
}

touch "$folder/result.json" "$folder/picture.png"
expect "subcommands" semantics --json ''
expect "subcommands by their beginning" report compare re
expect "options of a subcommand" --uffd-handler --kernel bench --
expect "options by their beginning" --pattern --tracker bench --pa
expect "names of trackers" pagemap-scan shmem bench --tracker ''
expect "names of trackers after the equals sign" kvm-ring shmem bench --tracker = kvm
expect "more of a list" none,kvm-ring none,uffd-wp bench --tracker none,kvm
expect "kinds of RAM" hugetlb-2M none bench --ram h
expect "formats" csv '' bench --format c
expect "result files" "$folder/result.json" "$folder/picture.png" report "$folder/"
expect "files of an option" "$folder/picture.png" '' boot --kernel "$folder/p"
echo "1..$number"
