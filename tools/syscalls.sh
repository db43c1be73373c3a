#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Collects the SYSCALL(nr, name, ...) lines of the files given into the dispatch table's source:
#   syscalls.sh OUT_DIR FILE...   writes OUT_DIR/syscalls.inc and OUT_DIR/syscall_names.inc
# Two declarations of one number or one name are an error. Files change only when their content does.
set -euo pipefail
out=$1
shift
mkdir -p "$out"
replace() { # FILE: keeps the old one when nothing changed, so that nothing is rebuilt
    if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

{ grep -hoE '^SYSCALL(_QUICK|_REGS)?\([0-9]+, *[a-z0-9_]+' "$@" || true; } |
    sed -E 's/^SYSCALL(_QUICK|_REGS)?\(([0-9]+), *([a-z0-9_]+)/\2 \3/' | sort -n >"$out/syscalls.list"
for column in 1 2; do
    dup=$(awk -v c=$column '{print $c}' "$out/syscalls.list" | sort | uniq -d)
    if [ -n "$dup" ]; then
        echo "syscalls.sh: declared twice: $dup" >&2
        grep -nE "^SYSCALL(_QUICK|_REGS)?\(([0-9]+, *)?($(echo "$dup" | paste -sd'|'))\b" "$@" >&2 || true
        exit 1
    fi
done
awk '{printf "SYSCALL_ENTRY(%s, %s)\n", $1, $2}' "$out/syscalls.list" >"$out/syscalls.inc.new"

# Every call that Linux has, for log lines: one string, names in order, a NUL after each.
echo '#include <asm/unistd_64.h>' | gcc -E -dM - | sed -nE 's/^#define __NR_([a-z0-9_]+) ([0-9]+)$/\2 \1/p' |
    sort -n | awk '{while (n < $1) {print "\"\\0\""; n++} printf "\"%s\\0\"\n", $2; n++}' >"$out/syscall_names.inc.new"

# The names must be Linux's for these numbers.
bad=$(echo '#include <asm/unistd_64.h>' | gcc -E -dM - | sed -nE 's/^#define __NR_([a-z0-9_]+) ([0-9]+)$/\2 \1/p' | sort |
    join -v2 -t'|' - <(sort "$out/syscalls.list"))
if [ -n "$bad" ]; then
    echo "syscalls.sh: not Linux's number and name: $bad" >&2
    exit 1
fi
replace "$out/syscalls.inc"
replace "$out/syscall_names.inc"
