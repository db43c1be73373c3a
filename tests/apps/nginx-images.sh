# SPDX-License-Identifier: ISC
# The images with nginx that several tests and the benchmarks use: sourced behind lab.sh.
#   test-nginx   tests/apps/nginx and a file of 1 MiB (/1m)
#   test-big     that and a file of $BIG_MIB MiB (/big)
# shellcheck shell=bash
NGINX_DIR=$LAB_TOP/build/tests/apps/nginx

nginx_files() { # the folder is also what native nginx serves
    local src=$LAB_TOP/tests/apps/nginx
    [ -z "$(find "$src" -newer "$NGINX_DIR/1m" 2>&1)" ] && return
    rm -rf "$NGINX_DIR" && mkdir -p "$NGINX_DIR" && cp -r "$src"/. "$NGINX_DIR"
    openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c 1048576 >"$NGINX_DIR/www/1m"
    ln -s www/1m "$NGINX_DIR/1m"
}
nginx_image() {
    nginx_files
    [ "$LITH_PLATFORMS" != native ] || return 0
    lab_import test-nginx-base nginx-light && lab_build test-nginx test-nginx-base "$NGINX_DIR"
}
# Native nginx with the same files: LAB_NATIVE.
nginx_native() { # FOLDER
    sed -e "s|/var/www/html|$NGINX_DIR/www|; s|/run/nginx.pid|$1/nginx.pid|; s|listen 80|listen $GUEST:80|" \
        "$NGINX_DIR/nginx.conf" >"$1/nginx.conf"
    LAB_NATIVE=(/usr/sbin/nginx -c "$1/nginx.conf" -p "$1")
}
