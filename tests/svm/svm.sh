#!/usr/bin/env bash
# Run a script on a Linux host with standard KVM (SVM, ring 0 guests), emulated by QEMU's TCG, so that
# the monitor meets real kvm-amd semantics on a machine without /dev/kvm. Nothing is installed: the
# Debian cloud kernel's package is downloaded and unpacked once, under build/svm/.
#
#   svm.sh [-t SECONDS] [-m MIB] [-s CPUS] RUN.sh [FILE[=DEST]...]
#
# RUN.sh becomes /run.sh inside and runs as root in busybox sh; each FILE is put at DEST (default
# /t/<its name>). Output is the console's; the exit status is RUN.sh's (0..100). 77: the rig cannot
# be built here (the reason is on stderr). `svm.sh --prepare` only builds the rig.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
rig=$top/build/svm
seconds=60 mem=1024 cpus=1
# The packages are named here so that a failure names what is missing.
unavailable() {
    echo "svm: $*" >&2
    exit 77
}

prepare() {
    local package modules
    mkdir -p "$rig/dl"
    if [ ! -s "$rig/vmlinuz" ]; then
        package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends:/ {print $2; exit}')
        [ -n "$package" ] || unavailable "apt knows no linux-image-cloud-amd64 (run apt-get update)"
        if ! ls "$rig/dl/$package"_*.deb >/dev/null 2>&1; then
            (cd "$rig/dl" && timeout 300 apt-get download "$package" >/dev/null 2>&1) ||
                unavailable "cannot download $package"
        fi
        rm -rf "$rig/x"
        dpkg -x "$rig/dl/$package"_*.deb "$rig/x"
        modules=$(echo "$rig"/x/lib/modules/*/kernel)
        mkdir -p "$rig/mod"
        cp "$modules"/virt/lib/irqbypass.ko "$modules"/arch/x86/kvm/kvm.ko \
            "$modules"/arch/x86/kvm/kvm-amd.ko "$modules"/drivers/net/tun.ko "$rig/mod/"
        mv "$rig"/x/boot/vmlinuz-* "$rig/vmlinuz"
        rm -rf "$rig/x"
    fi
    local self=$top/tests/svm
    if [ ! -s "$rig/base.cpio" ] || [ "$self/init.sh" -nt "$rig/base.cpio" ] || [ "$self/poweroff.c" -nt "$rig/base.cpio" ] || [ "$self/fetch.c" -nt "$rig/base.cpio" ]; then
        rm -rf "$rig/base"
        mkdir -p "$rig"/base/{bin,dev,proc,sys,mod,t,tmp,etc}
        gcc -O1 -static -o "$rig/base/bin/svm-exit" "$self/poweroff.c"
        gcc -O1 -static -o "$rig/base/bin/fetch" "$self/fetch.c"
        cp "$(command -v busybox)" "$rig/base/bin/busybox" || unavailable "no busybox-static"
        cp "$rig"/mod/*.ko "$rig/base/mod/"
        cp "$self/init.sh" "$rig/base/init"
        chmod +x "$rig/base/init"
        (cd "$rig/base" && find . | cpio --quiet -o -H newc) >"$rig/base.cpio.new"
        mv "$rig/base.cpio.new" "$rig/base.cpio"
    fi
}

while getopts "t:m:s:-:" opt; do
    case $opt in
    t) seconds=$OPTARG ;;
    m) mem=$OPTARG ;;
    s) cpus=$OPTARG ;;
    -) [ "$OPTARG" = prepare ] && exec 8>&1 && prepare && exit 0 ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -ge 1 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
command -v qemu-system-x86_64 >/dev/null || unavailable "no qemu-system-x86_64"
mkdir -p "$rig"
exec 8>"$rig/lock"
flock 8
prepare
flock -u 8

work=$(mktemp -d "$rig/run.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/t"
cp "$1" "$work/root/run.sh"
chmod +x "$work/root/run.sh"
shift
for file in "$@"; do
    dest=${file#*=}
    [ "$dest" != "$file" ] || dest=/t/$(basename "$file")
    mkdir -p "$work/root/$(dirname "$dest")"
    cp -L "${file%%=*}" "$work/root/$dest"
done
(cd "$work/root" && find . | cpio --quiet -o -H newc) >"$work/extra.cpio"
cat "$rig/base.cpio" "$work/extra.cpio" >"$work/initrd"

status=0
timeout "$seconds" qemu-system-x86_64 -M q35 -accel tcg -cpu max,smap=off -m "$mem" -smp "$cpus" \
    -display none -serial stdio -monitor none -nodefaults -no-user-config -no-reboot \
    -device isa-debug-exit,iobase=0x501,iosize=1 \
    -kernel "$rig/vmlinuz" -initrd "$work/initrd" \
    -append "console=ttyS0 quiet panic=-1 tsc=reliable mitigations=off nokaslr ${SVM_APPEND:-}" </dev/null || status=$?
case $status in
124) echo "svm: no end after $seconds s" >&2; exit 124 ;;
0) echo "svm: the emulated host stopped without a status" >&2; exit 126 ;;
*) exit $((status / 2)) ;;
esac
