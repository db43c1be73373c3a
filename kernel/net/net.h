// SPDX-License-Identifier: ISC
// net: Ethernet, ARP, IPv4, ICMP, UDP, TCP, loopback, DHCP client; sockets as the kernel sees them.
// Knows nothing of files, descriptors or program memory beyond struct iov-like callbacks:
// linux/socket.c puts the two together. Socket calls are made in threads and may sleep unless
// nonblocking.
#ifndef LITH_NET_H
#define LITH_NET_H

#include "dev/dev.h"

// Numbers of the socket calls that the UAPI headers leave to libc (Linux's values, x86-64).
#ifndef SOCK_STREAM
#define SOCK_STREAM    1
#define SOCK_DGRAM     2
#define SOCK_RAW       3
#define SOCK_SEQPACKET 5
#endif
#ifndef MSG_PEEK
#define MSG_OOB          0x1
#define MSG_PEEK         0x2
#define MSG_DONTROUTE    0x4
#define MSG_CTRUNC       0x8
#define MSG_TRUNC        0x20
#define MSG_DONTWAIT     0x40
#define MSG_EOR          0x80
#define MSG_WAITALL      0x100
#define MSG_ERRQUEUE     0x2000
#define MSG_NOSIGNAL     0x4000
#define MSG_MORE         0x8000
#define MSG_WAITFORONE   0x10000
#define MSG_CMSG_CLOEXEC 0x40000000
#endif
#ifndef SHUT_RD
#define SHUT_RD   0
#define SHUT_WR   1
#define SHUT_RDWR 2
#endif

struct sock; // an AF_INET socket: TCP, UDP or ICMP (ping) / raw

struct sock_addr { // host byte order
    uint32_t ip;
    uint16_t port;
};

// Data source/sink of send and receive: copies n bytes, 0 or -EFAULT. ctx is the caller's iterator.
struct sock_copy {
    int (*copy_from)(void *ctx, void *dst, size_t n);     // from the caller
    int (*copy_to)(void *ctx, const void *src, size_t n); // to the caller
    void *ctx;
};

// type SOCK_STREAM/SOCK_DGRAM/SOCK_RAW, protocol as for socket(2). -EPROTONOSUPPORT, -ENOMEM.
int sock_create(int type, int protocol, struct sock **out);
void sock_close(struct sock *s); // the last reference of the program; TCP goes on closing by
                                 // itself, SO_LINGER obeyed
int sock_bind(struct sock *s, const struct sock_addr *a);
int sock_listen(struct sock *s, int backlog);
int sock_accept(struct sock *s, struct sock **out, struct sock_addr *peer, bool nonblock);
int sock_connect(struct sock *s, const struct sock_addr *a, bool nonblock);
// flags: MSG_DONTWAIT, MSG_NOSIGNAL, MSG_PEEK, MSG_WAITALL, MSG_TRUNC, MSG_MORE. Returns bytes or
// -errno (-EPIPE: caller raises SIGPIPE).
ssize_t_k sock_send(struct sock *s, struct sock_copy *from, size_t len, int flags,
                    const struct sock_addr *to);
ssize_t_k sock_recv(struct sock *s, struct sock_copy *to, size_t len, int flags,
                    struct sock_addr *from, int *out_flags);
// Zero-copy transmit (sendfile), TCP only: direct-mapped `bytes` stay valid and unchanged until
// release(arg) is called: exactly once if the result is positive (then it is len), never on error.
// release runs in any context and must not sleep.
ssize_t_k sock_send_ref(struct sock *s, const void *bytes, size_t len, int flags,
                        void (*release)(void *arg), void *arg);
int sock_shutdown(struct sock *s, int how);
int sock_getname(struct sock *s, struct sock_addr *out);
int sock_getpeer(struct sock *s, struct sock_addr *out);
// Option values in kernel memory, levels and names of Linux (SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP).
int sock_setopt(struct sock *s, int level, int name, const void *val, unsigned len);
int sock_getopt(struct sock *s, int level, int name, void *val, unsigned *len);
unsigned sock_poll(struct sock *s);                 // EPOLL* bits
struct wait_queue *sock_wait_queue(struct sock *s); // woken with EPOLL* bits
unsigned sock_inq(struct sock *s);                  // FIONREAD
unsigned sock_outq(struct sock *s);                 // TIOCOUTQ
int sock_type(struct sock *s);
// Destination address of the datagram that sock_recv would return next (IP_PKTINFO); false: none.
bool sock_peek_dst(struct sock *s, uint32_t *ip, unsigned *if_index);

// --- interfaces ---
struct net_if_info {
    char name[16];
    uint8_t mac[6];
    uint32_t mtu, flags; // IFF_*
    uint32_t ip, prefix; // host byte order; 0: none
    uint32_t gateway;
};
int net_if_get(unsigned index, struct net_if_info *out); // 1 is lo; -ENODEV beyond the last
int net_if_configure(unsigned index, uint32_t ip, unsigned prefix, uint32_t gateway);
// Applies boot_config (static or dhcp), announces the address. Called once by start-up.
int net_configure(void);
// Waits until DHCP gave an address (or timeout_ns): 0 or -ETIMEDOUT.
int net_wait_configured(uint64_t timeout_ns);
extern uint32_t net_dns[3]; // host byte order, from DHCP or the configuration
extern unsigned net_somaxconn;
// Lines for /proc/net/{tcp,udp,dev}: each calls emit for every line. NULL where the network is not
// part of the image, so that /proc does not bring it in.
struct net_proc {
    void (*tcp)(void (*emit)(void *ctx, const char *line), void *ctx);
    void (*udp)(void (*emit)(void *ctx, const char *line), void *ctx);
    void (*dev)(void (*emit)(void *ctx, const char *line), void *ctx);
};
extern const struct net_proc *net_proc;

#endif
