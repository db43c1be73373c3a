#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Linked programs on every machine: those that prove the libc (tests/link/libc), threads and clocks, and
# what must fault, with the report that a person gets (instances/faults.c), also of programs without symbols. As
# a process also for an ordinary user. Prints TAP.
# shellcheck disable=SC2034
: "${LITH_PLATFORMS:=kvm process qemu}"
. "$(dirname "$0")/../apps/lab.sh"
BIN=$LAB_TOP/build/tests/link/instances
CC=$LAB_TOP/build/bin/lith-cc
LIBC_PROGRAMS="basics files signals threads cancel"

build() {
    local n from=$LAB_TOP/tests/link
    mkdir -p "$BIN"
    for n in $LIBC_PROGRAMS; do "$CC" -std=gnu11 -O2 "$from/libc/$n.c" -lm -o "$BIN/$n" || return; done
    "$CC" -std=gnu11 -O1 -g -Wall -Wextra -Werror "$from/instances/faults.c" -o "$BIN/faults" &&
        "$CC" -std=gnu11 -O1 --release "$from/instances/faults.c" -o "$BIN/faults-release" &&
        "$CC" -O1 -o "$BIN/plain-fault" -x c - <<<'int main(int c, char **v) { return *(volatile int *)(c - 1L) + (v != 0); }'
}
build || { not_ok "the programs are built"; lab_plan_end; exit 1; }

AS=()
plain() { # OPTION... PROGRAM ARG...
    LAB_LOG=$LAB_TMP/console.$((++LAB_STARTS))
    timeout 120 "${AS[@]}" "$LITH" run --platform "$PLATFORM" --net none "$@" >"$LAB_LOG" 2>&1 </dev/null
    LAB_STATUS=$?
}
ends() { # PROGRAM CASE STATUS REGEX
    plain -m 32M "$BIN/$1" "$2"
    matches "$1 $2${AS[0]:+, an ordinary user}: status and report" "$LAB_STATUS $(tr -d '\r' <"$LAB_LOG")" "^$3 .*$4"
    ! grep -q survived "$LAB_LOG" || not_ok "$1 $2 survived"
}
must_fault() {
    ends faults null 139 'read of address zero|write to address zero.*faults.*rip .*backtrace:.*kernel: null\+0x'
    ends faults text 139 'write to memory of the kernel.*kernel: text\+0x'
    ends faults constant 139 'write to memory of the kernel'
    ends faults data 139 'execution of memory of the kernel'
    ends faults heap 139 'execution of'
    ends faults text-in-ram 139 'write to memory of the kernel'
    ends faults stack 139 'stack overflow'
    ends faults thread-stack 139 'stack'
    ends faults instruction 132 'illegal instruction'
    ends faults divide 136 'divi'
    ends faults memory 135 'lith run -m'
    ends faults write-and-execute 134 'SIGABRT'
    ends faults-release null 139 'write to address zero.*kernel\+0x'
    ends plain-fault "" 139 'program ended by page fault \(read\): null pointer'
    [ "$PLATFORM" != process ] || ends faults raw-call 139 'general protection fault'
}
outside_ends() {
    local pid i
    LAB_LOG=$LAB_TMP/console.$((++LAB_STARTS))
    "${AS[@]}" "$LITH" run --platform "$PLATFORM" --net none "$BIN/faults" sleep >"$LAB_LOG" 2>&1 </dev/null &
    pid=$!
    for i in $(seq 200); do ! grep -q case "$LAB_LOG" || break; sleep 0.05; done
    kill -TERM $pid
    wait $pid
    is "SIGTERM ends one that sleeps${AS[0]:+, an ordinary user}" $? 143
}
each() {
    local n
    for n in $LIBC_PROGRAMS; do
        plain -m 256M -e LITH_TEST=yes "$BIN/$n" one "two words"
        is "libc: $n" "$LAB_STATUS $(grep -c '^not ok' "$LAB_LOG") $(grep -q '^ok' "$LAB_LOG" && echo some)" \
            "$([ $n = basics ] && echo 7 || echo 0) 0 some"
    done
    ends faults threads 7 '4 threads ran, not early, wall clock set'
    must_fault
    outside_ends
    if [ "$PLATFORM" = process ] && [ "$(id -u)" = 0 ]; then
        AS=(setpriv --reuid=65534 --regid=65534 --clear-groups)
        ends faults threads 7 '4 threads ran, not early, wall clock set'
        must_fault
        outside_ends
        AS=()
    fi
}
lab_each_platform each
lab_plan_end
