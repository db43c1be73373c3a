#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Requests of nginx's small page: the same Debian nginx natively (behind a veth pair) and in instances (behind
# a tap), turn by turn, the server on CPU 0 and wrk on CPU 1, in namespaces of its own. What a request
# costs is the server process's CPU time (user and system), so that other load on the machine does not count
# as much as it does in requests per second.
#   bench/http.sh [PLATFORM...]      default: native process kvm (kvm where it works)
#   RUNS=5 SECONDS_WRK=3 CONNECTIONS=30 URL=    (URL=1m: a file of 1 MiB)
set -uo pipefail
cd "$(dirname "$0")/.."
: "${RUNS:=5}" "${SECONDS_WRK:=3}" "${CONNECTIONS:=30}" "${URL:=}"
PATH=$PATH:/usr/sbin:/sbin
export LITH_PLATFORMS=process
if [ -z "${BENCH_INSIDE:-}" ]; then
    . tests/apps/lab.sh
    . tests/apps/nginx-images.sh
    lab_images nginx_image
    BENCH_INSIDE=1 exec unshare --net --pid --fork --kill-child --mount-proc "$BASH" bench/http.sh "$@"
fi
export XDG_DATA_HOME=$PWD/build/tests/store LITH_KERNEL=$PWD/build/kernel/lith
platforms=("$@")
[ $# != 0 ] || platforms=(native process kvm)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ip link set lo up
unshare --net sleep 10000 &
space=$!
sleep 0.3
ip link add v0 type veth peer name v1 netns $space
ip addr add 10.43.0.1/24 dev v0 && ip link set v0 up
nsenter -t $space -n sh -c 'ip link set lo up; ip addr add 10.43.0.2/24 dev v1; ip link set v1 up'
ip tuntap add lab mode tap vnet_hdr
ip addr add 10.42.0.1/24 dev lab && ip link set lab up
sed -e "s|/var/www/html|$PWD/build/tests/apps/nginx/www|; s|/run/nginx.pid|$work/nginx.pid|" build/tests/apps/nginx/nginx.conf >"$work/nginx.conf"
taskset -c 0 nsenter -t $space -n nginx -c "$work/nginx.conf" -p "$work" &
native=$!

ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }
measure() { # PLATFORM PID ADDRESS: appends "req/s us" to a file
    local before after rate
    before=$(ticks "$2")
    rate=$(taskset -c 1 wrk -t1 -c"$CONNECTIONS" -d"$SECONDS_WRK" "http://$3/$URL" 2>&1 | awk '/Requests.sec/{print $2} /Socket errors|Non-2xx/{print "ERROR"}')
    after=$(ticks "$2")
    case $rate in '' | *ERROR*) echo "$1: wrk met errors: $rate" >&2 && return ;; esac
    awk -v r="$rate" -v t=$((after - before)) -v hz="$(getconf CLK_TCK)" -v s="$SECONDS_WRK" \
        'BEGIN{printf "%.0f %.2f\n", r, t * 1e6 / hz / (r * s)}' >>"$work/$1"
}
for _ in $(seq "$RUNS"); do
    for p in "${platforms[@]}"; do
        if [ "$p" = native ]; then
            measure native $native 10.43.0.2
            continue
        fi
        taskset -c 0 build/bin/lith run --platform "$p" --net tap:lab --ip 10.42.0.2/24 test-nginx >"$work/log" 2>&1 </dev/null &
        pid=$!
        for _ in $(seq 100); do
            curl -s -m 1 -o /dev/null http://10.42.0.2/ && break
            kill -0 $pid 2>/dev/null || break
            sleep 0.1
        done
        if kill -0 $pid 2>/dev/null; then measure "$p" $pid 10.42.0.2; else echo "$p does not start: $(tail -n 1 "$work/log")" >&2; fi
        kill -KILL $pid 2>/dev/null
        wait $pid 2>/dev/null
        sleep 0.2
    done
done
echo "load $(cut -d' ' -f1-3 /proc/loadavg), $RUNS runs each in turns, median (min-max); /${URL}, $CONNECTIONS connections"
echo
echo "| platform | requests/s | server CPU us/request |"
echo "|---|---:|---:|"
column() { sort -n -k"$2" "$work/$1" | awk -v c="$2" '{v[NR] = $c} END{print v[int((NR + 1) / 2)] " (" v[1] "-" v[NR] ")"}'; }
for p in "${platforms[@]}"; do
    [ ! -s "$work/$p" ] || echo "| $p | $(column "$p" 1) | $(column "$p" 2) |"
done
kill $native $space 2>/dev/null
