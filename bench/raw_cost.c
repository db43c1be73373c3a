// SPDX-License-Identifier: ISC
// What one echoed datagram costs inside the instance: kernel and program, without waiting and
// without what the host does. Polls, and counts the time of all rounds that found something. By the
// raw device (udp-echo's own code), or with -DSOCKETS by recvfrom and sendto. Prints after each
// COUNT.
#include <stdio.h>
#define COUNT 20000
#ifdef SOCKETS
#include <lith.h>
#include <netinet/in.h>
#include <sys/socket.h>

static int fd;

static long echo_some(const char *address)
{
    static char buf[2048];
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    if (!fd) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(7)};
        fd = socket(AF_INET, SOCK_DGRAM, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)))
            perror(address);
    }
    ssize_t n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &len);
    if (n < 0)
        return 0;
    sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&from, len);
    return 1;
}
#else
#define main echo_main
#include "../examples/udp-echo/udp-echo.c"
#undef main

static long echo_some(const char *address)
{
    static struct lith_packet p[LITH_NET_BATCH], back[LITH_NET_BATCH];
    static int opened;
    if (!opened) {
        struct lith_net_info info;
        lith_net_info(0, &info);
        opened = !lith_net_open(0) && parse_address(address, my_ip);
        memcpy(my_mac, info.mac, 6);
    }
    long n = lith_net_receive(0, p, LITH_NET_BATCH, 0);
    unsigned answers = 0;
    for (long i = 0; i < n; i++) {
        if (answer(&p[i]))
            back[answers++] = p[i];
        else
            lith_net_release(&p[i], 1);
    }
    long sent = answers ? lith_net_send(0, back, answers) : 0;
    if (sent < answers)
        lith_net_release(back + sent, answers - (unsigned)sent);
    return n > 0 ? n : 0;
}
#endif

int main(int argc, char **argv)
{
    unsigned long count = 0, rounds = 0;
    uint64_t busy = 0, start = lith_clock_ns();
    echo_some(argc > 1 ? argv[1] : "10.42.0.2");
    printf("cost: ready\n");
    fflush(stdout);
    for (;;) {
        long n = echo_some(argv[1]);
        uint64_t now = lith_clock_ns();
        if (n) {
            busy += now - start;
            count += (unsigned long)n;
            rounds++;
        }
        start = now;
        if (count >= COUNT) {
            printf("cost: %lu ns, %.1f a round\n", (unsigned long)(busy / count),
                   (double)count / (double)rounds);
            fflush(stdout);
            count = rounds = busy = 0;
            start = lith_clock_ns();
        }
    }
}
