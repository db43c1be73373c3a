// SPDX-License-Identifier: ISC
// fetch ADDR PORT PATH: HTTP/1.0 GET, the body to stdout. For the emulated host, where busybox's
// wget (static glibc, no name service) does not work. Status 0: an answer 200, whole.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char buffer[1 << 20];
    size_t len = 0;
    if (argc != 4)
        return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        perror("fetch: connect");
        return 1;
    }
    dprintf(fd, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", argv[3], argv[1]);
    for (ssize_t n; (n = read(fd, buffer + len, sizeof buffer - 1 - len)) != 0; len += (size_t)n) {
        if (n < 0) {
            perror("fetch: read");
            return 1;
        }
    }
    char *body = strstr(buffer, "\r\n\r\n");
    if (strncmp(buffer, "HTTP/1.", 7) != 0 || strncmp(buffer + 8, " 200", 4) != 0 || !body) {
        fprintf(stderr, "fetch: no answer 200\n");
        return 1;
    }
    body += 4;
    return fwrite(body, 1, len - (size_t)(body - buffer), stdout) == 0;
}
