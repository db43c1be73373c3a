#!/bin/busybox sh
# init of the emulated host: load KVM and tun, run /run.sh, hand its status to QEMU.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
stty -onlcr </dev/console 2>/dev/null
for m in irqbypass kvm kvm-amd tun; do
    insmod /mod/$m.ko || echo "svm: cannot load $m"
done
mkdir -p /dev/net
[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
ip link set lo up
cd /t
/run.sh
svm-exit $?
