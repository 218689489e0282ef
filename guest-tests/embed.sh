#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes an assembler file that holds a file's bytes between NAME_start and NAME_end: embed.sh INPUT OUTPUT NAME
set -eu
input=$(realpath "$1")
cat > "$2" <<EOF
    .section .rodata.$3, "a"
    .globl $3_start, $3_end
    .balign 16
$3_start:
    .incbin "$input"
$3_end:
    .section .note.GNU-stack, "", @progbits
EOF
