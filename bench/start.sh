#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Start time: exec of the command to the first byte of nginx's answer, in network namespaces of its
# own: native nginx, and `lith run` on each platform by a tap and by user networking.
# `make bench-start`; RUNS=10, BENCH_PLATFORMS="qemu kvm".
# shellcheck disable=SC2034
RUNS=${RUNS:-10}
. "$(dirname "$0")/../tests/apps/lab.sh"
. "$LAB_TOP/tests/apps/nginx-images.sh"
bench_image() {
    nginx_image && lab_image bench-nginx "$LAB_TOP/examples/nginx $XDG_DATA_HOME/stamp-test-nginx-base" \
        build -q -t bench-nginx --build-arg BASE=test-nginx-base "$LAB_TOP/examples/nginx"
}
lab_images bench_image
lab_enter "$@"
FIRST_BYTE=$LAB_TOP/build/bench/first_byte
native_median=''

row() { # NAME FIRST_BYTE-ARG...
    local name=$1 out median min max ratio
    shift
    if ! out=$("$FIRST_BYTE" -n "$RUNS" "$@" 2>"$LAB_TMP/err"); then
        printf '| %-22s | failed: %s\n' "$name" "$(tail -n 3 "$LAB_TMP/err" | tr '\n' ' ')"
        LAB_FAILED=1
        return
    fi
    read -r median min max <<<"$out"
    : "${native_median:=$median}"
    ratio=$(awk -v a="$median" -v b="$native_median" 'BEGIN { printf "%.1f", a / b }')
    printf '| %-22s | %8s | %8s | %8s | %6s |\n' "$name" "$median" "$min" "$max" "$ratio"
}

echo "exec to first HTTP byte of nginx, $RUNS runs each, milliseconds ($(nproc) CPUs, load $(cut -d' ' -f1 /proc/loadavg))"
echo
echo "| what                   |   median |      min |      max | native |"
echo "|------------------------|---------:|---------:|---------:|-------:|"
nginx_native "$LAB_TMP"
ip addr replace $GUEST/32 dev lo
row "native nginx" $GUEST 80 "${LAB_NATIVE[@]}"
ip addr del $GUEST/32 dev lo
ip neigh replace $GUEST lladdr $LAB_MAC dev lab nud permanent
for PLATFORM in ${BENCH_PLATFORMS:-qemu kvm}; do
    why=$(lab_platform_missing)
    if [ -n "$why" ]; then
        printf '| %-22s | not here: %s\n' "lith, $PLATFORM" "$why"
        continue
    fi
    row "lith, $PLATFORM, tap" -t lab $GUEST 80 "$LITH" run --platform $PLATFORM --net tap:lab \
        --ip $GUEST/24 --gateway $LAB_HOST --mac-address $LAB_MAC bench-nginx
    row "lith, $PLATFORM, user" 127.0.0.1 8080 "$LITH" run --platform $PLATFORM -p 127.0.0.1:8080:80 bench-nginx
done
