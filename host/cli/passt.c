// SPDX-License-Identifier: ISC
// User networking: passt at one end of a stream socket pair, the monitor or QEMU at the other. It
// needs no privileges and no interface but lo. With our monitor it starts beside the machine (8 ms
// to its first accept); with QEMU it starts when the guest has announced itself. It is in a session
// of its own so that Ctrl-C does not take the network away before the program has ended, and ends
// when the other end of the stream closes.
#include <arpa/inet.h>
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cli.h"

#define ARGS_MAX   (32 + 2 * RUN_PORTS_MAX)
#define PASST_ROOM (8 << 20)
#define PORT_TRIES 30

static const char *format_ipv4(uint32_t addr, char out[16])
{
    snprintf(out, 16, "%u.%u.%u.%u", addr >> 24, addr >> 16 & 255, addr >> 8 & 255, addr & 255);
    return out;
}

// passt says nothing that we could wait for, so whatever would make it give up is tried here first.
int ports_check(const struct instance *in, struct err *e)
{
    for (unsigned i = 0; i < in->port_count; i++) {
        const struct port *p = &in->ports[i];
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(p->host)};
        int one = 1, fd = socket(AF_INET, (p->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return err_sys(e, -errno, "cannot make a socket");
        if (p->host_ip[0])
            inet_pton(AF_INET, p->host_ip, &sa.sin_addr);
        if (!p->udp)
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        int r;
        // An instance that has just ended leaves its passt some milliseconds more.
        for (unsigned try = 0;; try++) {
            r = bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
            if (r != -EADDRINUSE || try == PORT_TRIES)
                break;
            usleep(10000);
        }
        close(fd);
        const char *ip = p->host_ip[0] ? p->host_ip : "0.0.0.0";
        if (r == -EADDRINUSE)
            return err_set(
                e, r, "port is already allocated: %s:%u is in use; choose another with -p PORT:%u",
                ip, p->host, p->guest);
        if (r == -EACCES)
            return err_set(e, r,
                           "no permission to use port %s:%u (ports below 1024 are root's); choose "
                           "another with "
                           "-p PORT:%u",
                           ip, p->host, p->guest);
        if (r < 0)
            return err_sys(e, r, "cannot use %s:%u", ip, p->host);
    }
    return 0;
}

// passt learns the guest's MAC address from the guest's first frame. Connections that come before
// it would go to 00:00:00:00:00:00, so the guest's announcement (RFC 5227) waits in the stream
// first.
static int announce(const struct instance *in, uint32_t ip, int fd)
{
    static const uint8_t arp_header[] = {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1};
    uint8_t frame[4 + 60] = {0, 0, 0, 60};
    uint32_t addr = htonl(ip);
    memset(frame + 4, 0xff, 6);
    memcpy(frame + 10, in->mac, 6);
    memcpy(frame + 16, arp_header, sizeof(arp_header));
    memcpy(frame + 26, in->mac, 6);
    memcpy(frame + 32, &addr, 4);
    memcpy(frame + 42, &addr, 4);
    return write_all(fd, frame, sizeof(frame));
}

// QEMU throws frames away that come before the guest's driver is ready (virtio_net_set_status()
// hands them to a device that does not count as started yet), and passt does not repeat a lost SYN:
// a client that came too early would wait for 10 s. So the ports open when the guest's first frame,
// its announcement, is there.
static void wait_for_guest(int stream)
{
    struct pollfd p = {.fd = stream, .events = POLLIN};
    while (poll(&p, 1, -1) < 0 && errno == EINTR)
        ;
}

static bool passt_installed(void)
{
    if (access("/usr/bin/passt", X_OK) == 0)
        return true;
    const char *path = getenv("PATH");
    char *dirs = xstrdup(path ? path : ""), *save = NULL;
    bool found = false;
    for (char *dir = strtok_r(dirs, ":", &save); dir && !found; dir = strtok_r(NULL, ":", &save)) {
        char *program = xasprintf("%s/passt", dir);
        found = access(program, X_OK) == 0;
        free(program);
    }
    free(dirs);
    return found;
}

// CPU and system have AVX2 (SDM vol. 1, 14.3). libgcc's own check would ask the CPU at every start
// of `lith`, and each CPUID is slow where it traps; this one is asked in passt's process only.
static bool has_avx2(void)
{
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_AVX))
        return false;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 6) == 6 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}

