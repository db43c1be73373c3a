#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Link mode in numbers: sizes, memory, start, kernel calls, and the examples against the same programs as
# Linux processes, in network namespaces of its own. Prints tables and writes build/bench/link.json.
# `make bench-link`; RUNS=50 (starts), SECONDS_WRK=5. Parts: PARTS="size count start call http sqlite redis".
RUNS=${RUNS:-50} SECONDS_WRK=${SECONDS_WRK:-5}
PARTS=${PARTS:-size count start call http sqlite redis}
. "$(dirname "$0")/../tests/apps/lab.sh"
EX=$LAB_TOP/build/examples
BENCH=$LAB_TOP/build/bench
NAMES="hello http lua sqlite redis"
call_image() {
    mkdir -p "$BENCH/call"
    cp "$BENCH/null_call" "$BENCH/call/"
    local file
    for file in $(ldd "$BENCH/null_call" | grep -o '/[^ ]*'); do cp -L --parents "$file" "$BENCH/call/"; done
    printf 'FROM scratch\nCOPY . /\nENTRYPOINT ["/null_call"]\n' >"$BENCH/call/Dockerfile"
    lab_image bench-null-call "$BENCH/null_call" build -q -t bench-null-call "$BENCH/call"
}
lab_images call_image
lab_enter "$@"
for n in $NAMES; do strip -o "$LAB_TMP/$n" "$EX/$n/$n"; done
# The server, or the only program, runs on CPU 0; the client on CPU 1.
server=(taskset -c 0) client=(taskset -c 1)
[ "$(nproc)" -gt 1 ] || server=() client=()
PLATFORMS="process qemu"
PLATFORM=kvm
[ -n "$(lab_platform_missing)" ] || PLATFORMS="kvm $PLATFORMS"

JSON=()
record() { JSON+=("    \"$1\": $2"); } # KEY NUMBER
part() { [[ " $PARTS " == *" $1 "* ]]; }
median() { sort -g | awk '{v[NR] = $1} END {if (NR) print v[int((NR + 1) / 2)]}'; }
load() { cut -d' ' -f1 /proc/loadavg; }

# Starts an example on $PLATFORM (or natively), pinned.
start() { # NAME MEMORY [ARG...]
    local name=$1 memory=$2
    shift 2
    LAB_LOG=$LAB_TMP/console.$((++LAB_STARTS))
    ip neigh flush dev lab
    if [ "$PLATFORM" = native ]; then
        ip addr replace $GUEST/32 dev lo
        "${server[@]}" "$@" >"$LAB_LOG" 2>&1 </dev/null &
    else
        "${server[@]}" "$LITH" run --platform "$PLATFORM" -m "$memory" --net tap:lab --ip $GUEST/24 --gateway $LAB_HOST \
            "$LAB_TMP/$name" "$@" >"$LAB_LOG" 2>&1 </dev/null &
    fi
    LAB_PID=$!
}
stop() {
    [ -z "$LAB_PID" ] || lab_stop
    [ "$PLATFORM" != native ] || ip addr del $GUEST/32 dev lo
}
run_plain() { # MEMORY NAME ARG...
    local memory=$1 name=$2
    shift 2
    timeout 120 "${server[@]}" "$LITH" run --platform "$PLATFORM" -m "$memory" --net none "$LAB_TMP/$name" "$@" 2>/dev/null </dev/null
}

echo "Link mode on $(uname -r), $(nproc) CPUs ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)), load $(load), $(date -u +%F)"
record load_at_start "$(load)"

works_with() { # NAME MEMORY: whether it does its work in that much
    case $1 in
    hello) [ "$(run_plain "$2" hello)" = "Hello from a unikernel." ] ;;
    lua) [ "$(run_plain "$2" lua -e 'print(6 * 7)')" = 42 ] ;;
    sqlite) [ "$(run_plain "$2" sqlite :memory: 'create table t(a); insert into t values(6); select a * 7 from t')" = 42 ] ;;
    http)
        start http "$2"
        timeout 2 bash -c "until curl -sf --max-time 1 -o /dev/null http://$GUEST/; do sleep 0.05; done"
        local status=$?
        lab_kill 2>/dev/null
        return $status
        ;;
    redis)
        start redis "$2" --save '' --protected-mode no
        timeout 2 bash -c "until [ \"\$(redis-cli -h $GUEST set a b 2>/dev/null)\" = OK ]; do sleep 0.05; done"
        local status=$?
        lab_kill 2>/dev/null
        return $status
        ;;
    esac
}
if part size; then
    PLATFORM=${PLATFORMS%% *}
    printf '\n| program | bytes, stripped | least memory (%s) |\n|---|---:|---:|\n' "$PLATFORM"
    for n in $NAMES; do
        bytes=$(stat -c %s "$LAB_TMP/$n") least=none
        for m in 1 1.25 1.5 2 3 4 5 6 8 10 12 16 24 32 64; do
            kib=$(awk -v m=$m 'BEGIN {print m * 1024}')
            if works_with $n "${kib}k" >/dev/null 2>&1; then
                least=$kib
                break
            fi
        done
        printf '| %s | %d | %s KiB |\n' $n "$bytes" "$least"
        record "bytes_$n" "$bytes"
        record "least_memory_kib_$n" "${least/none/null}"
    done
