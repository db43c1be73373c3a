// SPDX-License-Identifier: ISC
// AF_UNIX sockets (unix(7)): stream, datagram, seqpacket; names in the file system, abstract names,
// pairs; open files and credentials along with messages. A message waits in the receiver's queue; a
// sender whose peer's queue is full waits on its own wait queue.
//
// unix_lock guards all sockets' links and queues; it is not held while program memory is touched. A
// socket is referenced by its file, by its peer and by the queue of a listener.
#include <asm/ioctls.h>
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

static spinlock_t unix_lock;
static struct unix_sock *abstract_names;
static const struct socket_ops unix_ops;

static struct unix_sock *unix_of(struct socket *s)
{
    return container_of(s, struct unix_sock, socket);
}

static struct socket_cred my_cred(void)
{
    struct process *p = current_process();
    return (struct socket_cred){p->pid, p->uid, p->gid};
}

static struct unix_sock *unix_alloc(int type)
{
    struct unix_sock *u = kzalloc(sizeof(*u));
    if (!u)
        return NULL;
    u->socket.ops = &unix_ops;
    u->refs = 1;
    u->type = (uint8_t)type;
    u->rcvbuf = u->sndbuf = UNIX_BUF;
    u->cred = my_cred();
    list_init(&u->queue);
    list_init(&u->acceptq);
    list_init(&u->accept_link);
    wait_queue_init(&u->wq);
    return u;
}

static void msg_free(struct unix_msg *m)
{
    socket_rights_free(m->rights);
    kfree(m);
}

static void unix_ref(struct unix_sock *u)
{
    __atomic_fetch_add(&u->refs, 1, __ATOMIC_RELAXED);
}

static void unix_unref(struct unix_sock *u)
{
    if (u && !__atomic_sub_fetch(&u->refs, 1, __ATOMIC_ACQ_REL))
        kfree(u);
}

static uint64_t deadline_of(uint64_t timeo, bool nonblock)
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

// --- names ---
static void path_gone(void *sock)
{
    struct unix_sock *u = sock;
    u->in_fs = false;
}

static struct unix_sock *find_abstract(const struct sockaddr_un *a, unsigned len)
{
    struct unix_sock *u = abstract_names;
    while (u && !(u->name_len == len && !memcmp(&u->name, a, len)))
        u = u->next_abstract;
    return u;
}

static void unname(struct unix_sock *u)
{
    if (u->in_fs)
        fs_names->unbind_socket(u);
    u->in_fs = false;
    spin_lock(&unix_lock);
    for (struct unix_sock **at = &abstract_names; *at; at = &(*at)->next_abstract)
        if (*at == u) {
            *at = u->next_abstract;
            break;
        }
    spin_unlock(&unix_lock);
}

static int check_name(const union socket_addr *a, unsigned len)
{
    if (len < sizeof(a->family) || len > sizeof(struct sockaddr_un))
        return -EINVAL;
    return a->family == AF_UNIX ? 0 : -EINVAL;
}

// Five hexadecimal digits, as Linux's autobind.
static int autobind(struct unix_sock *u)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    for (int tries = 0; tries < 1000; tries++) {
        lib_snprintf(a.sun_path + 1, 6, "%05x", (unsigned)random_u64() & 0xfffff);
        spin_lock(&unix_lock);
        if (!find_abstract(&a, 8)) {
            u->name = a;
            u->name_len = 8;
            u->next_abstract = abstract_names;
            abstract_names = u;
            spin_unlock(&unix_lock);
            return 0;
        }
        spin_unlock(&unix_lock);
    }
    return -ENOSPC;
}

// Only in link mode: nothing else of the program opens files by name.
static int no_names(void)
{
    log_warn(
        "AF_UNIX socket with a path: this program is linked without the file system; open or stat "
        "anything by name to have it");
    return -EOPNOTSUPP;
}

