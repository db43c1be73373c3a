#!/usr/bin/env bash
# lint: format (clang-format), layering of kernel folders, one public header per folder, SPDX lines.
set -uo pipefail
cd "$(dirname "$0")/.."
bad=0
complain() { echo "lint: $*"; bad=1; }

mapfile -t sources < <(git ls-files '*.c' '*.h' '*.cc')
if command -v clang-format >/dev/null; then
    unformatted=$(clang-format --dry-run -Werror "${sources[@]}" 2>&1 | sed -n 's/:.*error: code should.*//p' | sort -u)
    [ -z "$unformatted" ] || complain "not formatted (run make format):"$'\n'"$unformatted"
else
    complain "clang-format is not installed (make deps)"
fi

# The one table of layers, lowest first; fs, net and lith are neighbours that do not know each other.
declare -A rank=([lib]=0 [arch]=1 [plat]=2 [core]=3 [mm]=4 [sched]=5 [dev]=6 [fs]=7 [net]=7 [lith]=7 [linux]=8)
while IFS=: read -r file _ line; do
    from=${file#kernel/}; from=${from%%/*}
    to=$(sed -n 's|.*"\([a-z]*\)/.*|\1|p' <<<"$line")
    header=$(sed -n 's|.*"\([^"]*\)".*|\1|p' <<<"$line")
    [ -n "${rank[$from]:-}" ] || { complain "$file: no such layer"; continue; }
    case $header in abi/* | build/gen/*) continue ;; esac
    if [ -z "${rank[$to]:-}" ]; then complain "$file includes $header: kernel code names folders (\"fs/fs.h\")"; continue; fi
    if [ "$to" != "$from" ] && [ "${rank[$to]}" -ge "${rank[$from]}" ]; then
        complain "$file includes $header: $from may not know $to"
    fi
    # Another folder's header must be its public one; the CPU's own header is for arch and plat.
    if [ "$to" != "$from" ] && [ "$header" != "$to/$to.h" ]; then
        [ "$header" = arch/x86_64/x86.h ] && [ "$from" = plat ] || complain "$file includes $header, which is private to $to"
    fi
done < <(git grep -n '^#include "' -- 'kernel/*.c' 'kernel/*.h' 'kernel/*.S' | sed 's/:\([0-9]*\):/:\1:/')
while IFS=: read -r file _ line; do
    header=$(sed -n 's|.*<\([^>]*\)>.*|\1|p' <<<"$line")
    case $header in
    linux/* | asm/* | asm-generic/* | stdint.h | stddef.h | stdbool.h | stdarg.h) ;;
    *) complain "$file includes <$header>: the kernel has no C library" ;;
    esac
done < <(git grep -n '^#include <' -- 'kernel/*.c' 'kernel/*.h')
for d in "${!rank[@]}"; do
    [ -f "kernel/$d/$d.h" ] || complain "kernel/$d has no public header $d.h"
done
# Privileged instructions stay in arch and plat.
if git grep -nE '\b(cli|sti|hlt|wrmsr|rdmsr|invlpg|lgdt|lidt|outb|inb|outl)\b.*(__asm__|asm)|asm.*"(cli|sti|hlt|wrmsr|rdmsr|invlpg|in|out)[bwl]? ' \
    -- 'kernel/*.c' ':!kernel/arch' ':!kernel/plat' >/tmp/lint.$$; then
    complain "privileged instructions outside arch and plat:"$'\n'"$(cat /tmp/lint.$$)"
fi
rm -f /tmp/lint.$$
for f in "${sources[@]}"; do
    head -n 1 "$f" | grep -q 'SPDX-License-Identifier: ISC' || complain "$f: first line is not the SPDX line"
done
[ $bad = 0 ] && echo "lint: ok"
exit $bad
