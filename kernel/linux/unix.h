// SPDX-License-Identifier: ISC
// Private to AF_UNIX sockets (unix*.c): their structure, its lock, and what the files need of each
// other.
#ifndef LITH_LINUX_UNIX_H
#define LITH_LINUX_UNIX_H

#include <linux/eventpoll.h>
#include "linux/sockets.h"

#define UNIX_BUF        (208u << 10) // Linux's wmem_default
#define UNIX_MSG_MAX    (64u << 10)  // bytes of a stream that travel as one message
#define UNIX_DGRAMS_MAX 256u         // datagrams in one queue (Linux: max_dgram_qlen is 10..512)
#define UNIX_MSG_COST   64u          // of a message beyond its bytes

struct unix_msg {
    struct list_head link;
    struct socket_rights *rights;
    struct socket_cred cred;
    size_t len, done; // done: bytes of a stream already read
    unsigned from_len;
    struct sockaddr_un from;
    uint8_t data[];
};

enum unix_state { UNIX_IDLE, UNIX_LISTENING, UNIX_CONNECTED, UNIX_CLOSED };

struct unix_sock {
    struct socket socket;
    unsigned refs;
    uint8_t type, state, shut; // SOCK_*, enum unix_state, 1 read 2 write
    bool pass_cred, busy;      // busy: a reader copies out of the first message
    bool in_fs;
    int error;
    struct unix_sock *peer; // referenced; datagrams: default destination
    struct list_head queue; // messages
    size_t queued;          // bytes in it
    unsigned count;
    size_t rcvbuf, sndbuf;
    struct list_head acceptq, accept_link;
    unsigned backlog, accept_count;
    struct sockaddr_un name;
    unsigned name_len; // 0: unnamed
    struct unix_sock *next_abstract;
    struct socket_cred cred, peer_cred;
    uint64_t rcvtimeo, sndtimeo; // ns; 0: for ever
    struct wait_queue wq;
};

extern spinlock_t unix_lock;

static inline struct unix_sock *unix_of(struct socket *s)
{
    return container_of(s, struct unix_sock, socket);
}

static inline struct socket_cred my_cred(void)
{
    struct process *p = current_process();
    return (struct socket_cred){p->pid, p->uid, p->gid};
}

static inline void msg_free(struct unix_msg *m)
{
    socket_rights_free(m->rights);
    kfree(m);
}

static inline void unix_ref(struct unix_sock *u)
{
    __atomic_fetch_add(&u->refs, 1, __ATOMIC_RELAXED);
}

static inline void unix_unref(struct unix_sock *u)
{
    if (u && !__atomic_sub_fetch(&u->refs, 1, __ATOMIC_ACQ_REL))
        kfree(u);
}

static inline uint64_t deadline_of(uint64_t timeo, bool nonblock)
{
    return nonblock ? 0 : timeo ? clock_monotonic_ns() + timeo : DEADLINE_NEVER;
}

// Waits on u's queue; unix_lock is held before and after. 0, -EINTR, -EAGAIN.
#define UNIX_WAIT(u, cond, deadline)                                \
    ({                                                              \
        int werr_ = -EAGAIN;                                        \
        if (deadline) {                                             \
            spin_unlock(&unix_lock);                                \
            werr_ = wait_event(&(u)->wq, (cond), (deadline), true); \
            spin_lock(&unix_lock);                                  \
        }                                                           \
        werr_ == -ETIMEDOUT ? -EAGAIN : werr_;                      \
    })

// unix_name.c
void unix_unname(struct unix_sock *u);
int unix_bind(struct socket *s, const union socket_addr *a, unsigned len);
int unix_lookup(const union socket_addr *a, unsigned len, struct unix_sock **out);
int unix_name(struct socket *s, bool peer, union socket_addr *out, unsigned *len);
// unix_msg.c
bool unix_has_room(const struct unix_sock *u);
ssize_t_k unix_send(struct socket *s, struct socket_msg *m);
ssize_t_k unix_recv(struct socket *s, struct socket_msg *m);
// unix_opt.c
int unix_setopt(struct socket *s, int level, int name, const void *val, unsigned len);
int unix_getopt(struct socket *s, int level, int name, void *val, unsigned *len);
long unix_ioctl(struct socket *s, unsigned cmd, unsigned long arg);

#endif
