#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# `lith stats` and `lith run --stats`: what is counted grows with what is done; who may see it; what a
# liar can do. Other instances may run on this host, so nothing here is about all of them.
bats_require_minimum_version 1.5.0
load lib

setup() {
    setup_lith
    require_boot
    platforms="qemu process"
    [ ! -r /dev/kvm ] || platforms="qemu process kvm"
    name=stats$BASHPID
}

teardown() {
    [ -z "${pid:-}" ] || kill -KILL $pid 2>/dev/null || true
    [ -z "${liar:-}" ] || kill -KILL $liar 2>/dev/null || true
}

# A static server: to each line it writes 100 KB and closes the connection. SIGTERM ends it with status 15.
server_image() {
    mkdir -p ctx
    cat >ctx/s.c <<'END'
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
static void on(int s) { _exit(s); }
int main(void)
{
    static char page[100000];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(80)};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    signal(SIGTERM, on);
    signal(SIGPIPE, SIG_IGN);
    memset(page, 'x', sizeof(page));
    if (bind(s, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(s, 16) < 0)
        return 1;
    puts("ready");
    fflush(stdout);
    for (;;) {
        char line[64];
        int c = accept(s, NULL, NULL);
        if (read(c, line, sizeof(line)) <= 0) {
            close(c);
            continue;
        }
        for (ssize_t n = 0, m; n < (ssize_t)sizeof(page); n += m)
            if ((m = write(c, page + n, sizeof(page) - (size_t)n)) < 0)
                break;
        close(c);
    }
}
END
    gcc -O1 -static -o ctx/s ctx/s.c
    printf 'FROM scratch\nCOPY s /s\nENTRYPOINT ["/s"]\n' >ctx/Dockerfile
    lith build -q -t $name ctx
}

start() { # PLATFORM [OPTION...]: in $pid, when it is ready
    local platform=$1 i
    shift
    lith run --platform "$platform" "$@" $name >out 2>err 3>&- &
    pid=$!
    for i in $(seq 300); do ! grep -q ready out || return 0; sleep 0.1; done
    cat out err
    return 1
}

field() { # PYTHON-EXPRESSION of the instance i
    lith stats --since-start --json $pid | python3 -c "import json, sys; i, = json.load(sys.stdin); print($1)"
}

fetch() { # TIMES. Under QEMU the port opens with the guest's network.
    timeout 60 python3 - "$1" "$port" <<'END'
import socket, sys, time
times, port = int(sys.argv[1]), int(sys.argv[2])
for i in range(times):
    for tries in range(100):
        try:
            s = socket.create_connection(("127.0.0.1", port), 10)
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    s.sendall(b"page\n")
    got = 0
    while True:
        part = s.recv(65536)
        if not part:
            break
        got += len(part)
    assert got == 100000, got
END
}

@test "counters grow with requests; name, platform and memory are told" {
    command -v passt >/dev/null || skip "passt is not installed"
    server_image
    port=18950
    for p in $platforms; do
        start $p -p 127.0.0.1:$port:80 -m 64M
        run -0 lith stats
        [[ $output == "PID "*"NAME"*"EXITS/S"* ]]
        grep -E "^$pid +$name +$p " <<<"$output"
        run -0 lith stats $name # the only one of that name
        [[ $output == "$name: process $pid, platform $p, up "*", memory 64.0MiB"* ]]
        [ "$(field '(i["name"], i["platform"], i["memory_bytes"])')" = "('$name', '$p', $((64 << 20)))" ]
        [ "$(field 'i["private_bytes"] > 50000 and i["proportional_bytes"] > 50000 and i["uptime_s"] > 0')" = True ]
        case $p in
        kvm) keys='("cpu", "exit_console") ("cpu", "exit_wait") ("io", "net_rx_packets") ("io", "net_tx_bytes") ("guest", "idle_waits")' ;;
        process) keys='("guest", "net_rx_packets") ("guest", "net_tx_bytes") ("guest", "host_readv") ("guest", "host_ppoll")' ;;
        *) keys= ;;
        esac
        get='[i["counters"][a][b] for a, b in ('${keys//) (/), (}',)]'
        [ -z "$keys" ] || before=$(field "$get")
        fetch 20
        if [ -z "$keys" ]; then
            [ "$(field 'i["counters"]')" = '{}' ]
            run -0 lith stats --since-start $pid
            [[ $output == *"No counters: QEMU counts no"* ]]
        else
            after=$(field "$get")
            python3 -c "b, a = $before, $after; print(b, a); assert all(y > x or x == y == 1 for x, y in zip(b, a)), 'not grown'"
            bytes=$(field 'sum(i["counters"][p].get("net_tx_bytes", 0) for p in i["counters"])')
            [ "$bytes" -gt 2000000 ] && [ "$bytes" -lt 4000000 ]
            [ "$(field '0 < i["counters"]["guest"]["free_pages"] < i["counters"]["guest"]["total_pages"] <= 16384')" = True ]
        fi
        kill -TERM $pid
        rc=0
        wait $pid || rc=$?
        [ $rc -eq 15 ]
        run lith stats --since-start $pid
        fails_with "there is no process $pid"
    done
}

