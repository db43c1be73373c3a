// SPDX-License-Identifier: ISC
// net: Ethernet, ARP, IPv4, ICMP, UDP, TCP, loopback, DHCP client; sockets as the kernel sees them.
// Knows nothing of files, descriptors or program memory beyond struct iov-like callbacks:
// linux/socket.c puts the two together. Socket calls are made in threads and may sleep unless
// nonblocking.
#ifndef LITH_NET_H
#define LITH_NET_H

#include "dev/dev.h"

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
// Zero-copy transmit (sendfile): `bytes` stay valid and unchanged until release(arg) is called,
// exactly once. TCP only.
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
// Lines for /proc/net/{tcp,udp,dev,snmp}: calls emit for each.
void net_proc_tcp(void (*emit)(void *ctx, const char *line), void *ctx);
void net_proc_udp(void (*emit)(void *ctx, const char *line), void *ctx);
void net_proc_dev(void (*emit)(void *ctx, const char *line), void *ctx);

#endif
