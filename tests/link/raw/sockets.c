// SPDX-License-Identifier: ISC
// UDP echo by sockets, the ordinary way: what the raw echo is compared with, in link mode and as a
// Linux program (there without lith.h: -DNATIVE). Port 7. In link mode also: whether device 0 can
// be opened raw while the TCP/IP stack is there.
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#ifndef NATIVE
#include <lith.h>
#endif

int main(void)
{
    static char buf[65536];
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(7)};
    if (s < 0 || bind(s, (struct sockaddr *)&at, sizeof(at))) {
        perror("bind");
        return 1;
    }
#ifndef NATIVE
    int err = lith_net_open(0);
    printf("lith_net_open: %s\n", err ? strerror(-err) : "0");
    if (!err) { // the device is ours: the stack has none, and says so
        at.sin_addr.s_addr = htonl(0x0a2a0001);
        if (sendto(s, buf, 1, 0, (struct sockaddr *)&at, sizeof(at)) < 0)
            perror("sendto");
        return 0;
    }
#endif
    printf("sockets: ready\n");
    fflush(stdout);
    for (;;) {
        struct sockaddr_in from;
        socklen_t len = sizeof(from);
        ssize_t n = recvfrom(s, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
        if (n < 0 || sendto(s, buf, (size_t)n, 0, (struct sockaddr *)&from, len) != n)
            perror("echo");
    }
}
