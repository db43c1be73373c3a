// SPDX-License-Identifier: ISC
// Client of a UDP echo, on the host:
//   client check ADDRESS PORT COUNT BURST    datagrams of many sizes, BURST at a time, must come
//                                            back intact and in order
//   client rate ADDRESS PORT SIZE WINDOW SECONDS
//                                            WINDOW datagrams under way: prints answers per second,
//                                            and how many were lost
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SIZE_MAX_ETHERNET 1472
#define WINDOW_MAX        256
#define LOST_AFTER_MS     200

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int die(const char *what)
{
    perror(what);
    exit(2);
}

static int open_socket(const char *ip, const char *port)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0), bytes = 8 << 20;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (s < 0 || inet_pton(AF_INET, ip, &to.sin_addr) != 1 ||
        connect(s, (struct sockaddr *)&to, sizeof(to)))
        die(ip);
    if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
        setsockopt(s, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    return s;
}

// Contents and size of datagram n.
static size_t fill(uint8_t *buf, uint32_t n)
{
    static const uint16_t sizes[] = {0, 1, 2, 17, 18, 19, 63, 64, 65, 512, 1000, 1470, 1471, 1472};
    uint32_t x = n * 2654435761u + 1;
    size_t size =
        n % 3 ? sizes[n / 3 % (sizeof(sizes) / sizeof(sizes[0]))] : x % (SIZE_MAX_ETHERNET + 1);
    for (size_t i = 0; i < size; i++) {
        x = x * 1664525u + 1013904223u;
        buf[i] = (uint8_t)(x >> 24);
    }
    return size;
}

static int check(int s, uint32_t count, uint32_t burst)
{
    uint8_t want[SIZE_MAX_ETHERNET], got[2048];
    for (uint32_t first = 0; first < count; first += burst) {
        uint32_t end = first + burst < count ? first + burst : count;
        for (uint32_t n = first; n < end; n++) {
            size_t size = fill(want, n);
            if (send(s, want, size, 0) != (ssize_t)size)
                die("send");
        }
        for (uint32_t n = first; n < end; n++) {
            struct pollfd p = {s, POLLIN, 0};
            size_t size = fill(want, n);
            if (poll(&p, 1, 5000) != 1) {
                printf("no answer to datagram %u of %zu bytes\n", n, size);
                return 1;
            }
            ssize_t r = recv(s, got, sizeof(got), 0);
            if (r != (ssize_t)size || memcmp(got, want, size)) {
                printf("datagram %u: %zd bytes, sent %zu%s\n", n, r, size,
                       r == (ssize_t)size ? ", other contents" : "");
                return 1;
            }
        }
    }
    printf("%u datagrams intact\n", count);
    return 0;
}

// Sends and receives in batches, so that the client is not what is measured.
static int rate(int s, size_t size, unsigned window, double seconds)
{
    static uint8_t buf[WINDOW_MAX][SIZE_MAX_ETHERNET];
    static struct mmsghdr out[WINDOW_MAX], in[WINDOW_MAX];
    static struct iovec iov[WINDOW_MAX];
    unsigned long answers = 0, lost = 0;
    unsigned underway = 0;
    for (unsigned i = 0; i < WINDOW_MAX; i++) {
        iov[i] = (struct iovec){buf[i], size};
        out[i].msg_hdr = in[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    double start = now(), end = start + seconds;
    while (now() < end) {
        if (underway < window) {
            int n = sendmmsg(s, out, window - underway, 0);
            if (n < 0)
                die("sendmmsg");
            underway += (unsigned)n;
        }
        struct pollfd p = {s, POLLIN, 0};
        int n = recvmmsg(s, in, underway, MSG_DONTWAIT, NULL);
        if (n < 0 && errno == EAGAIN) {
            if (poll(&p, 1, LOST_AFTER_MS) == 0) {
                lost += underway;
                underway = 0;
            }
        } else if (n < 0) {
            die("recvmmsg");
        } else {
            answers += (unsigned)n;
            underway -= (unsigned)n;
        }
    }
    printf("%.0f %lu\n", (double)answers / (now() - start), lost);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 6 && !strcmp(argv[1], "check"))
        return check(open_socket(argv[2], argv[3]), (uint32_t)atoi(argv[4]),
                     (uint32_t)atoi(argv[5]));
    if (argc == 7 && !strcmp(argv[1], "rate") && atoi(argv[5]) <= WINDOW_MAX &&
        atoi(argv[4]) <= SIZE_MAX_ETHERNET)
        return rate(open_socket(argv[2], argv[3]), (size_t)atoi(argv[4]), (unsigned)atoi(argv[5]),
                    atof(argv[6]));
    fprintf(stderr, "usage: client check ADDRESS PORT COUNT BURST\n"
                    "       client rate ADDRESS PORT SIZE WINDOW SECONDS\n");
    return 2;
}