static int unix_bind(struct socket *s, const union socket_addr *a, unsigned len)
{
    struct unix_sock *u = unix_of(s);
    int err = check_name(a, len);
    if (err)
        return err;
    if (u->name_len)
        return -EINVAL;
    if (len == sizeof(a->family))
        return autobind(u);
    struct sockaddr_un name = a->un;
    if (name.sun_path[0]) {
        char path[sizeof(name.sun_path) + 1] = {0};
        size_t n = strnlen(name.sun_path, len - offsetof(struct sockaddr_un, sun_path));
        memcpy(path, name.sun_path, n);
        err = !fs_names ? no_names()
                        : fs_names->bind_socket(current_process()->fs, path,
                                                0777 & ~current_process()->umask, u, path_gone);
        if (err)
            return err == -EEXIST ? -EADDRINUSE : err;
        u->in_fs = true;
        len = (unsigned)(offsetof(struct sockaddr_un, sun_path) + n + 1);
        if (len <= sizeof(name))
            ((char *)&name)[len - 1] = 0;
    } else {
        spin_lock(&unix_lock);
        if (find_abstract(&name, len)) {
            spin_unlock(&unix_lock);
            return -EADDRINUSE;
        }
        u->name = name;
        u->name_len = len;
        u->next_abstract = abstract_names;
        abstract_names = u;
        spin_unlock(&unix_lock);
        return 0;
    }
    u->name = name;
    u->name_len = MIN(len, (unsigned)sizeof(name));
    return 0;
}

// The socket bound to a name, with a reference.
static int lookup(const union socket_addr *a, unsigned len, struct unix_sock **out)
{
    int err = check_name(a, len);
    if (err)
        return err;
    if (len == sizeof(a->family))
        return -EINVAL;
    if (!a->un.sun_path[0]) {
        spin_lock(&unix_lock);
        *out = find_abstract(&a->un, len);
        if (*out)
            unix_ref(*out);
        spin_unlock(&unix_lock);
        return *out ? 0 : -ECONNREFUSED;
    }
    char path[sizeof(a->un.sun_path) + 1] = {0};
    memcpy(path, a->un.sun_path,
           strnlen(a->un.sun_path, len - offsetof(struct sockaddr_un, sun_path)));
    void *sock;
    err = !fs_names ? no_names() : fs_names->find_socket(current_process()->fs, path, &sock);
    if (err)
        return err;
    *out = sock;
    unix_ref(*out);
    return 0;
}

static int unix_name(struct socket *s, bool peer, union socket_addr *out, unsigned *len)
{
    struct unix_sock *u = unix_of(s);
    memset(out, 0, sizeof(*out));
    out->family = AF_UNIX;
    *len = sizeof(out->family);
    spin_lock(&unix_lock);
    const struct unix_sock *from = peer ? u->peer : u;
    if (from && from->name_len) {
        out->un = from->name;
        *len = from->name_len;
    }
    bool gone = peer && !from;
    spin_unlock(&unix_lock);
    return gone ? -ENOTCONN : 0;
}

// --- connections ---
static void pair_up(struct unix_sock *a, struct unix_sock *b)
{
    unix_ref(a);
    unix_ref(b);
    a->peer = b;
    b->peer = a;
    a->state = b->state = UNIX_CONNECTED;
    a->peer_cred = b->cred;
    b->peer_cred = a->cred;
}

static int connect_dgram(struct unix_sock *u, const union socket_addr *a, unsigned len)
{
    struct unix_sock *to = NULL;
    if (a->family != AF_UNSPEC) {
        int err = lookup(a, len, &to);
        if (err)
            return err;
        if (to->type != u->type) {
            unix_unref(to);
            return -EPROTOTYPE;
        }
    }
    spin_lock(&unix_lock);
    struct unix_sock *old = u->peer;
    u->peer = to;
    u->state = to ? UNIX_CONNECTED : UNIX_IDLE;
    spin_unlock(&unix_lock);
    unix_unref(old);
    return 0;
}

