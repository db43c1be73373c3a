#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Runs the guest tests (build/tests/guest/*, ordinary Linux programs that print TAP) inside instances:
# one image holds them all with the C library that they were linked with. Each program runs once per
# platform that this host has: QEMU in ring 0, as a process, and KVM, or QEMU in ring 3 where KVM does not work.
#   tests/guest/run.sh [-p PLATFORM] [PROGRAM...]    PLATFORM: qemu, qemu3, kvm, process; else $LITH_PLATFORMS
# faults* are not among them: those must not survive (tests/guest/faults.sh).
set -uo pipefail
cd "$(dirname "$0")/../.."
bin=$PWD/build/bin programs=$PWD/build/tests/guest work=$PWD/build/tests/guest-image
platforms=${LITH_PLATFORMS:-}
[ "${1:-}" = -p ] && platforms=$2 && shift 2
XDG_DATA_HOME=$work/store
export XDG_DATA_HOME LITH_QEMU_ACCEL=${LITH_QEMU_ACCEL:-tcg}

names=("$@")
if [ ${#names[@]} = 0 ]; then
    for p in "$programs"/*; do
        case $(basename "$p") in *.d | faults*) ;; *) [ ! -x "$p" ] || names+=("$(basename "$p")") ;; esac
    done
fi
if [ -z "$platforms" ]; then
    if "$bin/lith" info | grep -q '^KVM: *works'; then
        platforms="qemu kvm process"
    else
        platforms="qemu qemu3 process"
        echo "ok - kvm: guest tests # skip KVM does not work on this host (lith info)"
    fi
fi

# The image: the programs, and every library that ldd finds for them.
rm -rf "$work/context"
mkdir -p "$work/context/t" "$work/context/lib" "$work/context/tmp"
for n in "${names[@]}"; do cp "$programs/$n" "$work/context/t/"; done
ldd "$work"/context/t/* 2>/dev/null | awk '$3 ~ /^\// {print $3}' | sort -u |
    xargs -r -I{} cp -L {} "$work/context/lib/"
cp -L /lib64/ld-linux-x86-64.so.2 "$work/context/"
cp -L /lib/x86_64-linux-gnu/libgcc_s.so.1 "$work/context/lib/" # pthread_cancel loads it by name
cat >"$work/context/Dockerfile" <<DOCKERFILE
FROM scratch
COPY lib /lib/x86_64-linux-gnu/
COPY ld-linux-x86-64.so.2 /lib64/
COPY t /t/
COPY tmp /tmp/
ENV PATH=/t
DOCKERFILE
if ! "$bin/lith" build -q -t guest-tests "$work/context" >"$work/build.log" 2>&1; then
    cat "$work/build.log"
    echo "not ok - the image of the guest tests cannot be built"
    exit 1
fi

status=0
run_one() { # PLATFORM PROGRAM
    local flags=(--platform "$1") log=$work/$1-$2.log rc want="" env=()
    [ "$1" != qemu3 ] || flags=(--platform qemu) env=(LITH_RING=3)
    case $2 in net_* | udp_* | tcp_*) ;; *) flags+=(--net none) ;; esac
    env ${env[@]+"${env[@]}"} timeout -k 5 120 "$bin/lith" run "${flags[@]}" -m 128M guest-tests "/t/$2" \
        >"$log" 2>&1 </dev/null
    rc=$?
    # What counts: its own lines, under the platform's name, and that it came to its plan.
    sed -nE "s|^(not )?ok ([0-9]+ )?(- )?(.*)|\1ok - $1/$2: \4|p" "$log"
    want=$(sed -nE 's/^1\.\.([0-9]+)\r?$/\1/p' "$log" | tail -1)
    if [ -z "$want" ] || [ "$(grep -cE '^(not )?ok ' "$log")" != "$want" ]; then
        echo "not ok - $1/$2: ended with status $rc before its plan was complete"
        tail -n 15 "$log" | sed 's/^/# /'
        status=1
    elif [ $rc != 0 ]; then
        grep -A1 '^not ok' "$log" | sed 's/^/# /'
        grep -q '^not ok' "$log" || echo "not ok - $1/$2: status $rc"
        status=1
    fi
}
for p in $platforms; do
    for n in "${names[@]}"; do run_one "$p" "$n"; done
done
exit $status
