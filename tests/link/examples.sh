#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# The examples of link mode (make examples) inside instances: hello, the HTTP server, and SQLite, Lua and
# redis from Debian's unchanged sources, each against the same program on this host. And what
# linked programs consist of.
: "${LITH_PLATFORMS:=kvm process qemu}"
. "$(dirname "$0")/../apps/lab.sh"
DIR=$LAB_TOP/tests/link/examples
EX=$LAB_TOP/build/examples
CTX=$LAB_TOP/build/tests/link/examples

# The programs stripped: what is run and measured.
stripped() { # NAME
    mkdir -p "$CTX/$1"
    strip -o "$CTX/$1/$1" "$EX/$1/$1"
}
images() {
    local n
    for n in hello http lua sqlite redis; do
        lab_need "$EX/$n/$n"
        stripped $n
    done
    cp "$LAB_TOP"/examples/hello/Dockerfile "$CTX/hello"
    cp "$DIR/script.sql" "$CTX/sqlite"
    cp "$DIR/checks.lua" "$CTX/lua"
    printf 'FROM scratch\nCOPY sqlite script.sql /\nENTRYPOINT ["/sqlite"]\n' >"$CTX/sqlite/Dockerfile"
    printf 'FROM scratch\nCOPY lua checks.lua /\nENTRYPOINT ["/lua", "checks.lua"]\n' >"$CTX/lua/Dockerfile"
    for n in hello lua sqlite; do lab_image link-$n "$CTX/$n/$n $DIR" build -q -t link-$n "$CTX/$n" || return; done
    "$LAB_TOP/build/bin/lith-cc" -O2 "$DIR/fork.c" -o "$CTX/forks"
    gcc -O2 -D_GNU_SOURCE "$LAB_TOP/examples/http/http.c" -o "$CTX/http-native"
}
lab_images images
lab_enter "$@"

# Runs to the end without a network; LAB_STATUS, output in $LAB_LOG.
plain() { # OPTION... PROGRAM ARG...
    LAB_LOG=$LAB_TMP/console.$((++LAB_STARTS))
    timeout 120 "$LITH" run --platform "$PLATFORM" --net none "$@" >"$LAB_LOG" 2>&1 </dev/null
    LAB_STATUS=$?
}

loaded() { # TEXT STATUS FIGURES
    if [ "$2" = 0 ]; then
        ok "$1"
        lab_note "$3"
    else
        not_ok "$1" "$3"
    fi
}

# ---- what linked programs consist of ----

composition() {
    local n size
    for n in hello:65536 http:204800; do
        size=$(stat -c %s "$CTX/${n%:*}/${n%:*}")
        if [ "$size" -le "${n#*:}" ]; then ok "${n%:*}: at most ${n#*:} bytes"; else not_ok "${n%:*}: $size bytes, at most ${n#*:}"; fi
    done
    for n in hello http lua sqlite redis; do
        objdump -d "$EX/$n/$n" >"$LAB_TMP/code"
        grep -q '<main>:' "$LAB_TMP/code" && is "$n: no instruction that enters a kernel, but those of the process machine" \
            "$(awk '/^[0-9a-f]+ <.*>:/ {at = $2} /[[:space:]](syscall|sysenter|int +\$0x80) *$/ {print at}' "$LAB_TMP/code" | sort -u | paste -sd' ')" \
            "<__lith_process_restorer>: <__lith_process_wait_start>: <host_call>:"
    done
    # What hello does not use is not in it; what it does use is (or the test reads the wrong thing).
    "$LITH" size --json "$EX/hello/hello" >"$LAB_TMP/size.json"
    is "hello: no network, file systems, program loader or devices in it" "$(python3 - "$LAB_TMP/size.json" <<'END'
import json, re, sys
d = json.load(open(sys.argv[1]))
names = {l["name"] for l in d["libraries"]}
objects = {o["name"] for l in d["libraries"] for o in l["objects"]}
bad = names & {"net", "dev"} | {o for o in objects if re.search(
    r"procfs|tmpfs|erofs|devfs|namei|mount|dcache|vfs|pipe|elf|exec|socket|unix|epoll|linux__signal\.|vdso|linux__table", o)}
bad |= {"no " + n for n in ("plat", "sched", "libc", "program") if n not in names}

print(" ".join(sorted(bad)))
END
)" ""
}

# ---- programs ----