static int unix_connect(struct socket *s, const union socket_addr *a, unsigned len, bool nonblock)
{
    struct unix_sock *u = unix_of(s), *l;
    if (u->type == SOCK_DGRAM)
        return connect_dgram(u, a, len);
    if (u->state != UNIX_IDLE)
        return u->state == UNIX_CONNECTED ? -EISCONN : -EINVAL;
    int err = lookup(a, len, &l);
    if (err)
        return err;
    struct unix_sock *conn = unix_alloc(u->type);
    if (!conn) {
        unix_unref(l);
        return -ENOMEM;
    }
    uint64_t deadline = deadline_of(u->sndtimeo, nonblock);
    spin_lock(&unix_lock);
    for (;;) {
        err = l->type != u->type             ? -EPROTOTYPE
              : l->state != UNIX_LISTENING   ? -ECONNREFUSED
              : l->accept_count > l->backlog ? -EAGAIN
                                             : 0;
        if (err != -EAGAIN)
            break;
        // The listener wakes its own queue when a place is free.
        err = UNIX_WAIT(l, l->state != UNIX_LISTENING || l->accept_count <= l->backlog, deadline);
        if (err)
            break;
    }
    if (!err) {
        u->cred = my_cred();
        conn->cred = l->cred;
        conn->name = l->name;
        conn->name_len = l->name_len;
        pair_up(u, conn);
        list_add_tail(&conn->accept_link, &l->acceptq); // the file's reference, until there is one
        l->accept_count++;
    }
    spin_unlock(&unix_lock);
    if (err)
        unix_unref(conn);
    else
        wait_wake_all(&l->wq, EPOLLIN | EPOLLRDNORM);
    unix_unref(l);
    return err;
}

static int unix_listen(struct socket *s, int backlog)
{
    struct unix_sock *u = unix_of(s);
    if (u->type == SOCK_DGRAM)
        return -EOPNOTSUPP;
    if (!u->name_len || (u->state != UNIX_IDLE && u->state != UNIX_LISTENING))
        return -EINVAL;
    spin_lock(&unix_lock);
    u->state = UNIX_LISTENING;
    u->cred = my_cred();
    u->backlog = backlog < 0 ? net_somaxconn : MIN((unsigned)backlog, net_somaxconn);
    spin_unlock(&unix_lock);
    return 0;
}

static int unix_accept(struct socket *s, struct socket **out, bool nonblock)
{
    struct unix_sock *u = unix_of(s);
    if (u->type == SOCK_DGRAM)
        return -EOPNOTSUPP;
    uint64_t deadline = deadline_of(u->rcvtimeo, nonblock);
    int err = 0;
    spin_lock(&unix_lock);
    while (!err && list_empty(&u->acceptq))
        err = u->state != UNIX_LISTENING
                  ? -EINVAL
                  : UNIX_WAIT(u, !list_empty(&u->acceptq) || u->state != UNIX_LISTENING, deadline);
    if (!err) {
        struct unix_sock *conn = list_first(&u->acceptq, struct unix_sock, accept_link);
        list_del(&conn->accept_link);
        u->accept_count--;
        *out = &conn->socket;
    }
    spin_unlock(&unix_lock);
    if (!err)
        wait_wake_all(&u->wq, 0); // those who wait to connect
    return err;
}

// --- messages ---
static bool has_room(const struct unix_sock *u)
{
    return u->queued < u->rcvbuf && (u->type == SOCK_STREAM || u->count < UNIX_DGRAMS_MAX);
}

