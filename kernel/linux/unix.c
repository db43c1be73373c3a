// SPDX-License-Identifier: ISC
// AF_UNIX sockets (unix(7)): stream, datagram, seqpacket; names in the file system, abstract names,
// pairs; open files and credentials along with messages. A message waits in the receiver's queue; a
// sender whose peer's queue is full waits on its own wait queue.
//
// unix_lock guards all sockets' links and queues; it is not held while program memory is touched. A
// socket is referenced by its file, by its peer and by the queue of a listener.
#include "linux/unix.h"

spinlock_t unix_lock;
static const struct socket_ops unix_ops;

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
        int err = unix_lookup(a, len, &to);
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
    int err = unix_lookup(a, len, &l);
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
    if (!peer || unix_has_room(peer) || u->shut & 2)
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
    unix_unname(u);
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
