#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# The tool with a real machine: console, exit status, arguments, signals, on every platform that this
# host has.
bats_require_minimum_version 1.5.0
load lib

setup() {
    setup_lith
    require_boot
    platforms="qemu process"
    [ ! -r /dev/kvm ] || platforms="qemu process kvm"
}

# A static program that prints its arguments and ends with the status that the first one names; "wait"
# waits for SIGTERM or SIGINT and ends with the signal's number.
program_image() {
    mkdir -p ctx
    cat >ctx/p.c <<'END'
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static volatile int got;
static void on(int s) { got = s; }
int main(int argc, char *argv[])
{
    if (argc > 1 && strcmp(argv[1], "wait") == 0) {
        signal(SIGTERM, on);
        signal(SIGINT, on);
        puts("ready");
        fflush(stdout);
        while (!got)
            pause();
        return got;
    }
    for (int i = 1; i < argc; i++)
        printf("[%s]\n", argv[i]);
    printf("A=%s\n", getenv("A") ? getenv("A") : "");
    return argc > 1 ? atoi(argv[1]) : 0;
}
END
    gcc -O1 -static -o ctx/p ctx/p.c
    printf 'FROM scratch\nCOPY p /p\nENV A=1\nENTRYPOINT ["/p"]\n' >ctx/Dockerfile
    lith build -q -t p ctx
}

@test "arguments, environment and exit status" {
    program_image
    for p in $platforms; do
        run timeout 60 lith run --platform $p --net none -e A='x y' p 7 'a b' ''
        [ "$status" -eq 7 ]
        [ "$(tr -d '\r' <<<"$output")" = "$(printf '[7]\n[a b]\n[]\nA=x y')" ]
        run -127 timeout 60 lith run --platform $p --net none --entrypoint /nothing p
    done
}

@test "Ctrl-C before the program runs ends the instance at once" {
    program_image
    for p in $platforms; do
        for delay in 0.02 0.06 0.1 0.15 0.2; do
            start=$SECONDS
            timeout -s INT --foreground $delay lith run --platform $p --net none p wait >out 2>&1 3>&- || true
            [ $((SECONDS - start)) -lt 8 ] || { echo "$p $delay: took $((SECONDS - start)) s"; false; }
        done
    done
}

@test "SIGTERM and Ctrl-C reach the program" {
    program_image
    for p in $platforms; do
        for pair in TERM:15 INT:2; do
            lith run --platform $p --net none p wait >out 2>&1 3>&- &
            pid=$!
            for i in $(seq 200); do ! grep -q ready out || break; sleep 0.1; done
            kill -"${pair%:*}" $pid
            rc=0
            wait $pid || rc=$?
            [ $rc -eq "${pair#*:}" ] || { echo "$p ${pair}: status $rc"; cat out; false; }
        done
    done
}

@test "platform process: as an ordinary user, and in a user namespace without /dev/kvm" {
    program_image
    if [ "$(id -u)" = 0 ]; then
        chmod -R a+rX "$BATS_RUN_TMPDIR"
        run setpriv --reuid=65534 --regid=65534 --clear-groups timeout 60 lith run --platform process --net none p 7 a
        [ "$status" -eq 7 ]
    fi
    unshare --user --map-root-user true 2>/dev/null || skip "no user namespaces here"
    run unshare --user --map-root-user --mount sh -c 'mount -t tmpfs none /dev && mknod /dev/null c 1 3 2>/dev/null
        lith info; exec timeout 60 lith run --net none p 7 a'
    [ "$status" -eq 7 ]
    [[ "$output" =~ Platform:\ +process ]]
}

@test "descriptors 0 to 2 closed: none of the machine's takes their place" {
    program_image
    [ -r /dev/kvm ] || skip "no /dev/kvm"
    (exec 0<&- 1>&- 2>&- 3>&-; exec lith run --platform kvm p wait) &
    pid=$!
    for i in $(seq 100); do [ "$(cat /proc/$pid/comm)" != lith-monitor ] || break; sleep 0.1; done
    sleep 0.3
    for fd in 0 1 2; do [ "$(readlink /proc/$pid/fd/$fd)" = /dev/null ]; done
    passt=$(pgrep -P $pid passt)
    kill -TERM $pid
    rc=0
    wait $pid || rc=$?
    [ $rc -eq 15 ]
    for i in $(seq 50); do grep -qs passt /proc/$passt/comm || break; sleep 0.1; done
    ! grep -qs '^State:.[^Z]' /proc/$passt/status # gone with its instance
}