fi

# Instructions that the guest executes from the machine's entry to main(), by QEMU's log of single steps.
count_to_main() { # ELF MEMORY
    local main low
    main=$(nm "$1" | awk '$3 == "main" {print $1}')
    low=$(printf '%016x' "$(readelf -lW "$1" | awk '$1 == "LOAD" {print $4; exit}')")
    timeout 120 qemu-system-x86_64 -M microvm,x-option-roms=off,isa-serial=on,rtc=on,pit=off,pic=off,acpi=off -nodefaults \
        -no-user-config -display none -no-reboot -global virtio-mmio.force-legacy=false -accel tcg -cpu max -smp 1 -m "$2" \
        -serial null -device isa-debug-exit,iobase=0x501,iosize=1 -kernel "$1" -append arg=/hello \
        -singlestep -d exec,nochain -D "$LAB_TMP/steps" </dev/null >/dev/null 2>&1
    # "Trace 0: HOST [CS/PC/FLAGS/...]": the kernel's addresses, and the 32-bit code at its start. The firmware is elsewhere.
    awk -F/ -v main="$main" -v low="$low" '
        /^Trace/ {
            if ($2 == main) {print n; exit}
            if ($2 >= "00007c0000000000" && $2 < "00007f0000000000" || $2 >= low && $2 < high) n++
        }' high="$(printf '%016x' $((16#$low + 65536)))" "$LAB_TMP/steps"
}
if part count; then
    a=$(count_to_main "$EX/hello/hello" 16M) b=$(count_to_main "$EX/hello/hello" 16M) c=$(count_to_main "$EX/hello/hello" 256M)
    printf '\ninstructions from the entry (PVH, ring 0) to main() of hello: %s with 16 MiB (again: %s), %s with 256 MiB\n' "$a" "$b" "$c"
    record instructions_to_main_16m "${a:-null}"
    record instructions_to_main_16m_again "${b:-null}"
    record instructions_to_main_256m "${c:-null}"
fi

if part start && [[ $PLATFORMS == kvm* ]]; then
    printf 'arg=/hello' >"$LAB_TMP/config"
    printf '\nexec to the first byte of hello, %s runs in turns, microseconds (load %s)\n\n| what | median | min | 95 %% |\n|---|---:|---:|---:|\n' "$RUNS" "$(load)"
    "$BENCH/first_output" -3 "$LAB_TMP/config" "$RUNS" "$BENCH/hello" -- \
        "$LITH-monitor" --kernel "$LAB_TMP/hello" --mem 2097152 --config-fd 3 -- \
        "$LITH" run --platform kvm --net none -m 2M "$LAB_TMP/hello" -- \
        "$LITH" run --platform process --net none -m 2M "$LAB_TMP/hello" >"$LAB_TMP/starts" || LAB_FAILED=1
    for what in native:"a Linux process" monitor:"lith-monitor, KVM" run:"lith run, KVM" run_process:"lith run, process"; do
        read -r a b c || break
        printf '| %s | %s | %s | %s |\n' "${what#*:}" "$a" "$b" "$c"
        record "start_${what%%:*}_us" "[$a, $b, $c]"
    done <"$LAB_TMP/starts"
fi

if part call; then
    printf '\none kernel call, nanoseconds, best of 100 times 100,000 (load %s)\n\n| | getppid | close(-1) |\n|---|---:|---:|\n' "$(load)"
    for PLATFORM in ${PLATFORMS/qemu/} native; do
        case $PLATFORM in
        kvm | process)
            suffix=${PLATFORM/kvm/}
            cp "$BENCH/null_call.linked" "$LAB_TMP/null_call"
            read -r a b <<<"$(run_plain 8M null_call)"
            printf '| linked, %s | %s | %s |\n' "${PLATFORM/kvm/KVM}" "$a" "$b"
            record call_linked${suffix:+_$suffix}_ns "[${a:-null}, ${b:-null}]"
            read -r a b <<<"$(timeout 60 "${server[@]}" "$LITH" run --platform "$PLATFORM" --net none -m 64M bench-null-call 2>/dev/null </dev/null)"
            printf '| the same file as on Linux, in an image, %s | %s | %s |\n' "${PLATFORM/kvm/KVM}" "$a" "$b"
            record call_binary${suffix:+_$suffix}_ns "[${a:-null}, ${b:-null}]"
            ;;
        native)
            read -r a b <<<"$("${server[@]}" "$BENCH/null_call")"
            printf '| Linux | %s | %s |\n' "$a" "$b"
            record call_linux_ns "[$a, $b]"
            ;;
        esac
    done
