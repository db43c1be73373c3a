#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# The demo: Debian's nginx, unmodified, as a unikernel that serves a page. Makes the base image if it
# is not there, builds examples/nginx, runs it, fetches the page, prints what it took, stops it.
# KEEP=1 leaves it running. PORT chooses another port of this host than 8080; DEMO_ARGS adds flags
# to `lith run` (for example --platform qemu).
set -euo pipefail
cd "$(dirname "$0")/.."
lith=build/bin/lith
port=${PORT:-8080}
log=$(mktemp)
exec {never}<> <(:) # nothing ever comes from here: a sleep without a process
pid=
finish() {
    [ -z "$pid" ] || { kill -TERM "$pid" && wait "$pid"; } 2>/dev/null || true
    rm -f "$log"
}
trap finish EXIT
say() { printf '\n== %s\n' "$*"; }

if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    echo "demo: something answers on 127.0.0.1:$port already; choose another port: make demo PORT=N" >&2
    exit 1
fi
if ! $lith inspect debian-nginx >/dev/null 2>&1; then
    say "Base image from Debian's packages: lith import deb:nginx-light debian-nginx"
    $lith import deb:nginx-light debian-nginx
fi
say "Image: lith build -t nginx-demo examples/nginx"
$lith build -t nginx-demo examples/nginx
$lith images nginx-demo

say "Run: lith run -p 127.0.0.1:$port:80 --boot-chart nginx-demo"
begin=$EPOCHREALTIME
# shellcheck disable=SC2086
$lith run -p "127.0.0.1:$port:80" --boot-chart ${DEMO_ARGS:-} nginx-demo >"$log" 2>&1 &
pid=$!
answer=
for ((try = 0; try < 60000; try++)); do
    # One connection after the other, without a process for each, until a byte comes back: until the guest is up
    # they are refused, until the program listens they are reset.
    if { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null; then
        printf 'GET / HTTP/1.0\r\nHost: demo\r\n\r\n' >&3 2>/dev/null || true
        if IFS= read -r -t 0.5 answer <&3 2>/dev/null; then
            end=$EPOCHREALTIME
            exec 3>&-
            break
        fi
        exec 3>&-
    fi
    if ! kill -0 "$pid" 2>/dev/null; then break; fi
    read -r -t 0.001 -u "$never" || true
done
if [ -z "$answer" ]; then
    cat "$log" >&2
    echo "demo: no answer from the instance (its messages are above)" >&2
    exit 1
fi
say "Page: curl http://127.0.0.1:$port/"
curl -sS --max-time 20 "http://127.0.0.1:$port/"

say "Boot chart"
grep -v '^$' "$log" || true
begin_us=${begin/[.,]/} end_us=${end/[.,]/}
say "Figures"
printf 'exec of lith run to first byte of the page: %d.%03d ms (user networking)\n' \
    $(((end_us - begin_us) / 1000)) $(((end_us - begin_us) % 1000))
# The process that holds the guest's memory: the monitor, which lith became, or QEMU, its child.
machine=$pid
for child in $(cat "/proc/$pid/task/$pid/children" 2>/dev/null); do
    case $(cat "/proc/$child/comm") in qemu*) machine=$child ;; esac
done
awk '/^Private_Dirty|^Anonymous/ { kb[$1] = $2 }
    END { printf "memory in use: %.1f MiB (private pages of the machine, guest included)\n", kb["Private_Dirty:"] / 1024 }' \
    "/proc/$machine/smaps_rollup"

if [ "${KEEP:-}" = 1 ]; then
    say "Left running: http://127.0.0.1:$port/ (its messages: $log); stop it with: kill $pid"
    trap - EXIT
    disown "$pid"
    exit 0
fi
say "Stop: SIGTERM"
status=0
kill -TERM "$pid"
wait "$pid" || status=$?
pid=
echo "nginx ended with status $status"
