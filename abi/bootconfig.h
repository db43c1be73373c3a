// SPDX-License-Identifier: ISC
// The boot configuration: one line of text that tells the kernel what to run. Our monitor puts
// it behind the boot block; every other machine passes it as the PVH command line. Words are
// separated by single spaces; each is `key=value`; bytes <= 0x20, '%' and 0x7f.. in a value are
// written %XX. Unknown keys that contain a '.' are ignored (other software's); an unknown key
// without one is an error.
//
//   arg=...        one word of the program's argv, repeated in order; the first is the program
//   env=K=V        one environment entry, repeated in order
//   cwd=DIR        working directory (default /)
//   uid=N gid=N    numbers that getuid() and getgid() report (default 0)
//   hostname=NAME  default "lith"
//   ip=ADDR/PREFIX static IPv4 address of eth0; `ip=dhcp` runs the DHCP client; absent: no address
//   gw=ADDR dns=ADDR  (dns may be repeated)
//   clock=NS       CLOCK_REALTIME at start, nanoseconds since 1970
//   entropy=HEX    32 bytes or more of seed, for machines without RDRAND and boot block
//   chart=1        print the boot chart when the program starts serving (first accept or exit)
//   ring=0|3       force the ring (PVH only; the default is measured)
//   wx=1           programs may map memory that is writable and executable at once (JIT compilers)
//   log=LEVEL      error, warn, info (default warn) or debug
//   virtio_mmio.device=SIZE@ADDR:IRQ  added by QEMU, one per device
#ifndef LITH_ABI_BOOTCONFIG_H
#define LITH_ABI_BOOTCONFIG_H

#define LITH_BOOTCONFIG_MAX       65536 // bytes, terminating NUL included
#define LITH_BOOTCONFIG_WORDS_MAX 4096

#endif