// Where u's message goes, with a reference: the peer, or the named socket.
static int destination(struct unix_sock *u, struct socket_msg *m, struct unix_sock **out)
{
    if (m->addr_len && u->type == SOCK_DGRAM) {
        int err = lookup(&m->addr, m->addr_len, out);
        if (!err && (*out)->type != u->type) {
            unix_unref(*out);
            err = -EPROTOTYPE;
        }
        return err;
    }
    if (m->addr_len && u->type == SOCK_STREAM)
        return u->state == UNIX_CONNECTED ? -EISCONN : -EOPNOTSUPP;
    spin_lock(&unix_lock);
    *out = u->peer;
    if (*out)
        unix_ref(*out);
    spin_unlock(&unix_lock);
    if (*out)
        return 0;
    return u->state == UNIX_CLOSED || u->state == UNIX_CONNECTED ? -EPIPE : -ENOTCONN;
}

static struct unix_msg *make_msg(struct unix_sock *u, struct socket_msg *m, size_t n)
{
    struct unix_msg *msg = kmalloc(sizeof(*msg) + n);
    if (!msg)
        return NULL;
    memset(msg, 0, sizeof(*msg));
    list_init(&msg->link);
    msg->len = n;
    msg->cred = my_cred();
    if (u->type == SOCK_DGRAM && u->name_len) {
        msg->from = u->name;
        msg->from_len = u->name_len;
    }
    if (n && iov_copy_from(m->it, msg->data, n) != (ssize_t_k)n) {
        kfree(msg);
        return NULL;
    }
    return msg;
}

// Queues one message at `to`, waiting for room. 0 or -errno; the message is taken only on success.
static int deliver(struct unix_sock *u, struct unix_sock *to, struct unix_msg *msg,
                   uint64_t deadline)
{
    int err = 0;
    spin_lock(&unix_lock);
    while (!err) {
        if (u->shut & 2 || to->shut & 1 || to->state == UNIX_CLOSED)
            err = to->type == SOCK_DGRAM && !(u->shut & 2) ? -ECONNREFUSED : -EPIPE;
        else if (has_room(to))
            break;
        else // a reader of `to` wakes its peer; other senders wait at `to` itself
            err = UNIX_WAIT(u->peer == to && u->type != SOCK_DGRAM ? u : to,
                            has_room(to) || u->shut & 2 || to->shut & 1 || to->state == UNIX_CLOSED,
                            deadline);
    }
    if (!err) {
        list_add_tail(&msg->link, &to->queue);
        to->queued += msg->len + UNIX_MSG_COST;
        to->count++;
    }
    spin_unlock(&unix_lock);
    if (!err)
        wait_wake_all(&to->wq, EPOLLIN | EPOLLRDNORM);
    return err;
}

static ssize_t_k unix_send(struct socket *s, struct socket_msg *m)
{
    struct unix_sock *u = unix_of(s), *to;
    size_t len = m->it->left, done = 0;
    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    int err = destination(u, m, &to);
    if (err)
        return err;
    uint64_t deadline = deadline_of(u->sndtimeo, m->flags & MSG_DONTWAIT);
    if (u->type != SOCK_STREAM && len > to->rcvbuf)
        err = -EMSGSIZE;
    if (u->type == SOCK_STREAM && !len)
        goto out;
    while (!err && (done < len || (!len && !done))) {
        size_t n = len - done;
        if (u->type == SOCK_STREAM) {
            n = MIN(n, (size_t)UNIX_MSG_MAX);
            if (u->shut & 2 || to->shut & 1 || to->state == UNIX_CLOSED) {
                err = -EPIPE;
                break;
            }
            if (!has_room(to) && !deadline) { // before the bytes are taken
                err = -EAGAIN;
                break;
            }
        }
        struct unix_msg *msg = make_msg(u, m, n);
        if (!msg) {
            err = m->it->left == len - done ? -ENOMEM : -EFAULT;
            break;
        }
        msg->rights = m->rights; // with the first byte
        err = deliver(u, to, msg, deadline);
        if (err) {
            kfree(msg);
            break;
        }
        m->rights = NULL;
        done += n;
        if (!len)
            break;
    }
out:
    unix_unref(to);
    return done || !err ? (ssize_t_k)done : err;
}

