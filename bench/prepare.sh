#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# What `make bench` measures, made before it: the images, native configurations of the same servers
# (build/bench/native), and with `linux-guest` the minimal Linux guest (build/bench/linux): Debian's
# cloud kernel as the svm tests fetch it, and an initramfs of busybox and the same programs.
# BENCH_TREE is the tree whose build/bin/lith is measured (default: this one).
# shellcheck disable=SC2034
LITH_PLATFORMS=qemu
. "$(dirname "$0")/../tests/apps/lab.sh"
. "$LAB_TOP/tests/apps/nginx-images.sh"
OUT=$LAB_TOP/build/bench
LITH=${BENCH_TREE:-$LAB_TOP}/build/bin/lith
export LITH_KERNEL=${BENCH_TREE:-$LAB_TOP}/build/kernel/lith

with_libraries() { # PROGRAM FOLDER: the libraries it needs, below the folder
    local file
    for file in $(ldd "$1" | grep -o '/[^ ]*'); do (cd "$2" && cp -uL --parents "$file" .); done
}
tools_image() {
    local dir=$OUT/tools f depends=("$OUT/calls" "$OUT/udp_echo")
    mkdir -p "$dir/root"
    [ ! -x "$OUT/sqlite/speedtest1" ] || depends+=("$OUT/sqlite/speedtest1")
    for f in "${depends[@]}"; do
        cp -u "$f" "$dir/root/"
        with_libraries "$f" "$dir/root"
    done
    printf 'FROM scratch\nCOPY root/ /\nCMD ["/calls", "1"]\n' >"$dir/Dockerfile.new"
    cmp -s "$dir/Dockerfile.new" "$dir/Dockerfile" || cp "$dir/Dockerfile.new" "$dir/Dockerfile"
    lab_image bench-tools "${depends[*]} $dir/Dockerfile" build -q -t bench-tools "$dir"
}
images() {
    nginx_image && lab_import test-redis-base redis-server &&
        lab_build test-redis test-redis-base "$LAB_TOP/tests/apps/redis" && tools_image
}
native() {
    mkdir -p "$OUT/native"
    sed -e "s|/var/www/html|$NGINX_DIR/www|; s|/run/nginx.pid|$OUT/native/nginx.pid|" "$NGINX_DIR/nginx.conf" >"$OUT/native/nginx.conf"
    cp "$LAB_TOP/tests/apps/redis/redis.conf" "$OUT/native/redis.conf"
}

linux_guest() {
    local dir=$OUT/linux root=$OUT/linux/root package deb m f
    [ -s "$dir/initrd" ] && [ -z "$(find "$OUT/tools/root" "$NGINX_DIR" "$0" -newer "$dir/initrd")" ] && return
    mkdir -p "$dir/dl"
    package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends:/ {print $2; exit}')
    [ -n "$package" ] || { echo "prepare: apt knows no linux-image-cloud-amd64 (apt-get update)" >&2; return 1; }
    deb=$(ls "$dir/dl/$package"_*.deb "$LAB_TOP/build/svm/dl/$package"_*.deb 2>/dev/null | head -n 1)
    if [ -z "$deb" ]; then
        (cd "$dir/dl" && timeout 300 apt-get download "$package" >/dev/null 2>&1) ||
            { echo "prepare: cannot download $package" >&2; return 1; }
        deb=$(ls "$dir/dl/$package"_*.deb)
    fi
    rm -rf "$dir/x" "$root"
    dpkg -x "$deb" "$dir/x"
    mv "$dir"/x/boot/vmlinuz-* "$dir/vmlinuz"
    mkdir -p "$root"/{bin,dev,proc,sys,mod,tmp,run,etc,var/log/nginx,var/lib/nginx}
    for m in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover virtio_net; do
        find "$dir/x/lib/modules" -name "$m.ko" -exec cp {} "$root/mod/" \;
    done
    rm -rf "$dir/x"
    cp "$(command -v busybox)" "$root/bin/busybox"
    cp -r "$OUT/tools/root/." "$root/"
    for f in /usr/sbin/nginx /usr/bin/redis-server; do
        (cd "$root" && cp -L --parents "$f" .)
        with_libraries "$f" "$root"
    done
    mkdir -p "$root/etc/nginx" "$root/var/www/html"
    cp /etc/nginx/mime.types "$NGINX_DIR/nginx.conf" "$root/etc/nginx/"
    cp -r "$NGINX_DIR/www/." "$root/var/www/html/"
    cp "$LAB_TOP/tests/apps/redis/redis.conf" "$root/etc/redis.conf"
    printf '%s\n' root:x:0:0:root:/:/bin/sh www-data:x:33:33:www:/:/bin/sh nobody:x:65534:65534:nobody:/:/bin/sh >"$root/etc/passwd"
    printf '%s\n' root:x:0: www-data:x:33: nogroup:x:65534: >"$root/etc/group"
    cat >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for m in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover virtio_net; do
    [ ! -e /mod/$m.ko ] || insmod /mod/$m.ko
done
ip link set lo up
if [ -e /sys/class/net/eth0 ]; then
    ip addr add 10.42.0.2/24 dev eth0
    ip link set eth0 up
fi
"$@"
poweroff -f
INIT
    chmod +x "$root/init"
    (cd "$root" && find . | cpio --quiet -o -H newc) >"$dir/initrd.new" && mv "$dir/initrd.new" "$dir/initrd"
    rm -rf "$root"
}

images || exit 1
native
[ "${1:-}" != linux-guest ] || linux_guest
exit 0
