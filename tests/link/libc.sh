#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# The libc of link mode, proved on Linux itself: programs linked against build/lib/libc.a run as ordinary
# processes behind a pass-through link_gate (tests/link/libc/host.S). And what it is made of: no system
# call instruction, and few kernel calls in small programs. Prints TAP. Usage: make link-tests && tests/link/libc.sh
set -u
cd "$(dirname "$0")/../.." || exit 1
bin=build/tests/link/libc
libc=build/lib/libc.a
[ -f $libc ] || { echo "Bail out! $libc is missing: make libc"; exit 1; }
failed=0
ok() { # STATUS NAME
    if [ "$1" = 0 ]; then echo "ok - $2"; else echo "not ok - $2"; failed=1; fi
}

# A program's own TAP lines, by its name; its status when it did not end as it should.
run() { # NAME STATUS ARG...
    local name=$1 want=$2 status
    shift 2
    LITH_TEST=yes timeout 120 "$bin/$name" "$@" >"$tmp" 2>&1
    status=$?
    sed -E "s/^((not )?ok - )/\1$name: /" "$tmp"
    ! grep -q '^not ok' "$tmp" || failed=1
    [ $status = "$want" ] || { echo "not ok - $name: status $status, expected $want"; failed=1; }
}
tmp=$(mktemp)
trap 'rm -f "$tmp"' EXIT

run empty 0
run puts 0 >/dev/null
ok "$([ "$(cat "$tmp")" = hello ]; echo $?)" "puts: its line"
run basics 7 one "two words"
ok "$(tail -n 1 "$tmp" | grep -qx last; echo $?)" "basics: atexit"
run files 0
run signals 0
run threads 0
run cancel 0
run processes 0

# No instruction that enters a kernel, in any member.
objdump -d $libc build/lib/libnosys.a | grep -wE '(syscall|sysenter|int +\$0x80) *$' >"$tmp"
ok "$([ ! -s "$tmp" ]; echo $?)" "no system call instruction in libc.a and libnosys.a"
sed 's/^/# /' "$tmp"
# syscall() alone has numbers at run time.
users=$(nm -A $libc 2>/dev/null | awk '/ U gate_syscall$/ {split($1, f, ":"); print f[2]}' | paste -sd' ')
ok "$([ "$users" = syscall.o ]; echo $?)" "only syscall() calls by number (${users:-none})"

# The libc relies on calls that the kernel must have.
missing=$(sed -nE 's/^ *case SYS_([a-z0-9_]+):$/\1/p' libc/arch/syscall_arch.h | sort |
    comm -23 - <(cut -d' ' -f2 build/gen/syscalls.list | sort) | paste -sd' ')
ok "$([ -z "$missing" ]; echo $?)" "the kernel has the calls that the libc takes for granted${missing:+: not $missing}"

# What a program does not use is not linked. (gate_syscall is the test's own and always there.)
gates() { nm "$bin/$1" | awk '$3 ~ /^gate_/ && $3 != "gate_syscall" {print substr($3, 6)}' | sort | paste -sd' '; }
few() { # NAME MOST
    local names count
    names=$(gates "$1")
    count=$(wc -w <<<"$names")
    ok "$([ "$count" -gt 0 ] && [ "$count" -le "$2" ]; echo $?)" "$1: $count kernel calls, at most $2 ($names)"
}
few empty 5
few puts 10
exit $failed