// A message is finished with: off the queue; whoever waits for room is told.
static void unqueue(struct unix_sock *u, struct unix_msg *msg)
{
    list_del(&msg->link);
    u->queued -= msg->len + UNIX_MSG_COST;
    u->count--;
}

static void wake_writers(struct unix_sock *u)
{
    spin_lock(&unix_lock);
    struct unix_sock *peer = u->peer;
    if (peer)
        unix_ref(peer);
    spin_unlock(&unix_lock);
    if (peer)
        wait_wake_all(&peer->wq, EPOLLOUT | EPOLLWRNORM);
    unix_unref(peer);
    if (u->type == SOCK_DGRAM)
        wait_wake_all(&u->wq, 0);
}

static bool readable(const struct unix_sock *u)
{
    return !list_empty(&u->queue) && !u->busy;
}

static bool at_end(const struct unix_sock *u)
{
    return list_empty(&u->queue) &&
           (u->shut & 1 || u->error || (u->type != SOCK_DGRAM && u->state != UNIX_CONNECTED));
}

// Takes what comes with a message (stream: with its first byte).
static void take_extras(struct unix_sock *u, struct unix_msg *msg, struct socket_msg *m)
{
    if (msg->rights && !m->rights && !(m->flags & MSG_PEEK)) {
        m->rights = msg->rights;
        msg->rights = NULL;
    }
    if (u->pass_cred) {
        m->cred = msg->cred;
        m->have_cred = true;
    }
    if (msg->from_len) {
        m->addr.un = msg->from;
        m->addr_len = msg->from_len;
    }
}

// Waits for a message and claims the queue's head (busy). 1, 0 (end), -errno.
static int claim(struct unix_sock *u, uint64_t deadline)
{
    while (!readable(u)) {
        if (at_end(u)) {
            int err = u->error;
            u->error = 0;
            if (err)
                return -err;
            bool never = u->state == UNIX_IDLE || u->state == UNIX_LISTENING;
            return never && u->type != SOCK_DGRAM ? -EINVAL : 0;
        }
        int err = UNIX_WAIT(u, readable(u) || at_end(u), deadline);
        if (err)
            return err;
    }
    u->busy = true;
    return 1;
}

static ssize_t_k recv_packet(struct unix_sock *u, struct socket_msg *m, uint64_t deadline)
{
    spin_lock(&unix_lock);
    int err = claim(u, deadline);
    if (err <= 0) {
        spin_unlock(&unix_lock);
        return err;
    }
    struct unix_msg *msg = list_first(&u->queue, struct unix_msg, link);
    bool peek = m->flags & MSG_PEEK;
    take_extras(u, msg, m);
    spin_unlock(&unix_lock);
    size_t n = MIN(msg->len, m->it->left);
    ssize_t_k r = n ? iov_copy_to(m->it, msg->data, n) : 0;
    if (n < msg->len)
        m->out_flags |= MSG_TRUNC;
    if (r >= 0)
        r = (ssize_t_k)(m->flags & MSG_TRUNC ? msg->len : n);
    spin_lock(&unix_lock);
    u->busy = false;
    if (!peek)
        unqueue(u, msg);
    spin_unlock(&unix_lock);
    if (!peek) {
        msg_free(msg);
        wake_writers(u);
    }
    if (wait_has_waiters(&u->wq))
        wait_wake_all(&u->wq, 0);
    return r;
}

