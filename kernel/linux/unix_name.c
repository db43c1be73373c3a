// SPDX-License-Identifier: ISC
// AF_UNIX: names, in the file system and abstract ones.
#include "linux/unix.h"

static struct unix_sock *abstract_names; // unix_lock

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

void unix_unname(struct unix_sock *u)
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

int unix_bind(struct socket *s, const union socket_addr *a, unsigned len)
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
int unix_lookup(const union socket_addr *a, unsigned len, struct unix_sock **out)
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

int unix_name(struct socket *s, bool peer, union socket_addr *out, unsigned *len)
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