@test "rates are those between two looks; --watch goes on until the instance ends" {
    server_image
    for p in ${platforms#qemu }; do
        start $p --net none
        timeout 20 lith stats --watch=0.2 --json $pid >looks &
        watch=$!
        sleep 1.5
        kill -TERM $pid
        wait $pid || [ $? -eq 15 ]
        wait $watch # status 0 when what it watched has ended
        python3 - <<'END'
import json
text, looks, d = open("looks").read(), [], json.JSONDecoder()
while text.strip():
    value, n = d.raw_decode(text.lstrip())
    looks += value
    text = text.lstrip()[n:]
assert len(looks) >= 3, len(looks)
for l in looks:
    assert 0.15 < l["interval_s"] < 2, l
    assert l["per_second"]["guest"].keys() <= l["counters"]["guest"].keys()
END
    done
}

@test "--stats: the counters at the end, with the program's status and its signals" {
    server_image
    for p in $platforms; do
        start $p --net none --stats
        child=$pid
        kill -TERM $pid
        rc=0
        wait $pid || rc=$?
        [ $rc -eq 15 ]
        [ "$(tr -d '\r' <out)" = ready ]
        grep "^$name: process [0-9]*, platform $p, up " err
        [ $p = qemu ] || grep -E '^  (exit_console|host_write) +1 ' err
    done
}

@test "an instance that was killed leaves nothing" {
    server_image
    for p in $platforms; do
        start $p --net none
        run -0 lith stats
        grep -q "^$pid " <<<"$output"
        kill -KILL $pid
        wait $pid || true
        for i in $(seq 50); do ! lith stats $pid >/dev/null 2>&1 || sleep 0.1; done
        run -0 lith stats --since-start
        ! grep -q "$name" <<<"$output"
    done
}

@test "another user's instances are not seen" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    server_image
    chmod -R a+rX "$BATS_RUN_TMPDIR"
    start process --net none
    run -0 setpriv --reuid=65534 --regid=65534 --clear-groups lith stats --since-start
    ! grep -q "$name" <<<"$output"
    run setpriv --reuid=65534 --regid=65534 --clear-groups lith stats $pid
    fails_with "an instance of another user's"
    run setpriv --reuid=65534 --regid=65534 --clear-groups sh -c "cat /proc/$pid/fd/*"
    [ "$status" -ne 0 ]
}

@test "a page full of lies: numbers and nothing else, never a crash" {
    server_image
    start process --net none
    [ "$(grep lith-stats /proc/$pid/maps | cut -d' ' -f3)" = 00001000 ] # the second page, once
    # What a hostile guest can write is the second page; with the user's rights, both.
    python3 - $pid <<'END'
import os, sys
d = "/proc/%s/fd/" % sys.argv[1]
page, = [d + f for f in os.listdir(d) if os.readlink(d + f).startswith("/memfd:lith-stats")]
with open(page, "r+b") as f:
    f.seek(4096 + 1024)
    head = f.read(8)
    f.seek(4096)
    f.write(b"\xff" * 4096)
    f.seek(4096 + 1024)
    f.write(head)
END
    run -0 lith stats --since-start
    grep "^$pid " <<<"$output"
    [ "$(field 'i["counters"]["guest"]["total_pages"]')" = 9223372036854775807 ]
    run -0 lith stats $pid
    # A process that only calls itself a monitor, with noise for counters.
    python3 -c '
import ctypes, os, time
open("/proc/self/comm", "w").write("lith-monitor")
fd = os.memfd_create("lith-stats")
os.write(fd, os.urandom(8192))
open("liar", "w").close()
time.sleep(60)' 3>&- &
    liar=$!
    for i in $(seq 100); do [ ! -e liar ] || break; sleep 0.1; done
    run lith stats --since-start $liar
    fails_with "damaged"
    run -0 lith stats --since-start
    ! grep -q "^$liar " <<<"$output"
    run lith stats $BASHPID
    fails_with "is no instance"
}

@test "wrong usage" {
    run lith stats 1 2
    fails_with "stats takes one process or name"
    run lith stats --frob
    fails_with "bad option --frob"
    for w in 0 x -1 nan 1e9; do
        run lith stats --watch=$w
        fails_with "seconds from 0.01"
    done
    run lith stats no-such-instance-$name
    fails_with "no running instance is named"
    run -0 lith stats --help
    [[ $output == *"--watch"* ]]
}
