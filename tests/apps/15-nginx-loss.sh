#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Files from nginx through a link that drops 1 % of the frames and reorders 1 %, both ways: what
# arrives must be what was sent.
LAB_LINK=lossy
. "$(dirname "$0")/lab.sh"
. "$LAB_TOP/tests/apps/nginx-images.sh"

SIZE=100
big_image() {
    local dir=$LAB_TOP/build/tests/apps/big$SIZE
    nginx_image || return
    if [ ! -e "$dir/big" ]; then
        mkdir -p "$dir"
        openssl enc -aes-128-ctr -K 01 -iv 00 -in /dev/zero 2>/dev/null | head -c $((SIZE << 20)) >"$dir/big"
        printf 'FROM test-nginx\nCOPY big /var/www/html/big\n' >"$dir/Dockerfile"
    fi
    lab_build "test-big$SIZE" test-nginx "$dir"
}

lab_images big_image
lab_enter "$@"

URL=http://$GUEST
lab_need "$LAB_BUILD/lossy"
export LOSSY_DROP=10 LOSSY_REORDER=10 LOSSY_DUPLICATE=2 LOSSY_SEED=7

loss() {
    local start=$SECONDS wanted got out
    # The file lies in guest memory under QEMU: the default of 128 MiB is beside it.
    lab_start "test-big$SIZE"
    lab_wait_port 80 40 || return
    wanted=$(sha256sum <"$LAB_TOP/build/tests/apps/big$SIZE/big")
    start=$SECONDS
    got=$(curl -sS --max-time 300 $URL/big 2>"$LAB_TMP/err" | sha256sum)
    is "$SIZE MiB arrive intact through a lossy link $(cat "$LAB_TMP/err")" "$got" "$wanted"
    lab_note "$((SECONDS - start)) s"
    out=$(for _ in 1 2 3 4 5 6 7 8; do curl -sS --max-time 60 $URL/1m | sha256sum & done; wait)
    is "eight files of 1 MiB at a time" "$(sort -u <<<"$out")" "$(sha256sum <"$NGINX_DIR/www/1m")"
    out=$(timeout 100 ab -q -n 500 -c 10 -s 60 $URL/ 2>&1)
    if [[ "$out" =~ Complete\ requests:\ +500 ]] && [[ "$out" =~ Failed\ requests:\ +0 ]]; then
        ok "500 pages over as many connections"
    else
        not_ok "500 pages over as many connections" "$out"
    fi
    lab_stop
    is "SIGTERM ends it with status 0" $LAB_STATUS 0
    sleep 0.3 # the link writes its counts when the stream has closed
    matches "the link was as bad as it should be" "$(cat "$LAB_TMP/lossy.stats" 2>&1)" \
        'from guest: [0-9]+ frames, [1-9][0-9]+ dropped, [1-9][0-9]+ reordered'
    lab_note "$(tr '\n' ' ' <"$LAB_TMP/lossy.stats" 2>/dev/null)"
}

# The stack is the same in both rings.
LITH_PLATFORMS=${LITH_PLATFORMS/qemu-ring3/}
lab_each_platform loss
lab_plan_end
