// SPDX-License-Identifier: ISC
// AF_UNIX: messages, sent and received, with open files and credentials.
#include "linux/unix.h"

bool unix_has_room(const struct unix_sock *u)
{
    return u->queued < u->rcvbuf && (u->type == SOCK_STREAM || u->count < UNIX_DGRAMS_MAX);
}

// Where u's message goes, with a reference: the peer, or the named socket.
static int destination(struct unix_sock *u, struct socket_msg *m, struct unix_sock **out)
{
    if (m->addr_len && u->type == SOCK_DGRAM) {
        int err = unix_lookup(&m->addr, m->addr_len, out);
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
        else if (unix_has_room(to))
            break;
        else // a reader of `to` wakes its peer; other senders wait at `to` itself
            err = UNIX_WAIT(u->peer == to && u->type != SOCK_DGRAM ? u : to,
                            unix_has_room(to) || u->shut & 2 || to->shut & 1 ||
                                to->state == UNIX_CLOSED,
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

ssize_t_k unix_send(struct socket *s, struct socket_msg *m)
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
            if (!unix_has_room(to) && !deadline) { // before the bytes are taken
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

ssize_t_k unix_recv(struct socket *s, struct socket_msg *m)
{
    struct unix_sock *u = unix_of(s);
    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    uint64_t deadline = deadline_of(u->rcvtimeo, m->flags & MSG_DONTWAIT);
    return u->type == SOCK_STREAM ? recv_stream(u, m, deadline) : recv_packet(u, m, deadline);
}
