// SPDX-License-Identifier: ISC
// Sockets as files: what the socket calls (socket.c, socket_msg.c) ask of an address family
// (socket_inet.c, unix.c). Private to linux/. (Not socket.h: that would hide <linux/socket.h>.)
#ifndef LITH_LINUX_SOCKETS_H
#define LITH_LINUX_SOCKETS_H

#include <asm/socket.h>
#include <linux/socket.h>
#include <linux/in.h>
#include <linux/un.h>
#include "linux/fileio.h"

#ifndef AF_UNSPEC
#define AF_UNSPEC  0
#define AF_UNIX    1
#define AF_INET    2
#define AF_INET6   10
#define AF_NETLINK 16
#endif
#define SOCK_TYPE_MASK 0xf
#define SOCK_CLOEXEC   O_CLOEXEC
#define SOCK_NONBLOCK  O_NONBLOCK

#define SOCKET_ADDR_MAX             sizeof(struct sockaddr_un)
#define SOCKET_RIGHTS_MAX           253   // SCM_MAX_FD of Linux
#define SOCKET_RIGHTS_IN_FLIGHT_MAX 16384 // open files in messages, in all
#define SOCKET_CONTROL_MAX          4096  // ancillary data of one message

union socket_addr {
    uint16_t family;
    struct sockaddr_in in;
    struct sockaddr_un un;
    uint8_t bytes[128]; // sizeof(struct sockaddr_storage)
};

struct socket_rights {          // open files on their way to another socket
    struct socket_rights *next; // while being freed
    unsigned count;
    struct file *file[];
};

struct socket_cred {
    int32_t pid;
    uint32_t uid, gid;
};

// One message, in or out.
struct socket_msg {
    struct iov_iter *it;
    int flags;     // MSG_*; MSG_DONTWAIT added for nonblocking files
    int out_flags; // received: MSG_TRUNC, MSG_CTRUNC, MSG_EOR
    union socket_addr addr;
    unsigned addr_len;            // 0: none
    struct socket_rights *rights; // moves with the message
    struct socket_cred cred;      // received
    bool have_cred;
    struct { // received, IP_PKTINFO
        bool have;
        uint32_t if_index, dst;
    } pktinfo;
};

struct socket;
struct socket_ops {
    int (*bind)(struct socket *s, const union socket_addr *a, unsigned len);
    int (*connect)(struct socket *s, const union socket_addr *a, unsigned len, bool nonblock);
    int (*listen)(struct socket *s, int backlog);
    int (*accept)(struct socket *s, struct socket **out, bool nonblock);
    int (*name)(struct socket *s, bool peer, union socket_addr *out, unsigned *len);
    ssize_t_k (*send)(struct socket *s, struct socket_msg *m);
    ssize_t_k (*recv)(struct socket *s, struct socket_msg *m);
    int (*shutdown)(struct socket *s, int how);
    int (*setopt)(struct socket *s, int level, int name, const void *val, unsigned len);
    int (*getopt)(struct socket *s, int level, int name, void *val, unsigned *len);
    unsigned (*poll)(struct socket *s, struct poll_table *pt);
    long (*ioctl)(struct socket *s, unsigned cmd, unsigned long arg);
    void (*release)(struct socket *s); // the file is gone
};
struct socket {
    const struct socket_ops *ops;
    struct sock *inet; // AF_INET only
};

extern const struct file_ops socket_file_ops;
static inline struct socket *socket_of(struct file *f)
{
    return f->ops == &socket_file_ops ? f->priv : NULL;
}
// A file for the socket, installed as a descriptor. flags: SOCK_CLOEXEC, SOCK_NONBLOCK. On error
// the socket is released.
int socket_install(struct socket *s, int flags);
void socket_rights_free(struct socket_rights *r); // NULL is allowed

// socket_inet.c
int inet_socket(int type, int protocol, struct socket **out);
// unix.c
int unix_socket(int type, int protocol, struct socket **out);
int unix_socketpair(int type, int protocol, struct socket *out[2]);

// For sendfile(2): sends file bytes to a socket, by reference where the file's pages are mapped for
// good (the root file system). Bytes sent (*pos advanced), -errno, or -EOPNOTSUPP: copy instead.
long socket_sendfile(struct file *sock, struct file *in, uint64_t *pos, size_t count);

#endif
