#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The manual pages say what the program does: each option of a subcommand's --help is on its page and each on the page is an option,
# each subcommand is on the program's page, each public function and no other on the library's, and groff finds nothing to warn of.
#   check.sh DIRTYLAB FOLDER-OF-PAGES FOLDER-OF-HEADERS PAGE-THAT-WAS-MADE...
set -uo pipefail
dirtylab=$1
pages=$2
headers=$3
made=("${@:4}")
number=0

result() { # what is wrong (nothing: all is well), name
    number=$((number + 1))
    if [[ -z $1 ]]; then
        echo "ok $number - $2"
    else
        echo "not ok $number - $2"
        printf '# %s\n' "${1//$'\n'/ }"
    fi
}

# Option names in a text; a page writes \- for each hyphen.
options() {
    sed 's/\\-/-/g; s/\\f[BIR]//g' | grep -oE '(^|[ ,])--[a-z][a-z-]*' | tr -d ' ,' | sort -u
}

mapfile -t subcommands < <("$dirtylab" --help | sed -n '/^Subcommands:/,$p' | sed -n 's/^  \([a-z][a-z-]*\)  *[A-Z].*/\1/p')
[[ ${#subcommands[@]} -ge 5 ]] || { echo "Bail out! dirtylab --help names no subcommands"; exit 1; }

for name in "${subcommands[@]}"; do
    page=$pages/dirtylab-$name.1
    if [[ ! -e $page ]]; then
        result "$page is missing" "$name has a manual page"
        continue
    fi
    result "$(grep -q "dirtylab\\\\-${name//-/\\\\-}" "$pages/dirtylab.1" || echo "dirtylab.1 does not name it")" "dirtylab(1) names $name"
    # what stands in the list of options; prose may speak of another subcommand's
    result "$(diff <("$dirtylab" "$name" --help | options) <(sed -n '/^\.SH OPTIONS/,/^\.SH/p' "$page" | grep -A1 '^\.TP' | options))" \
        "$name: the page has the options of --help, and no other"
done

# A declaration names its function right before the parenthesis; the page writes it in bold, with one behind.
result "$(diff <(grep -rhoE '\bdl_[a-z0-9_]+\(' "$headers" | sort -u) \
    <(grep -oE 'fBdl_[a-z0-9_]+\\fR\(' "$pages/libdirtylog.3" | sed 's/^fB//; s/\\fR//' | sort -u))" "libdirtylog(3) has the functions of the headers, and no other"

if command -v groff >/dev/null; then
    for page in "$pages"/*.[135] "${made[@]}"; do
        result "$(groff -man -t -Tutf8 -ww -z "$page" 2>&1)" "$(basename "$page"): groff has nothing to say"
    done
fi
echo "1..$number"
