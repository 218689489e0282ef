#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes an assembler file that holds a file's bytes between two symbols: embed.sh INPUT OUTPUT
set -eu
input=$(realpath "$1")
cat > "$2" <<EOF
    .section .rodata.embedded_guest, "a"
    .globl embedded_guest_start, embedded_guest_end
    .balign 16
embedded_guest_start:
    .incbin "$input"
embedded_guest_end:
    .section .note.GNU-stack, "", @progbits
EOF