// Debian's passt only looks whether the CPU has AVX2 and executes passt.avx2 then: a whole start
// saved.
static void passt_exec(const char *argv[], int stream)
{
    char **args = (char **)(uintptr_t)argv; // exec does not change them
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    fcntl(stream, F_SETFD, 0);
    const char *other = getenv("LITH_PASST"); // tests put a bad link here
    if (other != NULL && *other)
        execv(other, args);
    else if (has_avx2())
        execv("/usr/bin/passt.avx2", args);
    execvp("passt", args);
    _exit(EXIT_TOOL);
}

int passt_start(struct instance *in, bool has_dns, int *fd, struct err *e)
{
    char ip[16], gateway[16], prefix[4], stream[12], specs[RUN_PORTS_MAX][40];
    const char *argv[ARGS_MAX] = {"passt",       "-f",
                                  "-q",          "-4",
                                  "-i",          "lo",
                                  "-a",          format_ipv4(in->ip, ip),
                                  "-n",          prefix,
                                  "-g",          format_ipv4(in->gateway, gateway),
                                  "-M",          "52:55:0a:00:02:02",
                                  "--no-map-gw", "--no-dhcp",
                                  "--no-dhcpv6", "--no-ndp",
                                  "--no-ra",     "--fd",
                                  stream};
    int n = 0, pair[2], r;
    bool udp = false;
    while (argv[n] != NULL)
        n++;
    snprintf(prefix, sizeof(prefix), "%u", in->prefix);
    if (has_dns) {
        argv[n++] = "--dns-forward";
        argv[n++] = "10.0.2.3";
    }
    for (unsigned i = 0; i < in->port_count; i++) {
        const struct port *p = &in->ports[i];
        snprintf(specs[i], sizeof(specs[i]), "%s%s%u:%u", p->host_ip, p->host_ip[0] ? "/" : "",
                 p->host, p->guest);
        argv[n++] = p->udp ? "-u" : "-t";
        argv[n++] = specs[i];
        udp |= p->udp;
    }
    if (!udp) { // else passt opens the UDP ports with the numbers of the TCP ports too
        argv[n++] = "-u";
        argv[n++] = "none";
    }
    argv[n] = NULL;
    if (!passt_installed())
        return err_set(
            e, -ENOENT,
            "user networking needs passt: apt-get install passt (or run with --net none)");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, -errno, "cannot make a socket pair");
    // passt drops frames that do not fit, and repeats them after seconds. As much as the host
    // allows (net.core.wmem_max; root more).
    int room = PASST_ROOM;
    if (setsockopt(pair[1], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0)
        setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    snprintf(stream, sizeof(stream), "%d", pair[1]);
    r = in->platform == PLATFORM_QEMU ? 0 : announce(in, in->ip, pair[0]);
    // fork, and not vfork: our own start goes on while passt is loaded.
    pid_t pid = r < 0 ? 0 : fork();
    if (pid == 0 && r == 0) {
        close(pair[0]);
        setsid();
        if (in->platform == PLATFORM_QEMU)
            wait_for_guest(pair[1]);
        passt_exec(argv, pair[1]);
    }
    if (pid < 0)
        r = -errno;
    close(pair[1]);
    if (r < 0) {
        close(pair[0]);
        return err_sys(e, r, "cannot start passt");
    }
    in->passt = pid;
    *fd = pair[0];
    return 0;
}
