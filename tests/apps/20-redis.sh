#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Debian's redis-server in an instance: what redis-cli gets from it is what it gets from the same
# server on this host, and redis-benchmark completes.
. "$(dirname "$0")/lab.sh"
DIR=$LAB_TOP/tests/apps/redis
redis_image() { lab_import test-redis-base redis-server && lab_build test-redis test-redis-base "$DIR"; }
lab_images redis_image
lab_enter "$@"

cli() { timeout 60 redis-cli -h "$@"; }

# Everything a client sees, from the server at these options of redis-cli, into file OUT.
dialogue() { # OUT HOST [OPTION...]
    local reader i out=$1
    shift
    {
        echo "== commands"
        cli "$@" <"$DIR/commands"
        echo "== large values"
        for i in 1 17 4096 70000 3000000; do
            head -c "$i" /dev/zero | tr '\0' x | cli "$@" -x set big$i
            cli "$@" get big$i | sha256sum
        done
        echo "== ten thousand keys through one pipe"
        for i in $(seq 1 10000); do echo "SET key:$i value-$i"; done | cli "$@" --pipe | tail -n 1
        cli "$@" dbsize
        cli "$@" get key:7777
        echo "== blocking"
        (sleep 0.3 && cli "$@" rpush queue job >/dev/null) &
        cli "$@" blpop queue 10
        cli "$@" blpop nothing 0.2
        echo "== messages"
        timeout 60 redis-cli -h "$@" subscribe news sport >"$out.sub" 2>/dev/null &
        reader=$!
        for i in $(seq 1 50); do
            [ "$(cli "$@" publish news "first $i")" = 1 ] && break
            sleep 0.1
        done
        cli "$@" publish sport goal
        cli "$@" publish nobody x
        for i in $(seq 1 100); do
            grep -q '^goal$' "$out.sub" && break
            sleep 0.05
        done
        kill $reader
        wait $reader 2>/dev/null
        sed -n '/^goal$/p; s/^first .*/first/p' "$out.sub"
        echo "== expiry"
        cli "$@" set brief 1 PX 300
        cli "$@" exists brief
        sleep 0.5
        cli "$@" exists brief
        cli "$@" config get save
        cli "$@" client getname
        cli "$@" flushall
    } >"$out" 2>&1
}

native() { # the reference
    local i pid
    redis-server "$DIR/redis.conf" --bind 127.0.0.1 --port 7777 --dir "$LAB_TMP" >"$LAB_TMP/native.log" 2>&1 8>&- &
    pid=$!
    for i in $(seq 1 100); do
        cli 127.0.0.1 -p 7777 ping >/dev/null 2>&1 && break
        sleep 0.05
    done
    dialogue "$LAB_TMP/native" 127.0.0.1 -p 7777
    kill $pid
    wait $pid
}

bench() { # TEXT COUNT OPTION...
    local text=$1 count=$2 out
    shift 2
    if out=$(timeout 200 redis-benchmark -h $GUEST -n "$count" -c 30 "$@" --csv 2>&1) &&
        [ "$(grep -c '^"[A-Z].*","[0-9]' <<<"$out")" = "$LOADS" ] && ! [[ "$out" =~ [Ee]rror ]]; then
        ok "$text"
        lab_note "$(grep -v '^"test"' <<<"$out" | cut -d, -f1,2 | tr '\n' ' ')"
    else
        not_ok "$text" "$out"
    fi
}

redis() {
    lab_start test-redis
    lab_wait_port 6379 || return
    is "PING" "$(cli $GUEST ping)" PONG
    dialogue "$LAB_TMP/guest" $GUEST
    same_file "every answer is what native gives" "$LAB_TMP/guest" "$LAB_TMP/native"
    if [ "$PLATFORM" = qemu-ring3 ]; then
        LOADS=2 bench "redis-benchmark -n 10000 -c 30 -P 16" 10000 -P 16 -t set,get
    else
        LOADS=4 bench "redis-benchmark -n 100000 -c 30 -P 1: set, get, incr, lpush" 100000 -P 1 -t set,get,incr,lpush
        LOADS=8 bench "redis-benchmark -n 100000 -c 30 -P 16: eight commands" 100000 -P 16 -t set,get,incr,lpush,rpop,sadd,hset,zadd
        LOADS=1 bench "redis-benchmark -n 2000 -c 30 with values of 64 KiB" 2000 -d 65536 -t get
    fi
    is "still answering" "$(cli $GUEST ping)" PONG
    lab_stop
    is "SIGTERM ends it with status 0" $LAB_STATUS 0
}

native
LAB_NATIVE=(/usr/bin/redis-server "$DIR/redis.conf" --dir "$LAB_TMP")
lab_each_platform redis
lab_plan_end
