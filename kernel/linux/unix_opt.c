// SPDX-License-Identifier: ISC
// AF_UNIX: socket options and ioctls.
#include <asm/ioctls.h>
#include "linux/unix.h"

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

int unix_setopt(struct socket *s, int level, int name, const void *val, unsigned len)
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

int unix_getopt(struct socket *s, int level, int name, void *val, unsigned *len)
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

long unix_ioctl(struct socket *s, unsigned cmd, unsigned long arg)
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
