#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Must-fault programs (tests/guest/faults.c), each in an instance of its own: each must end with the given
# status and a report that names the cause.
set -uo pipefail
cd "$(dirname "$0")/../.."
work=$PWD/build/tests/faults-image
export XDG_DATA_HOME=$work/store
platforms=${LITH_PLATFORMS:-}
if [ -z "$platforms" ]; then
    platforms="qemu qemu3 process"
    if build/bin/lith info | grep -q '^KVM: *works'; then
        platforms="$platforms kvm"
    else
        echo "ok - kvm: must-fault programs # skip KVM does not work on this host (lith info)"
    fi
fi
rm -rf "$work"
mkdir -p "$work/context/lib"
cp build/tests/guest/faults "$work/context/"
ldd build/tests/guest/faults | awk '$3 ~ /^\// {print $3}' | xargs -r -I{} cp -L {} "$work/context/lib/"
cp -L /lib64/ld-linux-x86-64.so.2 "$work/context/"
printf 'FROM scratch\nCOPY lib /lib/x86_64-linux-gnu/\nCOPY ld-linux-x86-64.so.2 /lib64/\nCOPY faults /\n' \
    >"$work/context/Dockerfile"
if ! build/bin/lith build -q -t faults "$work/context" >"$work/build.log" 2>&1; then
    echo "not ok - image of the must-fault programs"
    sed 's/^/# /' "$work/build.log"
    exit 1
fi

failed=0
check() { # PLATFORM CASE STATUS PATTERN
    local log=$work/$1-$2.log rc env=() platform=$1
    [ "$1" != qemu3 ] || { env=(LITH_RING=3); platform=qemu; }
    env ${env[@]+"${env[@]}"} timeout -k 5 60 build/bin/lith run --platform "$platform" --net none -m 64M faults /faults "$2" \
        >"$log" 2>&1 </dev/null
    rc=$?
    if [ $rc = "$3" ] && { [ -z "$4" ] || grep -qE "$4" "$log"; } && ! grep -q survived "$log"; then
        echo "ok - $1: $2"
    else
        echo "not ok - $1: $2 (status $rc, wanted $3 and: $4)"
        tail -n 20 "$log" | sed 's/^/# /'
        failed=1
    fi
}
for p in $platforms; do
    while IFS='|' read -r name status pattern; do
        # A program in ring 0 may use privileged instructions: the instance is the boundary (SECURITY.md).
        [ "$name" = privileged ] && [ "$p" != qemu3 ] && [ "$p" != process ] && continue
        check "$p" "$name" "$status" "$pattern"
    done <<'CASES'
write_text|139|page fault: write to read-only memory
write_rodata|139|page fault: write to read-only memory
run_data|139|page fault: execution of memory that is not executable
run_stack|139|page fault: execution of memory that is not executable
run_heap|139|page fault: execution of memory that is not executable
run_mmap|139|page fault: execution of memory that is not executable
null_read|139|read of address zero
null_write|139|write to address zero
null_call|139|execution of address zero
stack_overflow|139|stack overflow
stack_smash|134|stack smashing detected
write_gate_table|139|page fault: write to
write_kernel_text|139|page fault: write to memory of the kernel
no_access|139|page fault: read of memory without access
divide|136|divi(de|sion)
illegal|132|(invalid|illegal)
privileged|139|(general protection|privileged)
write_exec|42|
CASES
done
exit $failed