static ssize_t_k recv_stream(struct unix_sock *u, struct socket_msg *m, uint64_t deadline)
{
    size_t len = m->it->left, done = 0;
    bool peek = m->flags & MSG_PEEK, freed = false;
    spin_lock(&unix_lock);
    int err = len ? claim(u, deadline) : 0;
    if (err <= 0) {
        spin_unlock(&unix_lock);
        return err;
    }
    err = 0;
    struct list_head *at = u->queue.next;
    while (done < len) {
        if (at == &u->queue) {
            if (!(m->flags & MSG_WAITALL) || peek)
                break;
            u->busy = false;
            err = claim(u, deadline);
            if (err <= 0) {
                spin_unlock(&unix_lock);
                goto out;
            }
            err = 0;
            at = u->queue.next;
        }
        struct unix_msg *msg = list_entry(at, struct unix_msg, link);
        if (done && (msg->rights || m->rights))
            break; // files come with the bytes they were sent with, not with earlier ones
        take_extras(u, msg, m);
        size_t n = MIN(len - done, msg->len - msg->done);
        spin_unlock(&unix_lock);
        ssize_t_k r = iov_copy_to(m->it, msg->data + msg->done, n);
        spin_lock(&unix_lock);
        if (r != (ssize_t_k)n) {
            err = -EFAULT;
            break;
        }
        done += n;
        at = at->next;
        if (peek)
            continue;
        msg->done += n;
        if (msg->done == msg->len) {
            unqueue(u, msg);
            freed = true;
            spin_unlock(&unix_lock);
            msg_free(msg);
            spin_lock(&unix_lock);
            at = u->queue.next;
        }
    }
    u->busy = false;
    spin_unlock(&unix_lock);
out:
    if (freed)
        wake_writers(u);
    if (wait_has_waiters(&u->wq))
        wait_wake_all(&u->wq, 0);
    return done ? (ssize_t_k)done : err;
}

static ssize_t_k unix_recv(struct socket *s, struct socket_msg *m)
{
    struct unix_sock *u = unix_of(s);
    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    uint64_t deadline = deadline_of(u->rcvtimeo, m->flags & MSG_DONTWAIT);
    return u->type == SOCK_STREAM ? recv_stream(u, m, deadline) : recv_packet(u, m, deadline);
}

// --- readiness ---
static unsigned unix_poll(struct socket *s, struct poll_table *pt)
{
    struct unix_sock *u = unix_of(s);
    unsigned ev = 0;
    poll_wait_on(pt, &u->wq);
    spin_lock(&unix_lock);
    struct unix_sock *peer = u->peer;
    bool stream = u->type != SOCK_DGRAM;
    if (u->state == UNIX_LISTENING) {
        ev = list_empty(&u->acceptq) ? 0 : EPOLLIN | EPOLLRDNORM;
        spin_unlock(&unix_lock);
        return ev;
    }
    if (u->error)
        ev |= EPOLLERR;
    if (!list_empty(&u->queue))
        ev |= EPOLLIN | EPOLLRDNORM;
    bool gone = u->state == UNIX_CLOSED || (stream && u->state == UNIX_CONNECTED && !peer);
    if (u->shut & 1 || (stream && gone))
        ev |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
    if (u->shut == 3 || gone || (stream && u->state == UNIX_IDLE))
        ev |= EPOLLHUP;
    if (!peer || has_room(peer) || u->shut & 2)
        ev |= EPOLLOUT | EPOLLWRNORM;
    spin_unlock(&unix_lock);
    return ev;
}

