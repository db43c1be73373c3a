#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Debian's python3 in an instance: its http.server asked by curl, and a program that uses files,
# threads, signals, sockets and asyncio with the output that it has on this host.
. "$(dirname "$0")/lab.sh"
DIR=$LAB_BUILD/python-context
# The whole python3: python3-minimal lacks asyncio and http.server.
python_image() {
    mkdir -p "$DIR"
    cp -Rpu "$LAB_TOP/tests/apps/python/." "$DIR/"
    [ -e "$DIR/files/numbers" ] || seq 50000 >"$DIR/files/numbers" # a larger file to fetch
    lab_import test-python-base python3 && lab_build test-python test-python-base "$DIR"
}
lab_images python_image
lab_enter "$@"

URL=http://$GUEST:8000
PYTHON=/usr/bin/python3
fetch() { curl -sS --max-time 20 "$@"; }

program() {
    LAB_OPTS=(-e LITH_TEST=value)
    lab_run 60 test-python "$PYTHON" /srv/check.py "an argument" ü
    LAB_OPTS=()
    same_file "the program prints what it prints natively" "$LAB_LOG" "$LAB_TMP/native"
    is "its exit status is the instance's" $LAB_STATUS 7
}

serves() {
    local out
    lab_start test-python
    lab_wait_port 8000 40 || return
    matches "the folder is listed" "$(fetch $URL/)" 'numbers.*plain\.txt.*sub%20folder/'
    fetch -o "$LAB_TMP/numbers" $URL/numbers
    same_file "a file is intact" "$LAB_TMP/numbers" "$DIR/files/numbers"
    is "a file of a folder with a space" "$(fetch "$URL/sub%20folder/page.html")" "<p>page"
    is "a missing file is 404" "$(fetch -o /dev/null -w '%{http_code}' $URL/nothing)" 404
    is "POST is 501" "$(fetch -o /dev/null -w '%{http_code}' -d x $URL/)" 501
    is "a folder without its slash is 301" "$(fetch -o /dev/null -w '%{http_code}' "$URL/sub%20folder")" 301
    out=$(timeout 100 ab -q -n 300 -c 10 $URL/plain.txt 2>&1)
    if [[ "$out" =~ Complete\ requests:\ +300 ]] && [[ "$out" =~ Failed\ requests:\ +0 ]]; then
        ok "300 requests, each by a thread of its own"
        lab_note "$(grep -E 'Requests per second' <<<"$out")"
    else
        not_ok "300 requests, each by a thread of its own" "$out"
    fi
    matches "its log says who asked" "$(cat "$LAB_LOG")" '10\.42\.0\.1 - - .*"GET /numbers HTTP/1\.1" 200'
    lab_stop
    is "SIGTERM ends it as native" $LAB_STATUS 143
}

LITH_TEST=value PYTHONDONTWRITEBYTECODE=1 timeout 60 "$PYTHON" "$DIR/check.py" "an argument" ü >"$LAB_TMP/native" 2>&1
lab_each_platform program
lab_each_platform serves
lab_plan_end
