// SPDX-License-Identifier: ISC
// Sockets: what all protocols share, and the table of bound ports. Private to net/.
#ifndef LITH_NET_SOCK_H
#define LITH_NET_SOCK_H

#include "net/stack.h"

#define SHUT_BIT_RD 1u
#define SHUT_BIT_WR 2u

// All fields: net_lock, unless said otherwise.
struct sock {
    uint8_t type, proto; // SOCK_*, IPPROTO_*; never change
    uint8_t shut;        // SHUT_BIT_*
    bool bound;          // in the port table
    bool reuseaddr, reuseport, broadcast, keepalive, linger_on, pktinfo;
    bool rcvbuf_fixed, sndbuf_fixed; // set by the program: no autotuning
    bool rx_busy, tx_busy;           // a thread copies without the lock
    bool want_space;                 // somebody waits for EPOLLOUT
    uint8_t tos, ttl;
    int error; // SO_ERROR, positive
    uint32_t laddr, raddr;
    uint16_t lport, rport; // 0: none
    struct wait_queue wq;
    struct list_head rxq; // received pktbufs
    uint32_t rx_bytes;    // payload in rxq
    uint32_t rx_mem;      // memory of rxq and the out-of-order queue
    uint32_t tx_mem;      // memory of the send queue
    uint32_t rcvbuf, sndbuf;
    uint32_t linger_s;
    uint64_t rcvtimeo, sndtimeo; // ns; 0: for ever
    struct sock *port_next;
};

// Memory that a packet keeps from others.
static inline uint32_t pkt_memory(const struct pktbuf *p)
{
    uint32_t n = 0;
    for (; p; p = p->frag)
        n += p->size + (uint32_t)sizeof(*p);
    return n;
}

void sock_init(struct sock *s, int type, int proto);
void sock_wake(struct sock *s, unsigned events);
void sock_set_error(struct sock *s, int err); // positive errno; wakes
int sock_take_error(struct sock *s);          // -errno or 0, cleared
// Waits (net_lock held, given up meanwhile) until cond; deadline from timeo. 0, -EINTR, -EAGAIN
// (time is up).
#define SOCK_WAIT(s, cond, deadline)                                    \
    ({                                                                  \
        net_unlock();                                                   \
        int wait_err_ = wait_event(&(s)->wq, (cond), (deadline), true); \
        net_lock();                                                     \
        wait_err_ == -ETIMEDOUT ? -EAGAIN : wait_err_;                  \
    })
static inline uint64_t sock_deadline(uint64_t timeo, bool nonblock)
{
    return nonblock ? 0 : timeo ? net_now + timeo : DEADLINE_NEVER;
}
// One thread at a time copies from (rx) or to (tx) a stream. 0, -EINTR or -EAGAIN.
int sock_claim(struct sock *s, bool *busy, uint64_t deadline);
void sock_unclaim(struct sock *s, bool *busy);

// --- ports (port.c) ---
struct sock *port_chain(uint8_t proto, uint16_t port); // by port_next; other ports are in it too
int port_bind(struct sock *s, uint32_t addr, uint16_t port); // port 0: ephemeral. -EADDRINUSE
void port_unbind(struct sock *s);
// The start of the search for an ephemeral port (RFC 6056 algorithm 3).
uint16_t port_ephemeral_start(uint32_t laddr, uint32_t raddr, uint16_t rport);

// --- UDP (udp.c) ---
int udp_connect(struct sock *s, const struct sock_addr *a);
ssize_t_k udp_send(struct sock *s, struct sock_copy *from, size_t len, int flags,
                   const struct sock_addr *to);
ssize_t_k udp_recv(struct sock *s, struct sock_copy *to, size_t len, int flags,
                   struct sock_addr *from, int *out_flags);
unsigned udp_poll(struct sock *s);
void udp_close(struct sock *s);

// --- TCP (tcp_sock.c, tcp_listen.c) ---
struct sock *tcp_create(void);
void tcp_close(struct sock *s);
int tcp_listen(struct sock *s, int backlog);
int tcp_accept(struct sock *s, struct sock **out, struct sock_addr *peer, bool nonblock);
int tcp_connect(struct sock *s, const struct sock_addr *a, bool nonblock);
ssize_t_k tcp_send(struct sock *s, struct sock_copy *from, size_t len, int flags);
ssize_t_k tcp_send_ref(struct sock *s, const void *bytes, size_t len, int flags,
                       void (*release)(void *), void *arg);
ssize_t_k tcp_recv(struct sock *s, struct sock_copy *to, size_t len, int flags);
int tcp_shutdown(struct sock *s, int how);
int tcp_setopt(struct sock *s, int name, const void *val, unsigned len);
int tcp_getopt(struct sock *s, int name, void *val, unsigned *len);
unsigned tcp_poll(struct sock *s);
bool tcp_is_listening(struct sock *s);
unsigned tcp_outq(struct sock *s);
bool tcp_has_peer(struct sock *s);
void tcp_keepalive_changed(struct sock *s);

#endif
