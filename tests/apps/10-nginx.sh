#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Debian's nginx in an instance, asked by curl, ab and wrk over a tap.
. "$(dirname "$0")/lab.sh"
. "$LAB_TOP/tests/apps/nginx-images.sh"
lab_images nginx_image
lab_enter "$@"
URL=http://$GUEST
WWW=$NGINX_DIR/www
fetch() { curl -sS --max-time 20 "$@"; }
code() { fetch -o /dev/null -w '%{http_code}' "$@" 2>&1; }

http() { # what one request at a time shows
    fetch -D "$LAB_TMP/head" -o "$LAB_TMP/page" $URL/
    same_file "the page is the file, byte for byte" "$LAB_TMP/page" "$WWW/index.html"
    matches "Content-Length is the file's" "$(tr -d '\r' <"$LAB_TMP/head")" "Content-Length: $(stat -c %s "$WWW/index.html")"
    fetch -o "$LAB_TMP/1m" $URL/1m
    same_file "a file of 1 MiB is intact" "$LAB_TMP/1m" "$WWW/1m"
    is "HEAD" "$(code -I $URL/)" 200
    is "a missing page is 404" "$(code $URL/missing)" 404
    is "POST to a file is 405" "$(code -d x=1 $URL/)" 405
    is "a redirect is 301" "$(code $URL/old)" 301
    fetch -r 1000-2999 -o "$LAB_TMP/range" $URL/1m
    is "a range" "$(sha256sum <"$LAB_TMP/range")" "$(tail -c +1001 "$WWW/1m" | head -c 2000 | sha256sum)"
    is "a range is 206" "$(code -r 5-10 $URL/1m)" 206
    is "a range behind the end is 416" "$(code -r 9999999- $URL/1m)" 416
    matches "a directory is listed" "$(fetch $URL/list/)" 'one\.txt.*two\.txt'
    is "a header of 7,000 bytes passes" "$(code -H "X-Long: $(printf '%07000d' 0)" $URL/)" 200
    is "a header of 60,000 bytes is 400" "$(code -H "X-Long: $(printf '%060000d' 0)" $URL/)" 400
    is "keepalive: three pages by one connection" \
        "$(fetch -w '%{num_connects} ' -o /dev/null $URL/ -o /dev/null $URL/1m -o /dev/null $URL/)" "1 0 0 "
    is "If-Modified-Since is 304" "$(code -z "$(date -R -d tomorrow)" $URL/)" 304
}

ab_run() { # TEXT COUNT CONCURRENCY [OPTION...]
    local text=$1 count=$2 c=$3 out
    shift 3
    out=$(timeout 120 ab -q -n "$count" -c "$c" "$@" $URL/ 2>&1)
    if [[ "$out" =~ Complete\ requests:\ +$count ]] && [[ "$out" =~ Failed\ requests:\ +0 ]] && ! [[ "$out" =~ Non-2xx ]]; then
        ok "$text"
        lab_note "$(grep -E 'Requests per second' <<<"$out")"
    else
        not_ok "$text" "$out"
    fi
}

load() {
    local out
    ab_run "1,000 connections one after another" 1000 1
    ab_run "ab -n 20000 -c 50: no failed request" 20000 50
    ab_run "ab -k -n 20000 -c 50: no failed request" 20000 50 -k
    out=$(timeout 60 wrk -t1 -c64 -d10 $URL/ 2>&1)
    if [[ "$out" =~ requests\ in ]] && ! [[ "$out" =~ Socket\ errors|Non-2xx ]]; then
        ok "wrk -t1 -c64 -d10: no error"
        lab_note "$(grep -E 'Requests/sec' <<<"$out")"
    else
        not_ok "wrk -t1 -c64 -d10: no error" "$out"
    fi
    fetch -o "$LAB_TMP/page" $URL/
    same_file "still answering" "$LAB_TMP/page" "$WWW/index.html"
}

stops() {
    lab_stop
    is "SIGTERM ends it with status 0" $LAB_STATUS 0
}

serves() {
    lab_start test-nginx
    lab_wait_port 80 || return
    http
    # The ring changes how the kernel is entered, not how it serves: a smaller load is enough there.
    if [ "$PLATFORM" = qemu-ring3 ]; then ab_run "ab -n 2000 -c 50: no failed request" 2000 50; else load; fi
    stops
}

small_memory() {
    [ "$PLATFORM" != native ] || return
    LAB_OPTS=(-m 12M)
    lab_start test-nginx
    LAB_OPTS=()
    lab_wait_port 80 || return
    is "a page with -m 12M" "$(code $URL/)" 200
    ab_run "ab -n 1000 -c 20 with -m 12M" 1000 20
    stops
}

nginx_native "$LAB_TMP"
lab_each_platform serves
lab_each_platform small_memory
lab_plan_end
