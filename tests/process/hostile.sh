#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# What a hostile program reaches of the host on platform process (tests/process/hostile.c): nothing
# outside the table in SECURITY.md. Needs strace for one of the checks.
set -uo pipefail
cd "$(dirname "$0")/../.."
work=$PWD/build/tests/hostile-image
export XDG_DATA_HOME=$work/store
rm -rf "$work"
mkdir -p "$work/context"
cp build/tests/process/hostile "$work/context/"
printf 'FROM scratch\nCOPY hostile /\n' >"$work/context/Dockerfile"
if ! build/bin/lith build -q -t hostile "$work/context" >"$work/build.log" 2>&1; then
    echo "not ok - image of the hostile program"
    sed 's/^/# /' "$work/build.log"
    exit 1
fi
exec 2>/dev/null # the shell has a line for each that is killed
failed=0
program=(hostile /hostile)
hostile() { timeout -k 5 60 build/bin/lith run --platform process --net none -m 32M "${program[@]}" "$@" >"$work/log" 2>&1 </dev/null; }
result() { # TEXT CONDITION-STATUS
    if [ "$2" = 0 ]; then
        echo "ok - $1"
    else
        echo "not ok - $1"
        tail -n 10 "$work/log" | sed 's/^/# /'
        failed=1
    fi
}
ended() { # TEXT STATUS COMMAND...
    local text=$1 want=$2 rc
    shift 2
    hostile "$@"
    rc=$?
    [ $rc = "$want" ] && ! grep -q returned "$work/log"
    result "$text (status $rc)" $?
}

hostile raw
result "raw calls of every number: the kernel answers" $?
grep -q '^answered 1170' "$work/log"
result "all of them" $?
grep -q '^pid 1$' "$work/log"
result "getpid is the instance's" $?
rm -f /tmp/lith-hostile-canary
hostile effects
result "raw open, socket, uname" $?
[ ! -e /tmp/lith-hostile-canary ] && grep -q '^uname Linux' "$work/log"
result "they reach the instance, not the host" $?
ended "a 32-bit call is a fault" 139 int80
hostile flip
result "memory may become executable when it is not writable any more" $?

# From the kernel's own place: every number but those of the table ends the process by SIGSYS.
every_number() {
    bad='' n=0
    for nr in $(seq 0 470) 512 1073741824 1073741833 4294967295; do
        # Linux lets 335 and 336 (uretprobe, uprobe) pass every filter, and refuses them by itself.
        case $nr in 335 | 336 | 1 | 9 | 10 | 11 | 15 | 223 | 231 | 271) continue ;; esac
        hostile call "$nr"
        [ $? = 159 ] || bad="$bad $nr"
        n=$((n + 1))
    done
}
every_number
for nr in 335 336; do
    hostile call $nr
    ! grep -q 'returned [0-9]' "$work/log"
    result "$nr: Linux itself refuses it" $?
done
[ -z "$bad" ]
result "$n other numbers by the kernel's call: each ends the process${bad:+; not:$bad}" $?

# ... and of the table with other arguments.
ram=$(strace -f -e trace=memfd_create build/bin/lith run --platform process --net none hostile /hostile flip 2>&1 |
    sed -n 's/.*"lith-ram".*= \([0-9]*\)$/\1/p')
root=$(strace -f -e trace=openat,open build/bin/lith run --platform process --net none hostile /hostile flip 2>&1 |
    sed -n 's/.*root.erofs".*= \([0-9]*\)$/\1/p' | tail -1)
: "${ram:=6}" "${root:=5}" # without strace
at=0x500000000000 page=0x4000
ended "mmap writable and executable" 159 call 9 $at 4096 7 0x11 "$ram" 0
ended "mmap with a protection bit beside those" 159 call 9 $at 4096 0x0b 0x11 "$ram" 0
ended "mmap with high protection bits" 159 call 9 $at 4096 0x100000001 0x11 "$ram" 0
ended "mmap anonymous" 159 call 9 $at 4096 3 0x32 0xffffffff 0
ended "mmap private" 159 call 9 $at 4096 5 0x12 "$root" 0
ended "mmap not fixed" 159 call 9 0 4096 1 0x01 "$root" 0
ended "mmap of another descriptor" 159 call 9 $at 4096 1 0x11 0 0
ended "mmap over the kernel" 159 call 9 0x7c0000000000 4096 5 0x11 "$ram" 0
ended "mmap that grows over the kernel" 159 call 9 0x7a0000000000 0x20000000000 5 0x11 "$ram" 0
ended "mprotect to writable and executable" 159 call 10 0x780000000000 4096 7
ended "mprotect with PROT_GROWSDOWN" 159 call 10 0x780000000000 4096 0x1000001
ended "write to the RAM's descriptor" 159 call 1 "$ram" 0x10000 16
ended "write to descriptor 0" 159 call 1 0 0x10000 16
hostile call 9 $at 4096 3 0x11 "$root" 0
grep -q '^returned -13$' "$work/log"
result "the root file cannot be mapped writable (EACCES)" $?
hostile call 9 $at 4096 1 0x11 "$root" $page
grep -q '^returned 87960930222080$' "$work/log"
result "what the kernel itself may ask for works for a program, too" $?
ended "exit_group is the instance's end" 7 call 231 7

# strace: of all that was tried by raw calls, only the table's calls went through.
if command -v strace >/dev/null; then
    timeout 120 strace -f -o "$work/strace" build/bin/lith run --platform process --net none -m 32M hostile /hostile raw >"$work/log" 2>&1 </dev/null
    result "under strace" $?
    # A line that is followed by SIGSYS did not happen.
    awk '/seccomp\(SECCOMP_SET_MODE_FILTER/ { on = 1; next }
         !on { next }
         { sub(/^[0-9]+ +/, "") }
         /^--- SIGSYS/ { last = ""; next }
         { if (last != "") print last; last = /^[a-z_0-9]+\(/ ? $0 : "" }
         END { if (last != "") print last }' "$work/strace" | sed 's/(.*//' | sort | uniq -c >"$work/calls"
    sed 's/^/# /' "$work/calls"
    ! awk '{print $2}' "$work/calls" | grep -vxE 'readv|writev|write|ppoll|mmap|mprotect|munmap|timer_settime|exit_group|rt_sigreturn'
    result "nothing but the table's calls reached the host" $?
    [ "$(grep -c SIGSYS "$work/strace")" -gt 1000 ]
    result "the others were trapped" $?
else
    echo "ok - system calls that reached the host # SKIP no strace"
fi

# The same from a program that is linked with the kernel: there no `syscall` of its own leads anywhere.
if build/bin/lith-cc -std=gnu11 -O1 tests/process/hostile.c -o "$work/hostile.linked" >"$work/log" 2>&1; then
    program=("$work/hostile.linked")
    ended "linked: a raw call is a fault" 139 raw
    ended "linked: a 32-bit call, too" 139 int80
    every_number
    [ -z "$bad" ]
    result "linked: $n numbers by the kernel's call: each ends the process${bad:+; not:$bad}" $?
    ended "linked: mmap writable and executable" 159 call 9 $at 4096 7 0x11 "$ram" 0
    ended "linked: mmap over the image" 159 call 9 0x7c0000000000 4096 5 0x11 "$ram" 0
    ended "linked: mprotect to writable and executable" 159 call 10 0x780000000000 4096 7
    ended "linked: write to descriptor 0" 159 call 1 0 0x780000000000 16
    ended "linked: exit_group is the instance's end" 7 call 231 7
else
    result "a linked hostile program is built" 1
fi
exit $failed
