// SPDX-License-Identifier: ISC
// UDP echo on port 7 by sockets, the ordinary way: a Linux program, natively and in an image.
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

int main(void)
{
    static char buf[65536];
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(7)};
    if (s < 0 || bind(s, (struct sockaddr *)&at, sizeof(at)) < 0) {
        perror("bind");
        return 1;
    }
    puts("udp_echo: ready");
    fflush(stdout);
    for (;;) {
        struct sockaddr_in from;
        socklen_t len = sizeof(from);
        ssize_t n = recvfrom(s, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
        if (n < 0 || sendto(s, buf, (size_t)n, 0, (struct sockaddr *)&from, len) != n)
            perror("echo");
    }
}
