#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# The kernel as an archive for link mode: archive.sh OUT EXPORTS OBJECT...
# Without line numbers: they and their relocations would be nine tenths of every program.
# Members are called FOLDER__FILE.o (build/obj/kernel/fs/open.c.o: fs__open.o). Global names that do not match
# the pattern EXPORTS get the prefix __lith_, also those that the linker script defines.
set -euo pipefail
out=$1 exports=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
    nm -g --defined-only "$@" | awk 'NF == 3 {print $3}'
    grep -ohE '__lith_[a-z0-9_]+' "$(dirname "$out")/link.ld" | sed 's/^__lith_//'
} | grep -vE "$exports" | sort -u | awk '{print $1, "__lith_" $1}' >"$work/names"
for object in "$@"; do
    name=${object#*/obj/}
    name=${name#link/}
    name=${name#kernel/}
    name=${name%.?.o}
    name=${name//\/x86_64/}
    objcopy --strip-debug --redefine-syms="$work/names" "$object" "$work/$(dirname "$name" | tr / _)__$(basename "$name").o"
done
rm -f "$out"
ar rcsD "$out" "$work"/*.o
