#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# UDP echo: answers per second of a program on the raw device (lith.h, examples/udp-echo), of one on
# sockets in link mode, and of the same one as a Linux process behind a veth pair, in network
# namespaces of their own. Some datagrams are under way at any time; loss is part of the result. Then
# what a datagram costs in the instance, which the first table does not show where host and client
# take most of the time: instructions, counted by QEMU (raw_cost.c).
# `make bench-raw`; SECONDS_EACH=1 ROUNDS=5 (the median counts).
# shellcheck disable=SC2034
SECONDS_EACH=${SECONDS_EACH:-1} ROUNDS=${ROUNDS:-5}
LITH_PLATFORMS=${LITH_PLATFORMS:-kvm}
. "$(dirname "$0")/../tests/apps/lab.sh"
OUT=$LAB_TOP/build/bench/raw
CC=$LAB_TOP/build/bin/lith-cc
build() {
    mkdir -p "$OUT"
    local from=$LAB_TOP/tests/link/raw
    gcc -O2 -D_GNU_SOURCE "$from/client.c" -o "$OUT/client" &&
        gcc -O2 -DNATIVE "$from/sockets.c" -o "$OUT/native" &&
        "$CC" -O2 "$from/sockets.c" -o "$OUT/sockets" &&
        "$CC" -O2 "$LAB_TOP/examples/udp-echo/udp-echo.c" -o "$OUT/raw" &&
        "$CC" -O2 -Wno-unused-function "$LAB_TOP/bench/raw_cost.c" -o "$OUT/cost-raw" &&
        "$CC" -O2 -DSOCKETS "$LAB_TOP/bench/raw_cost.c" -o "$OUT/cost-sockets"
}
lab_images build
lab_enter "$@"
echo 1 >/proc/sys/net/ipv6/conf/lab/disable_ipv6 2>/dev/null

measure() { # NAME: one round of it
    local size window
    grep -qsxF "$1" "$LAB_TMP/names" || echo "$1" >>"$LAB_TMP/names"
    timeout 20 "$OUT/client" rate $GUEST 7 64 16 0.2 >/dev/null # warm
    for size in 64 1472; do
        for window in 1 16 64; do
            timeout 20 "$OUT/client" rate $GUEST 7 $size $window "$SECONDS_EACH" >>"$LAB_TMP/$1.$size.$window"
        done
    done
}

table() {
    local name size window
    while read -r name; do
        echo "| $name |$(for size in 64 1472; do for window in 1 16 64; do
            sort -n "$LAB_TMP/$name.$size.$window" | awk '{ rate[NR] = $1; lost += $2 }
                END { printf " %d%s |", rate[int((NR + 1) / 2)], lost ? " (lost " lost ")" : "" }'
        done; done)"
    done <"$LAB_TMP/names"
}

lith() { # NAME PROGRAM READY
    local i
    lab_start "$OUT/$2"
    for i in $(seq 1 200); do
        grep -qs "$3" "$LAB_LOG" && break
        sleep 0.05
    done
    measure "$1, $PLATFORM"
    lab_kill
}

cost() { # PROGRAM: instructions per datagram
    printf '#!/bin/sh\nexec qemu-system-x86_64 "$@" -icount shift=0\n' >"$LAB_TMP/icount"
    chmod +x "$LAB_TMP/icount"
    ip neigh flush dev lab
    LITH_QEMU=$LAB_TMP/icount LITH_QEMU_ACCEL=tcg "$LITH" run --platform qemu --net tap:lab --ip $GUEST/24 \
        "$OUT/$1" $GUEST >"$LAB_TMP/cost" 2>&1 8>&- </dev/null &
    LAB_PID=$!
    for _ in $(seq 1 200); do
        grep -q ready "$LAB_TMP/cost" && break
        sleep 0.05
    done
    timeout 30 "$OUT/client" rate $GUEST 7 64 64 8 >/dev/null
    lab_kill
    awk '/ns,/ { print $2 }' "$LAB_TMP/cost" | sort -n | awk '{ n[NR] = $1 } END { print n[int((NR + 1) / 2)] }'
}

native() {
    unshare --net "$OUT/native" >/dev/null 2>&1 8>&- &
    LAB_PID=$!
    sleep 0.3
    ip link add v0 type veth peer name v1 && ip link set v1 netns $LAB_PID || { lab_kill; return; }
    nsenter -t $LAB_PID -n sh -c "ip link set lo up; ip addr add $GUEST/32 dev v1; ip link set v1 up; ip route add $LAB_HOST/32 dev v1"
    ip link set v0 up
    ip route add $GUEST/32 dev v0 src $LAB_HOST
    measure "Linux process, sockets, veth"
    kill -KILL $LAB_PID
    wait $LAB_PID 2>/dev/null
    LAB_PID=''
    ip link del v0 2>/dev/null
    ip route del $GUEST/32 dev v0 2>/dev/null
}

echo "UDP echo, answers per second ($(nproc) CPUs shared by client and server, load $(cut -d' ' -f1 /proc/loadavg))"
echo
echo "| server | 64 B, 1 under way | 16 | 64 | 1472 B, 1 | 16 | 64 |"
echo "|---|---:|---:|---:|---:|---:|---:|"
# In turns: what else the machine does is the same for all.
for ((round = 0; round < ROUNDS; round++)); do
    for PLATFORM in $LITH_PLATFORMS; do
        [ -z "$(lab_platform_missing)" ] || continue
        lith "raw device (lith.h)" raw "udp-echo: ready"
        lith "sockets, link mode" sockets "sockets: ready"
    done
    native
done
table

raw=$(cost cost-raw) sockets=$(cost cost-sockets)
echo
echo "Instructions of kernel and program per datagram of 64 bytes (QEMU -icount, polling, 64 under way):"
echo "raw device ${raw:-?}, sockets ${sockets:-?}: $(awk -v a="${sockets:-0}" -v b="${raw:-1}" 'BEGIN { printf "%.1f", a / b }') times as many"
