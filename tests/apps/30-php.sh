#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Debian's php with its own web server in an instance: answers are those of php on this host.
. "$(dirname "$0")/lab.sh"
DIR=$LAB_TOP/tests/apps/php
php_image() { lab_import test-php-base php-cli && lab_build test-php test-php-base "$DIR"; }
lab_images php_image
lab_enter "$@"

head -c 300000 /dev/zero | tr '\0' u >"$LAB_TMP/upload"
fetch() { curl -sS --max-time 20 "$@"; }

dialogue() { # URL FILE
    {
        fetch "$1/echo.php?b=2&a=1&list\[\]=x"
        fetch -H 'X-Test: of headers' "$1/echo.php"
        fetch -d 'name=lith&text=%C3%BC' "$1/echo.php"
        fetch -F 'field=value' -F "doc=@$LAB_TMP/upload" "$1/echo.php"
        fetch -X PUT -d body "$1/echo.php"
        fetch "$1/work.php?now=$(date +%s)"
        fetch "$1/page.html"
        fetch -o /dev/null -w '%{http_code} %{content_type}\n' "$1/missing.html"
        fetch -I "$1/page.html" | grep -iE '^(HTTP|Content)'
        fetch "$1/info.php" | grep -oE 'PHP Version => [0-9.]+|<h1 class="p">PHP Version [0-9.]+'
        fetch "$1/info.php" | grep -oE 'name="module_(date|hash|json|pcre|session|spl|standard)"' | sort
    } >"$2" 2>&1
}

native() {
    (cd "$DIR/www" && exec php -n -S 127.0.0.1:7788 -t "$DIR/www") >"$LAB_TMP/native.log" 2>&1 8>&- &
    local pid=$! i
    for i in $(seq 1 100); do
        curl -s -o /dev/null http://127.0.0.1:7788/page.html && break
        sleep 0.05
    done
    dialogue http://127.0.0.1:7788 "$LAB_TMP/native"
    kill $pid
    wait $pid
}

php_serves() {
    local out
    lab_start test-php
    lab_wait_port 8000 30 || return
    dialogue http://$GUEST:8000 "$LAB_TMP/guest"
    same_file "every answer is what native gives" "$LAB_TMP/guest" "$LAB_TMP/native"
    out=$(timeout 100 ab -q -n "$1" -c 10 "http://$GUEST:8000/echo.php?x=1" 2>&1)
    if [[ "$out" =~ Complete\ requests:\ +$1 ]] && [[ "$out" =~ Failed\ requests:\ +0 ]] && ! [[ "$out" =~ Non-2xx ]]; then
        ok "$1 scripts run without a failure"
        lab_note "$(grep -E 'Requests per second' <<<"$out")"
    else
        not_ok "$1 scripts run without a failure" "$out"
    fi
    lab_stop
    # PHP's server has no handler for it: the signal's default action, as native.
    is "SIGTERM ends it as native" $LAB_STATUS 143
}
php_web() { if [ "$PLATFORM" = qemu-ring3 ]; then php_serves 100; else php_serves 2000; fi; }

native
LAB_NATIVE=(php -n -S $GUEST:8000 -t "$DIR/www")
lab_each_platform php_web
lab_plan_end