fi

if part http; then
    printf '\nhttp, wrk -t1 -c64 -d%s, median of three (load %s)\n\n| what | requests/s |\n|---|---:|\n' "$SECONDS_WRK" "$(load)"
    for PLATFORM in $PLATFORMS native; do
        if [ $PLATFORM = native ]; then start http - "$BENCH/http" 80; else start http 16M; fi
        lab_wait_port 80 || continue
        rate=$(for i in 1 2 3; do
            "${client[@]}" timeout 60 wrk -t1 -c64 -d"$SECONDS_WRK" http://$GUEST/ >"$LAB_TMP/wrk" 2>&1
            grep -qE 'Socket errors|Non-2xx' "$LAB_TMP/wrk" && echo "errors: $PLATFORM" >&2
            awk '/^Requests\/sec/ {print $2}' "$LAB_TMP/wrk"
        done | median)
        stop
        printf '| %s | %s |\n' "${PLATFORM/native/a Linux process, by loopback}" "$rate"
        record "http_${PLATFORM}_per_s" "${rate:-null}"
    done
fi

if part sqlite; then
    printf '\nSQLite speedtest1 --size 60, seconds, median of three (load %s)\n\n| what | in memory | file in /tmp |\n|---|---:|---:|\n' "$(load)"
    strip -o "$LAB_TMP/speedtest1" "$EX/sqlite/speedtest1"
    for PLATFORM in $PLATFORMS native; do
        for kind in memory file; do
            options=(--size 60)
            if [ $kind = memory ]; then options+=(--memdb :memory:); else options+=(/tmp/lith-speedtest.db); fi
            [ "$PLATFORM" != qemu ] || [ $kind = memory ] || { file=-; continue; }
            out=$(for i in $(seq 1 $([ $PLATFORM = qemu ] && echo 1 || echo 3)); do
                rm -f /tmp/lith-speedtest.db
                if [ $PLATFORM = native ]; then
                    "${server[@]}" "$BENCH/sqlite/speedtest1" "${options[@]}"
                else
                    run_plain 256M speedtest1 "${options[@]}"
                fi | sed -n 's/.*TOTAL\.* *\([0-9.]*\)s.*/\1/p'
            done | median)
            rm -f /tmp/lith-speedtest.db
            printf -v $kind '%s' "${out:-failed}"
            record "speedtest1_${PLATFORM}_${kind}_s" "${out:-null}"
        done
        printf '| %s | %s | %s |\n' "${PLATFORM/native/a Linux process}" "$memory" "$file"
    done
fi

if part redis; then
    printf '\nredis-benchmark -n 100000 -c 30, requests/s, median of three (load %s)\n\n| what | SET P1 | GET P1 | SET P16 | GET P16 |\n|---|---:|---:|---:|---:|\n' "$(load)"
    options=(--save '' --appendonly no --protected-mode no)
    for PLATFORM in $PLATFORMS native; do
        if [ $PLATFORM = native ]; then start redis - redis-server "${options[@]}"; else start redis 128M "${options[@]}"; fi
        lab_wait_port 6379 || continue
        row=()
        for p in 1 16; do
            for i in 1 2 3; do
                "${client[@]}" timeout 100 redis-benchmark -h $GUEST -n 100000 -c 30 -P $p -t set,get --csv 2>/dev/null |
                    tr -d '"' | cut -d, -f1,2 | grep -E '^[GS]ET,'
            done >"$LAB_TMP/rates"
            for t in SET GET; do
                rate=$(sed -n "s/^$t,//p" "$LAB_TMP/rates" | median)
                row+=("${rate:-failed}")
                record "redis_${PLATFORM}_${t}_p${p}_per_s" "${rate:-null}"
            done
        done
        stop
        printf '| %s |%s\n' "${PLATFORM/native/a Linux process, by loopback}" "$(printf ' %s |' "${row[@]}")"
    done
fi

{
    echo '{'
    printf '    "version": 1,\n'
    for i in "${!JSON[@]}"; do printf '%s%s\n' "${JSON[i]}" "$([ "$i" = $((${#JSON[@]} - 1)) ] || echo ,)"; done
    echo '}'
} >"$BENCH/link.json"
printf '\nload at the end %s; numbers also in build/bench/link.json\n' "$(load)"
