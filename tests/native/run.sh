#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# The native proof that rewriting is complete: Debian programs and all their libraries go through
# rewrite_elf(), run as ordinary Linux processes behind a pass-through gate, and are killed at the
# first system call made from anywhere else. Their output must be native's. Prints TAP.
# Usage: make native-tests && tests/native/run.sh
set -u
cd "$(dirname "$0")/../.." || exit 1
bin=build/tests/native
tmp=$(mktemp -d)
root=$tmp/root
number=0
failed=0
server=

cleanup() {
    [ -n "$server" ] && kill -KILL "$server" 2>/dev/null
    rm -rf "$tmp"
}
trap cleanup EXIT

# ok STATUS NAME: one line of TAP.
ok() {
    number=$((number + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $number - $2"
    else
        failed=$((failed + 1))
        echo "not ok $number - $2"
    fi
}

# rewritten NAME ARG...: runs a rewritten program behind the gate, with the name that it has natively.
rewritten() {
    local name=$1
    shift
    timeout 60 "$bin/launcher" "$root/ld-linux-x86-64.so.2" --library-path "$root" \
        --argv0 "$name" "$root/$(basename "$name")" "$@"
}

# same NAME PROGRAM ARG...: the rewritten program's output and status are native's.
same() {
    local name=$1 native rewritten
    shift
    timeout 60 "$@" >"$tmp/native" 2>&1
    native=$?
    rewritten "$@" >"$tmp/rewritten" 2>&1
    rewritten=$?
    [ $native -eq $rewritten ] && cmp -s "$tmp/native" "$tmp/rewritten"
    local status=$?
    ok $status "$name"
    [ $status -eq 0 ] || diff "$tmp/native" "$tmp/rewritten" | head -10 | sed "s/^/# status $rewritten: /"
}

mkdir -p "$root" "$tmp/www"
programs="/bin/true /bin/ls /usr/bin/sqlite3 /usr/bin/python3 /usr/sbin/nginx $bin/omp"
for program in $programs; do
    [ -x "$program" ] || { echo "Bail out! $program is missing: make deps native-tests"; exit 1; }
done

# The programs, and every library that one of them or a Python module needs.
{
    for program in $programs; do
        echo "$program"
    done
    # shellcheck disable=SC2086
    ldd $programs /usr/lib/python3*/lib-dynload/*.so 2>/dev/null |
        awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /ld-linux/ { print $1 }' | sort -u
} >"$tmp/files"
left=0
while read -r file; do
    "$bin/rewrite_file" "$file" "$root/$(basename "$file")" >>"$tmp/report" || left=1
done <"$tmp/files"
chmod 755 "$root"/*
sed 's/^/# /' "$tmp/report"
ok $left "no raw site is left in $(wc -l <"$tmp/files") files"
grep -q trap "$tmp/report"
ok $((! $?)) "no site had to become a trap"
for file in libc.so.6 ld-linux-x86-64.so.2; do
    objdump -d "$root/$file" | grep -qE '[[:space:]]syscall[[:space:]]*$'
    ok $((! $?)) "objdump finds no syscall in $file"
done
cmp -s "$root/libcrypto.so.3" /usr/lib/x86_64-linux-gnu/libcrypto.so.3
ok $? "libcrypto.so.3 is not touched"

# The filter bites: the same program with one library as Debian ships it.
mkdir "$tmp/unrewritten"
cp "$root/true" "$root/ld-linux-x86-64.so.2" "$tmp/unrewritten"
cp -L /lib/x86_64-linux-gnu/libc.so.6 "$tmp/unrewritten"
(
    ulimit -c 0
    root=$tmp/unrewritten rewritten /bin/true
) >/dev/null 2>&1
[ $? -eq 159 ] # SIGSYS
ok $? "with an unrewritten libc.so.6 the filter kills"

same "true" /bin/true
same "ls -la /usr/bin" /bin/ls -la /usr/bin
same "ls of what is missing" /bin/ls /nonexistent
sql="create table t(a integer primary key, b text); insert into t(b) values('x'),('y');
with recursive c(n) as (select 1 union all select n+1 from c where n<50000) insert into t(b)
select 'v'||n from c; select count(*), sum(length(b)) from t; pragma integrity_check;"
same "sqlite3 in memory" /usr/bin/sqlite3 :memory: "$sql"
for kind in native rewritten; do
    mkdir "$tmp/$kind.d"
done
timeout 60 /usr/bin/sqlite3 "$tmp/native.d/db" "$sql" >"$tmp/native" 2>&1
rewritten /usr/bin/sqlite3 "$tmp/rewritten.d/db" "$sql" >"$tmp/rewritten" 2>&1
cmp -s "$tmp/native" "$tmp/rewritten" && cmp -s "$tmp/native.d/db" "$tmp/rewritten.d/db"
ok $? "sqlite3 on disk: the same database file"
same "python3: version and modules" /usr/bin/python3 -c 'import sys, json, zlib, hashlib, socket, ssl
print(sys.version, json.dumps({"a": 1}), hashlib.sha256(b"x").hexdigest(), zlib.crc32(b"x"))'
same "python3: threads, signals, sockets, fork, mmap" /usr/bin/python3 tests/native/calls.py
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=4 # wait in the kernel, not by spinning
same "libgomp: barriers, locks" "$bin/omp"

# nginx, one process, on a free loopback port.
head -c 3000000 /dev/urandom >"$tmp/www/blob"
echo '<h1>rewritten</h1>' >"$tmp/www/index.html"
chmod -R a+rX "$tmp"
port=$(/usr/bin/python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$tmp/nginx.conf" <<CONF
daemon off;
master_process off;
pid $tmp/nginx.pid;
error_log $tmp/error.log;
events {}
http {
    access_log off;
    client_body_temp_path $tmp/t1; proxy_temp_path $tmp/t2; fastcgi_temp_path $tmp/t3;
    uwsgi_temp_path $tmp/t4; scgi_temp_path $tmp/t5;
    server { listen 127.0.0.1:$port; root $tmp/www; }
}
CONF
"$bin/launcher" "$root/ld-linux-x86-64.so.2" --library-path "$root" --argv0 /usr/sbin/nginx \
    "$root/nginx" -c "$tmp/nginx.conf" >"$tmp/nginx.out" 2>&1 &
server=$!
curl -s --retry 20 --retry-connrefused --retry-delay 1 --max-time 30 -o "$tmp/page" \
    "http://127.0.0.1:$port/"
cmp -s "$tmp/page" "$tmp/www/index.html"
ok $? "nginx: serves a page"
curl -s --max-time 30 -o "$tmp/blob" "http://127.0.0.1:$port/blob"
cmp -s "$tmp/blob" "$tmp/www/blob"
ok $? "nginx: 3 MB intact"
good=0
for _ in $(seq 50); do
    [ "$(curl -s --max-time 10 "http://127.0.0.1:$port/")" = '<h1>rewritten</h1>' ] && good=$((good + 1))
done
[ $good -eq 50 ]
ok $? "nginx: 50 connections"
kill -TERM "$server" 2>/dev/null
wait "$server"
ok $? "nginx: SIGTERM ends it with status 0"
server=
[ $failed -eq 0 ] || sed 's/^/# nginx: /' "$tmp/nginx.out"

echo "1..$number"
exit $((failed > 0))
