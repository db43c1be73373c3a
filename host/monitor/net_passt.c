// SPDX-License-Identifier: ISC
// Network backend: passt's stream socket (also QEMU's "-netdev stream"). Each frame follows its
// length, 32 bits, big endian. No offloads. The stream is cut wherever the socket pleases, so
// both directions keep what is incomplete.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "monitor/monitor.h"

#define FRAME_MAX  65535u // longer ones are not passt's: its MTU is at most 65520
#define CONNECT_MS 5000 // passt is started beside the machine; its socket appears after some 10 ms
#define RX_BUFFER  (128u * 1024)
#define TX_BUFFER  (192u * 1024) // a system call per batch: 1 us against 0.1 us for copying a frame

// One backend per process: its buffers are static.
static uint8_t rx_buffer[RX_BUFFER];
static uint32_t rx_start, rx_end;
static uint8_t tx_buffer[TX_BUFFER];
static uint32_t tx_start, tx_end;

static uint32_t iov_copy(const struct iovec *iov, int count, const uint8_t *bytes, uint32_t len)
{
    uint32_t done = 0;
    for (int i = 0; i < count && done < len; i++) {
        uint32_t n = len - done < iov[i].iov_len ? len - done : (uint32_t)iov[i].iov_len;
        memcpy(iov[i].iov_base, bytes + done, n);
        done += n;
    }
    return done;
}

static long passt_receive(struct net_backend *backend, const struct iovec *iov, int count)
{
    for (;;) {
        uint32_t have = rx_end - rx_start, frame_len = 0;
        if (have >= 4) {
            memcpy(&frame_len, rx_buffer + rx_start, 4);
            frame_len = ntohl(frame_len);
            if (frame_len > FRAME_MAX)
                return -EPROTO;
            if (have - 4 >= frame_len)
                break;
        }
        if (rx_start) { // a whole frame must fit behind what is there
            memmove(rx_buffer, rx_buffer + rx_start, have);
            rx_start = 0;
            rx_end = have;
        }
        ssize_t n = read(backend->fd, rx_buffer + rx_end, RX_BUFFER - rx_end);
        if (n == 0)
            return -EPIPE;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        rx_end += (uint32_t)n;
    }
    uint32_t frame_len;
    memcpy(&frame_len, rx_buffer + rx_start, 4);
    frame_len = ntohl(frame_len);
    uint8_t *frame = rx_buffer + rx_start + 4;
    rx_start += 4 + frame_len;
    // The header goes in front of the frame in the guest's first buffer, which has room for it.
    struct iovec rest = iov[0];
    memset(rest.iov_base, 0, NET_HDR_LEN);
    rest.iov_base = (uint8_t *)rest.iov_base + NET_HDR_LEN;
    rest.iov_len -= NET_HDR_LEN;
    uint32_t done = iov_copy(&rest, 1, frame, frame_len);
    done += iov_copy(iov + 1, count - 1, frame + done, frame_len - done);
    return (long)NET_HDR_LEN + frame_len;
}

static int passt_flush(struct net_backend *backend)
{
    while (tx_start < tx_end) {
        struct iovec rest = {tx_buffer + tx_start, tx_end - tx_start};
        ssize_t n = writev(backend->fd, &rest, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        tx_start += (uint32_t)n;
    }
    tx_start = tx_end = 0;
    backend->send_pending = backend->send_full = false;
    return 0;
}

// passt connects to whatever address the guest sends to, from the host: a guest that sends to the
// loopback network would reach the host's own services. Such frames never come from a sound network
// stack.
bool net_frame_to_loopback(const uint8_t *frame, uint32_t len)
{
    static const uint8_t zeros[10];
    if (len >= 34 && frame[12] == 0x08 && frame[13] == 0x00)
        return frame[30] == 127 || frame[30] == 0; // IPv4 destination: 127/8, 0/8
    if (len < 54 || frame[12] != 0x86 || frame[13] != 0xdd)
        return false;
    const uint8_t *to = frame + 38; // IPv6 destination: ::, ::1, and IPv4 addresses in disguise
    return memcmp(to, zeros, 10) == 0 &&
           ((to[10] == 0xff && to[11] == 0xff) || (to[10] == 0 && to[11] == 0));
}

static int passt_send(struct net_backend *backend, const struct iovec *iov, int count, uint32_t len)
{
    uint32_t frame_len = len - NET_HDR_LEN, skip = NET_HDR_LEN, prefix = htonl(frame_len);
    if (frame_len > FRAME_MAX)
        return 0; // dropped, as a wire would
    if (TX_BUFFER - tx_end < 4 + FRAME_MAX && tx_start) {
        memmove(tx_buffer, tx_buffer + tx_start, tx_end - tx_start);
        tx_end -= tx_start;
        tx_start = 0;
    }
    // Not full, so there is room: see below.
    uint8_t *to = tx_buffer + tx_end;
    memcpy(to, &prefix, 4);
    to += 4;
    for (int i = 0; i < count; i++) { // without the header, wherever the guest cut it
        uint32_t cut = skip < iov[i].iov_len ? skip : (uint32_t)iov[i].iov_len;
        skip -= cut;
        memcpy(to, (const uint8_t *)iov[i].iov_base + cut, iov[i].iov_len - cut);
        to += iov[i].iov_len - cut;
    }
    if (net_frame_to_loopback(tx_buffer + tx_end + 4, frame_len))
        return 0;
    tx_end += 4 + frame_len;
    backend->send_pending = true;
    if (TX_BUFFER - (tx_end - tx_start) >= 4 + FRAME_MAX)
        return 0;
    int error = passt_flush(backend);
    backend->send_full = TX_BUFFER - (tx_end - tx_start) < 4 + FRAME_MAX;
    return error == -EAGAIN ? 0 : error;
}

void net_passt_use(struct net_backend *backend, int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        fatal("the network's descriptor %d is not usable: %s", fd, strerror(errno));
    rx_start = rx_end = tx_start = tx_end = 0;
    *backend = (struct net_backend){
        .fd = fd,
        .mtu = 1500,
        .receive = passt_receive,
        .send = passt_send,
        .flush = passt_flush,
    };
}

void net_passt_open(struct net_backend *backend, const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof addr.sun_path)
        fatal("the path of passt's socket is too long: %s", path);
    strcpy(addr.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fatal("socket: %s", strerror(errno));
    for (int ms = 0; connect(fd, (const struct sockaddr *)&addr, sizeof addr) != 0; ms++) {
        if ((errno != ENOENT && errno != ECONNREFUSED && errno != EINTR) || ms >= CONNECT_MS)
            fatal("cannot connect to passt at %s: %s", path, strerror(errno));
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    net_passt_use(backend, fd);
}