// --- the end ---
static int unix_shutdown(struct socket *s, int how)
{
    struct unix_sock *u = unix_of(s);
    uint8_t bits = (uint8_t)(how + 1); // SHUT_RD 1, SHUT_WR 2, SHUT_RDWR 3
    spin_lock(&unix_lock);
    struct unix_sock *peer = u->type != SOCK_DGRAM ? u->peer : NULL;
    if (u->type != SOCK_DGRAM && u->state != UNIX_CONNECTED && u->state != UNIX_CLOSED) {
        spin_unlock(&unix_lock);
        return -ENOTCONN;
    }
    u->shut |= bits;
    if (peer) {
        peer->shut |= (uint8_t)((bits & 1) << 1 | (bits & 2) >> 1);
        unix_ref(peer);
    }
    spin_unlock(&unix_lock);
    wait_wake_all(&u->wq, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
    if (peer)
        wait_wake_all(&peer->wq, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
    unix_unref(peer);
    return 0;
}

// Off the wire: the peer sees the end, what nobody read is dropped.
static void unix_dead(struct unix_sock *u)
{
    struct list_head drop, waiting;
    unname(u);
    list_init(&drop);
    list_init(&waiting);
    spin_lock(&unix_lock);
    struct unix_sock *peer = u->peer;
    bool unread = !list_empty(&u->queue), mutual = peer && peer->peer == u;
    u->peer = NULL;
    u->state = UNIX_CLOSED;
    u->shut = 3;
    if (mutual && u->type != SOCK_DGRAM) {
        peer->state = UNIX_CLOSED;
        peer->shut |= 3;
        peer->peer = NULL;
        if (unread)
            peer->error = ECONNRESET;
    } else {
        mutual = false;
    }
    while (!list_empty(&u->queue)) {
        struct list_head *l = u->queue.next;
        list_del(l);
        list_add_tail(l, &drop);
    }
    while (!list_empty(&u->acceptq)) {
        struct list_head *l = u->acceptq.next;
        list_del(l);
        list_add_tail(l, &waiting);
    }
    spin_unlock(&unix_lock);
    while (!list_empty(&drop)) {
        struct unix_msg *msg = list_first(&drop, struct unix_msg, link);
        list_del(&msg->link);
        msg_free(msg);
    }
    while (!list_empty(&waiting)) { // connections that nobody accepted
        struct unix_sock *conn = list_first(&waiting, struct unix_sock, accept_link);
        list_del(&conn->accept_link);
        unix_dead(conn);
        unix_unref(conn);
    }
    wait_wake_all(&u->wq, EPOLLHUP | EPOLLIN | EPOLLOUT);
    if (peer)
        wait_wake_all(&peer->wq, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLRDNORM);
    unix_unref(peer);
    if (mutual)
        unix_unref(u); // the peer's reference
}

static void unix_release(struct socket *s)
{
    struct unix_sock *u = unix_of(s);
    unix_dead(u);
    unix_unref(u);
}

// --- options ---
static int opt_time(const void *val, unsigned len, uint64_t *out)
{
    int64_t tv[2];
    if (len < sizeof(tv))
        return -EINVAL;
    memcpy(tv, val, sizeof(tv));
    if (tv[0] < 0 || tv[1] < 0 || tv[1] >= 1000000)
        return -EDOM;
    *out =
        tv[0] > 1000000000 ? 0 : (uint64_t)tv[0] * NSEC_PER_SEC + (uint64_t)tv[1] * NSEC_PER_USEC;
    return 0;
}

static int unix_setopt(struct socket *s, int level, int name, const void *val, unsigned len)
{
    struct unix_sock *u = unix_of(s);
    int v;
    if (level != SOL_SOCKET)
        return -EOPNOTSUPP;
    if (len < sizeof(v))
        return -EINVAL;
    memcpy(&v, val, sizeof(v));
    switch (name) {
    case SO_PASSCRED:
        u->pass_cred = v;
        return 0;
    case SO_RCVBUF:
    case SO_SNDBUF: {
        size_t n = (size_t)(v < 2304 ? 2304 : v > 4 << 20 ? 4 << 20 : v) * 2;
        *(name == SO_RCVBUF ? &u->rcvbuf : &u->sndbuf) = n;
        return 0;
    }
    case SO_RCVTIMEO_OLD:
    case SO_RCVTIMEO_NEW:
        return opt_time(val, len, &u->rcvtimeo);
    case SO_SNDTIMEO_OLD:
    case SO_SNDTIMEO_NEW:
        return opt_time(val, len, &u->sndtimeo);
    case SO_REUSEADDR: // no meaning here; as Linux, accepted
    case SO_REUSEPORT:
    case SO_KEEPALIVE:
    case SO_BROADCAST:
    case SO_LINGER:
    case SO_OOBINLINE:
    case SO_PRIORITY:
    case SO_RCVLOWAT:
    case SO_DEBUG:
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

static int unix_getopt(struct socket *s, int level, int name, void *val, unsigned *len)
{
    struct unix_sock *u = unix_of(s);
    int v;
    if (level != SOL_SOCKET)
        return -EOPNOTSUPP;
    switch (name) {
    case SO_PEERCRED: {
        struct socket_cred none = {0, (uint32_t)-1, (uint32_t)-1};
        *len = MIN(*len, (unsigned)sizeof(none));
        memcpy(val, u->peer_cred.pid ? &u->peer_cred : &none, *len);
        return 0;
    }
    case SO_TYPE:
        v = u->type;
        break;
    case SO_DOMAIN:
        v = AF_UNIX;
        break;
    case SO_PROTOCOL:
        v = 0;
        break;
    case SO_ERROR:
        v = u->error;
        u->error = 0;
        break;
    case SO_ACCEPTCONN:
        v = u->state == UNIX_LISTENING;
        break;
    case SO_PASSCRED:
        v = u->pass_cred;
        break;
    case SO_RCVBUF:
        v = (int)u->rcvbuf;
        break;
    case SO_SNDBUF:
        v = (int)u->sndbuf;
        break;
    case SO_REUSEADDR:
    case SO_KEEPALIVE:
    case SO_BROADCAST:
        v = 0;
        break;
    default:
        return -ENOPROTOOPT;
    }
    *len = MIN(*len, (unsigned)sizeof(v));
    memcpy(val, &v, *len);
    return 0;
}

static long unix_ioctl(struct socket *s, unsigned cmd, unsigned long arg)
{
    struct unix_sock *u = unix_of(s);
    int n = 0;
    if (cmd != FIONREAD && cmd != TIOCOUTQ)
        return -ENOTTY;
    spin_lock(&unix_lock);
    if (cmd == FIONREAD)
        list_for_each (pos, &u->queue) {
            const struct unix_msg *msg = list_entry(pos, struct unix_msg, link);
            n += (int)(msg->len - msg->done);
            if (u->type != SOCK_STREAM)
                break;
        }
    spin_unlock(&unix_lock);
    return copy_out((void *)arg, &n, sizeof(n));
}

static const struct socket_ops unix_ops = {
    .bind = unix_bind,
    .connect = unix_connect,
    .listen = unix_listen,
    .accept = unix_accept,
    .name = unix_name,
    .send = unix_send,
    .recv = unix_recv,
    .shutdown = unix_shutdown,
    .setopt = unix_setopt,
    .getopt = unix_getopt,
    .poll = unix_poll,
    .ioctl = unix_ioctl,
    .release = unix_release,
};

static int check_type(int type, int protocol)
{
    if (protocol && protocol != AF_UNIX)
        return -EPROTONOSUPPORT;
    return type == SOCK_STREAM || type == SOCK_DGRAM || type == SOCK_SEQPACKET ? 0
                                                                               : -ESOCKTNOSUPPORT;
}

int unix_socket(int type, int protocol, struct socket **out)
{
    int err = check_type(type, protocol);
    if (err)
        return err;
    struct unix_sock *u = unix_alloc(type);
    if (!u)
        return -ENOMEM;
    *out = &u->socket;
    return 0;
}

int unix_socketpair(int type, int protocol, struct socket *out[2])
{
    int err = check_type(type, protocol);
    if (err)
        return err;
    struct unix_sock *a = unix_alloc(type), *b = unix_alloc(type);
    if (!a || !b) {
        unix_unref(a);
        unix_unref(b);
        return -ENOMEM;
    }
    pair_up(a, b);
    out[0] = &a->socket;
    out[1] = &b->socket;
    return 0;
}
