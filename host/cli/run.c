// SPDX-License-Identifier: ISC
// `lith run`: the image's configuration and the flags become a boot configuration and a machine.
// Nothing is done here that is not needed before the machine starts: this path is part of every
// instance's start time.
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/boot.h"
#include "cli/run.h"

#define MEM_DEFAULT  (128ull << 20)
#define MEM_MIN      (4ull << 20) // the kernel and its tables do not fit below
#define USER_IP      0x0a00020fu  // 10.0.2.15, as QEMU's user networking has it
#define USER_GATEWAY 0x0a000202u
#define USER_DNS     0x0a000203u

// What networks need that flags did not say.
static int net_defaults(struct run_options *o, struct err *e)
{
    struct instance *in = &o->in;
    // A privileged user's TUNSETIFF would make a device that leads nowhere.
    if (in->net == NET_TAP && if_nametoindex(in->tap) == 0)
        return err_set(e, -ENODEV,
                       "there is no tap device %s; make it with: ip tuntap add %s mode tap, "
                       "ip link set %s up",
                       in->tap, in->tap, in->tap);
    if (!o->has_mac) {
        static const uint8_t oui[3] = {0x52, 0x54, 0x00};
        memcpy(in->mac, oui, 3);
        if (getrandom(in->mac + 3, 3, 0) != 3)
            return err_sys(e, -errno, "no random numbers");
    }
    if (in->net == NET_USER) {
        if (in->ip == 0) {
            in->ip = USER_IP;
            in->prefix = 24;
        }
        uint32_t mask = in->prefix == 32 ? UINT32_MAX : ~(UINT32_MAX >> in->prefix);
        if (in->gateway == 0)
            in->gateway =
                (in->ip & mask) == (USER_GATEWAY & mask) ? USER_GATEWAY : (in->ip & mask) + 1;
        if (in->gateway == in->ip)
            in->gateway++;
    }
    return 0;
}

// The image's two files; the root file system's size checked against what the image says.
static int files_check(struct instance *in, const struct launch *l, struct err *e)
{
    const char *kernel = l->linked ? NULL : getenv("LITH_KERNEL");
    struct stat st;
    if (l->dir == NULL) { // a program by itself
        in->kernel = xstrdup(l->entrypoint.v[0]);
        return 0;
    }
    in->root = xasprintf("%s/root.erofs", l->dir);
    in->kernel = kernel && *kernel ? xstrdup(kernel) : xasprintf("%s/kernel", l->dir);
    if (stat(in->root, &st) < 0 || (uint64_t)st.st_size != l->root_size || st.st_size == 0)
        return err_set(
            e, -EBADMSG,
            "the image is damaged: %s is missing or has another size; remove the image with "
            "`lith rmi` and make it again",
            in->root);
    in->root_size = l->root_size;
    if (access(in->kernel, R_OK) < 0)
        return err_sys(e, -errno, "cannot read the kernel %s", in->kernel);
    if (l->linked && !(l->flags & LITH_PROGRAM_FILES)) { // it could not look at it
        free(in->root);
        in->root = NULL;
        in->root_size = 0;
    }
    return 0;
}

// What the program cannot use is not started; what cannot work is an error now.
static int program_check(struct run_options *o, const struct launch *l, int *net_fd, struct err *e)
{
    struct instance *in = &o->in;
    if (!l->linked && in->mem_bytes < MEM_MIN)
        return err_set(e, -ERANGE,
                       "-m: memory must be at least 4M for programs that are not linked with the "
                       "kernel");
    if (!l->linked || (l->flags & LITH_PROGRAM_NETWORK))
        return 0;
    if (in->port_count)
        return err_set(e, -EINVAL, "-p: %.200s uses no network: its kernel has none linked",
                       l->entrypoint.n ? l->entrypoint.v[0] : "the program");
    in->net = NET_NONE;
    if (*net_fd >= 0)
        close(*net_fd); // passt ends by itself; it is not missed
    *net_fd = -1;
    in->passt = 0;
    return 0;
}

// Without KVM the launch text is read first (`l`): programs that were linked with the kernel before
// it could be a process do not run as one.
static int platform_choose(struct instance *in, const struct launch *l, struct err *e)
{
    const char *why;
    if (in->platform == PLATFORM_KVM && !kvm_usable(&why))
        return err_set(e, -ENODEV,
                       "KVM is not usable here (%s); --platform process and qemu work without",
                       why);
    bool old = l->linked && !(l->flags & LITH_PROGRAM_PROCESS);
    if (in->platform == PLATFORM_PROCESS && old)
        return err_set(e, -ENOTSUP,
                       "--platform process: the program was linked by an older lith-cc, for kvm "
                       "and qemu only; link it again");
    if (in->platform == PLATFORM_PROCESS && !process_usable(&why))
        return err_set(e, -ENODEV, "--platform process does not work here: %s", why);
    if (in->platform == PLATFORM_AUTO)
        in->platform = !old && process_usable(&why) ? PLATFORM_PROCESS : PLATFORM_QEMU;
    return 0;
}

int cmd_run(int argc, char *argv[])
{
    static struct run_options o = {.in = {.mem_bytes = MEM_DEFAULT}};
    struct err e = {""};
    start_note_clocks();
    int status = run_options_parse(&o, argc, argv);
    if (status != 0)
        return status;
    bool forward_dns = false, program = program_named(argv[optind]);
    int net_fd = -1, r = 0;
    struct launch l = {0};
    o.in.label = argv[optind];
    if (program) {
        r = program_load(argv[optind], o.user, &l, &e);
        if (r == 0)
            r = program_check(&o, &l, &net_fd, &e);
    }
    if (r == 0)
        r = net_defaults(&o, &e);
    if (r == 0 && o.in.net == NET_USER && o.dns_count == 0) {
        forward_dns = true;
        o.dns[o.dns_count++] = USER_DNS;
    }
    const char *why;
    if (o.in.platform == PLATFORM_AUTO && kvm_usable(&why))
        o.in.platform = PLATFORM_KVM;
    bool loaded = program;
    if (r == 0 && !loaded && o.in.platform != PLATFORM_KVM) {
        r = launch_load(argv[optind], o.user, &l, &e);
        loaded = true;
        if (r == 0)
            r = program_check(&o, &l, &net_fd, &e);
    }
    if (r == 0)
        r = platform_choose(&o.in, &l, &e);
    // passt first: it takes longest to start. It ends with this process if something else fails.
    if (r == 0 && o.in.net == NET_USER) {
        r = ports_check(&o.in, &e);
        if (r == 0)
            r = passt_start(&o.in, forward_dns, &net_fd, &e);
    }
    if (r == 0 && !loaded) {
        r = launch_load(argv[optind], o.user, &l, &e);
        if (r == 0)
            r = program_check(&o, &l, &net_fd, &e);
    }
    if (r == 0)
        r = files_check(&o.in, &l, &e);
    if (r == 0)
        r = run_config_compose(&o, &l, argv + optind + 1, &e);
    if (r == 0 && o.in.platform != PLATFORM_QEMU)
        r = start_monitor(&o.in, net_fd, &e);
    else if (r == 0)
        r = start_qemu(&o.in, net_fd, &status, &e);
    return r < 0 ? tool_fail(&e) : status;
}
