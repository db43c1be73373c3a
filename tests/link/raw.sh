#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# lith.h in instances: the API by its contract (raw/api.c), and examples/udp-echo against a client on the
# host, on KVM, QEMU in ring 0 and ring 3, and as a process. Prints TAP.
# shellcheck disable=SC2034
export LITH_QEMU_ACCEL=${LITH_QEMU_ACCEL:-tcg}
. "$(dirname "$0")/../apps/lab.sh"
RAW=$LAB_TOP/build/tests/link/raw
CC=$LAB_TOP/build/bin/lith-cc

build() {
    mkdir -p "$RAW"
    [ -r "$LAB_TOP/build/lib/include/lith.h" ] || { not_ok "build/lib is missing: make"; return 1; }
    local flags=(-std=gnu11 -O2 -g -Wall -Wextra -Werror) from=$LAB_TOP/tests/link/raw
    if ! gcc "${flags[@]}" -D_GNU_SOURCE "$from/client.c" -o "$RAW/client" ||
        ! "$CC" "${flags[@]}" "$from/api.c" -lm -o "$RAW/api" ||
        ! "$CC" "${flags[@]}" "$from/sockets.c" -o "$RAW/sockets" ||
        ! "$CC" "${flags[@]}" -nostdlib -c -x c - -o /dev/null <<<'#include <lith.h>' ||
        ! make -s -C "$LAB_TOP/examples/udp-echo" CC="$CC" CFLAGS="${flags[*]}" clean udp-echo; then
        not_ok "programs for lith.h are built"
        return 1
    fi
    mv "$LAB_TOP/examples/udp-echo/udp-echo" "$RAW"
}
lab_images build
lab_enter "$@"
# What the host says by itself is not asked for.
echo 1 >/proc/sys/net/ipv6/conf/lab/disable_ipv6 2>/dev/null

# What is not called is not linked: beside what the start of any program needs, nothing of linux/.
linked() {
    local names
    echo 'int main(void) { return 0; }' >"$LAB_TMP/empty.c"
    "$CC" -O2 "$LAB_TMP/empty.c" -o "$LAB_TMP/empty"
    names=$(comm -13 <(calls "$LAB_TMP/empty") <(calls "$RAW/udp-echo") | paste -sd' ')
    is "udp-echo has no Linux calls but those of an empty main" "$names" ""
    matches "and the kernel's share is a small image" "$(size_of "$RAW/udp-echo")" '^[0-9]{5}$'
}
calls() { nm "$1" | awk '$3 ~ /^(gate|sys)_/ && $3 !~ /gate_(full|leave|slow|tail)/ {print $3}' | sort; }
size_of() {
    strip -o "$LAB_TMP/stripped" "$1"
    stat -c %s "$LAB_TMP/stripped"
}

wait_line() { # TEXT: it is on the console within 20 s
    local i
    for i in $(seq 1 400); do
        grep -qs "$1" "$LAB_LOG" && return 0
        lab_alive || break
        sleep 0.05
    done
    not_ok "the program says: $1"
    return 1
}

api() {
    local line
    LAB_OPTS=(-m 64M)
    lab_run 120 "$RAW/api"
    LAB_OPTS=()
    while read -r line; do
        case $line in
        "ok "*) ok "${line#* - }" ;;
        "not ok "*) not_ok "${line#* - }" "$(grep -F -A1 "$line" "$LAB_LOG" | grep '^#')" ;;
        esac
    done < <(tr -d '\r' <"$LAB_LOG")
    is "api: status" "$LAB_STATUS" 7
    matches "api: misuse is in the log" "$(cat "$LAB_LOG")" 'lith_net_release: .*handle 0x'
}

reports() { # ARGUMENT STATUS REGEX
    lab_run 60 "$RAW/api" "$1"
    is "$1: status" "$LAB_STATUS" "$2"
    matches "$1: report" "$(cat "$LAB_LOG")" "$3"
}

echo_intact() {
    lab_start "$RAW/udp-echo" "$@"
    wait_line "udp-echo: ready" || return
    for burst in 1 7 64; do
        is "echo: 2000 datagrams of 0 to 1472 bytes, $burst at a time" \
            "$(timeout 60 "$RAW/client" check $GUEST 7 2000 $burst 2>&1)" "2000 datagrams intact"
    done
    # An idle instance sleeps; and wakes.
    sleep 1
    is "echo: after a pause" "$(timeout 60 "$RAW/client" check $GUEST 9999 50 1 2>&1)" "50 datagrams intact"
    lab_stop
    is "echo: SIGTERM ends it" "$LAB_STATUS" 143
}

beside_sockets() {
    lab_start "$RAW/sockets"
    wait_line "sockets: ready" || return
    matches "with an address the stack keeps the device" "$(cat "$LAB_LOG")" 'lith_net_open: Resource busy'
    is "and its sockets echo" "$(timeout 60 "$RAW/client" check $GUEST 7 2000 7 2>&1)" "2000 datagrams intact"
    lab_stop
}

# `lith run` always gives an address; who starts QEMU by hand may not.
given_up() {
    cat >"$LAB_TMP/qemu-no-address" <<'END'
#!/bin/bash
exec qemu-system-x86_64 "${@/ip=dhcp/}"
END
    chmod +x "$LAB_TMP/qemu-no-address"
    LITH_QEMU=$LAB_TMP/qemu-no-address timeout 30 "$LITH" run --platform qemu --net tap:lab "$RAW/sockets" \
        >"$LAB_LOG" 2>&1 8>&- </dev/null
    matches "without an address the stack gives the device up" "$(cat "$LAB_LOG")" \
        'lith_net_open: 0.*sendto: Network (is )?unreachable'
}

each() {
    api
    reports overflow 139 'guard page below the stack'
    reports fault 139 'null page'
    reports stdio 134 'page fault in the kernel'
    reports exit 134 'lith_thread_exit: called by a thread that'
    echo_intact
    [ -z "$LAB_PID" ] || lab_kill
    beside_sockets
    [ "$PLATFORM" != qemu ] || given_up
}
linked
lab_each_platform each
lab_plan_end