hello() {
    plain -m 1M "$CTX/hello/hello"
    is "prints its line with 1 MiB of memory" "$(cat "$LAB_LOG")" "Hello from a unikernel."
    is "status 0" $LAB_STATUS 0
    plain -m 1M link-hello
    is "as an image, too" "$LAB_STATUS $(cat "$LAB_LOG")" "0 Hello from a unikernel."
}
forks() {
    plain -m 4M "$CTX/forks"
    matches "fork is refused by name" "$(cat "$LAB_LOG")" 'fork.*refused'
    is "and the program goes on" "$LAB_STATUS $(grep -c 'still here' "$LAB_LOG")" "3 1"
}
lua() {
    plain -m 128M -e CHECK=yes link-lua one "two words"
    same_file "Lua prints what it prints natively" "$LAB_LOG" "$LAB_TMP/lua.native"
    is "and exits with the script's status" $LAB_STATUS 7
}
sqlite() {
    plain -m 64M link-sqlite -batch /tmp/test.db '.read script.sql'
    same_file "SQLite prints what it prints natively" "$LAB_LOG" "$LAB_TMP/sqlite.native"
    is "and exits as there" $LAB_STATUS "$SQLITE_STATUS"
}
http() {
    local out
    LAB_OPTS=(-m 4M)
    lab_start "$CTX/http/http"
    LAB_OPTS=()
    lab_wait_port 80 || return
    out=$(curl -sS --max-time 10 -w '%{http_code} %{content_type}' http://$GUEST/ 2>&1)
    matches "curl gets the page from 4 MiB of memory" "$out" '<h1>It works</h1>.*</html>.*200 text/html'
    out=$(timeout 100 python3 "$DIR/http_checks.py" $GUEST 80 2>&1)
    is "requests of all kinds" "$out" "$(tail -n 1 <<<"$out" | grep -E '^([0-9]+) of \1 ')"
    out=$(timeout 60 wrk -t1 -c64 -d5 http://$GUEST/ 2>&1)
    [[ "$out" =~ ([0-9]+)\ requests\ in ]] && [ "${BASH_REMATCH[1]}" -gt 1000 ] && ! [[ "$out" =~ Socket\ errors|Non-2xx|unable ]] &&
        curl -sf --max-time 10 -o /dev/null http://$GUEST/
    loaded "wrk -t1 -c64 -d5: no error, and it still answers" $? "$(grep -E 'requests in|Requests/sec|errors|unable' <<<"$out" | tr -s ' \n' ' ')"
}

# A load whose result is the same each time, in every type, with enough keys that tables grow.
redis_load() { # OPTION-OF-REDIS-CLI...
    awk 'BEGIN {
        for (i = 0; i < 20000; i++) {
            k = (i * 7919) % 5000
            if (i % 8 == 0) print "SET s:" k " value-" i
            else if (i % 8 == 1) print "RPUSH l:" k % 50 " " i
            else if (i % 8 == 2) print "SADD set:" k % 70 " m" i % 900
            else if (i % 8 == 3) print "ZADD z:" k % 60 " " i % 1000 / 4 " m" i
            else if (i % 8 == 4) print "HSET h:" k % 80 " f" i % 300 " " i
            else if (i % 8 == 5) print "INCRBY n:" k % 90 " " i
            else if (i % 8 == 6) print "APPEND a:" k % 40 " " i
            else print "XADD x:" k % 10 " " i + 1 "-1 f " i
        }
        print "ZUNIONSTORE u 3 z:1 z:2 z:3\nSORT l:7 STORE sorted\nPFADD hll a b c d\nSETRANGE a:1 500 end\nDEL s:1 l:2"
        print "EVAL \"for i=1,500 do redis.call(\x27SET\x27,\x27lua:\x27..i,i*i) end return redis.call(\x27DBSIZE\x27)\" 0"
    }' | timeout 60 redis-cli "$@" --pipe 2>&1 | tail -n 1
    timeout 20 redis-cli "$@" dbsize
    timeout 20 redis-cli "$@" debug digest
}
redis_options=(--save '' --appendonly no --protected-mode no --enable-debug-command yes)
redis() {
    local p out
    lab_start "$CTX/redis/redis" "${redis_options[@]}"
    lab_wait_port 6379 || return
    is "redis: PING" "$(timeout 10 redis-cli -h $GUEST ping)" PONG
    redis_load -h $GUEST >"$LAB_TMP/redis.guest"
    is "redis: the same load has the digest of the native server" "$(cat "$LAB_TMP/redis.guest")" "$(cat "$LAB_TMP/redis.native")"
    for p in 1 16; do
        out=$(timeout 120 redis-benchmark -h $GUEST -n 20000 -c 30 -P $p -t set,get,lpush,hset --csv 2>&1)
        [ "$(grep -c '^"[A-Z].*","[0-9]' <<<"$out")" = 4 ] && ! [[ "$out" =~ [Ee]rror ]] &&
            [ "$(timeout 10 redis-cli -h $GUEST ping)" = PONG ]
        loaded "redis-benchmark -n 20000 -c 30 -P $p completes" $? \
            "$(grep -v '^"test"' <<<"$out" | cut -d, -f1,2 | tr '\n' ' ')"
        lab_alive || return
    done
    timeout 10 redis-cli -h $GUEST shutdown nosave >/dev/null 2>&1
    lab_stop
    is "redis: SHUTDOWN ends it with status 0" $LAB_STATUS 0
}

# The same on this host.
natively() {
    local i pid
    (cd "$CTX/lua" && CHECK=yes timeout 60 lua5.4 checks.lua one "two words") >"$LAB_TMP/lua.native" 2>&1 </dev/null
    rm -f /tmp/lith-example-copy.db
    (cd "$CTX/sqlite" && timeout 60 sqlite3 -batch "$LAB_TMP/test.db" '.read script.sql') >"$LAB_TMP/sqlite.native" 2>&1 </dev/null
    SQLITE_STATUS=$?
    rm -f /tmp/lith-example-copy.db
    (cd "$LAB_TMP" && exec redis-server --port 7777 --bind 127.0.0.1 "${redis_options[@]}") >"$LAB_TMP/redis.log" 2>&1 &
    pid=$!
    for i in $(seq 1 100); do
        redis-cli -p 7777 ping >/dev/null 2>&1 && break
        sleep 0.05
    done
    redis_load -p 7777 >"$LAB_TMP/redis.native"
    kill $pid
    wait $pid
    matches "the native references are complete" \
        "$(tail -n 1 "$LAB_TMP/lua.native") $(tail -n 1 "$LAB_TMP/sqlite.native") $(cat "$LAB_TMP/redis.native")" '[0-9]+ lines.*3\.[0-9]+\.[0-9]+.*errors: 0.*[0-9a-f]{40}'
}

composition
natively
for test in ${LITH_EXAMPLES:-hello forks lua sqlite http redis}; do lab_each_platform "$test"; done
lab_plan_end
