// SPDX-License-Identifier: ISC
// User networking: passt at one end of a stream socket pair, the monitor or QEMU at the other. It
// needs no privileges and no interface but lo. It starts beside the machine (8 ms to its first
// accept), in a session of its own so that Ctrl-C does not take the network away before the
// program has ended, and ends when the other end of the stream closes.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cli.h"

#define ARGS_MAX (32 + 2 * RUN_PORTS_MAX)

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
        int r = bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
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

int passt_start(const struct instance *in, bool has_dns, int *fd, struct err *e)
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
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, -errno, "cannot make a socket pair");
    snprintf(stream, sizeof(stream), "%d", pair[1]);
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&fa, 0, 1);
    posix_spawn_file_actions_adddup2(&fa, 0, 2);
    posix_spawn_file_actions_adddup2(&fa, pair[1], pair[1]); // takes close-on-exec off
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
    r = announce(in, in->ip, pair[0]);
    if (r == 0)
        r = -posix_spawnp(&(pid_t){0}, "passt", &fa, &attr, (char **)(uintptr_t)argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&fa);
    close(pair[1]);
    if (r < 0) {
        close(pair[0]);
        if (r == -ENOENT)
            return err_set(
                e, r,
                "user networking needs passt: apt-get install passt (or run with --net none)");
        return err_sys(e, r, "cannot start passt");
    }
    *fd = pair[0];
    return 0;
}
