// SPDX-License-Identifier: ISC
// Sockets: TCP and UDP over loopback, Unix sockets, messages with files, options, errors.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "tap.h"

static char big[1 << 20], back[1 << 20];
static void *volatile bad_pointer = (void *)16;

static struct sockaddr_in local(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int tcp_server(uint16_t *port)
{
    struct sockaddr_in a = local(0);
    socklen_t n = sizeof(a);
    int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    bind(s, (struct sockaddr *)&a, sizeof(a));
    listen(s, 16);
    getsockname(s, (struct sockaddr *)&a, &n);
    *port = ntohs(a.sin_port);
    return s;
}

static void tcp_pair(int fd[2])
{
    uint16_t port;
    int l = tcp_server(&port);
    struct sockaddr_in a = local(port);
    fd[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd[0], (struct sockaddr *)&a, sizeof(a)))
        perror("connect");
    fd[1] = accept(l, NULL, NULL);
    close(l);
}

static void names_and_errors(void)
{
    uint16_t port;
    int l = tcp_server(&port), s, v = 0;
    struct sockaddr_in a = local(port), b = {0};
    socklen_t n = sizeof(b);
    FAILS(socket(AF_INET, 77, 0), EINVAL, "socket: a type that does not exist");
    FAILS(socket(99, SOCK_STREAM, 0), EAFNOSUPPORT, "socket: a family that does not exist");
    FAILS(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT, "socket: wrong protocol");
    FAILS(bind(0, (struct sockaddr *)&a, sizeof(a)), ENOTSOCK, "bind: not a socket");
    FAILS(listen(-1, 1), EBADF, "listen: not a descriptor");
    s = socket(AF_INET, SOCK_STREAM, 0);
    FAILS(bind(s, (struct sockaddr *)&a, sizeof(a)), EADDRINUSE, "bind: address in use");
    FAILS(bind(s, (struct sockaddr *)&a, 4), EINVAL, "bind: short address");
    FAILS(bind(s, bad_pointer, sizeof(a)), EFAULT, "bind: bad pointer");
    FAILS(getpeername(s, (struct sockaddr *)&b, &n), ENOTCONN, "getpeername: not connected");
    FAILS(recv(s, back, 1, 0), ENOTCONN, "recv: not connected");
    FAILS(shutdown(s, SHUT_WR), ENOTCONN, "shutdown: not connected");
    OK(connect(s, (struct sockaddr *)&a, sizeof(a)) == 0, "connect");
    FAILS(connect(s, (struct sockaddr *)&a, sizeof(a)), EISCONN, "connect: is connected");
    n = sizeof(b);
    OK(getpeername(s, (struct sockaddr *)&b, &n) == 0 && n == sizeof(b) && b.sin_port == a.sin_port,
       "getpeername");
    n = 4;
    OK(getpeername(s, (struct sockaddr *)&b, &n) == 0 && n == sizeof(b),
       "getpeername: cut, full length told");
    n = sizeof(b);
    int c = accept4(l, (struct sockaddr *)&b, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    OK(c >= 0 && b.sin_addr.s_addr == htonl(INADDR_LOOPBACK), "accept4 names the peer");
    OK(fcntl(c, F_GETFL) & O_NONBLOCK && fcntl(c, F_GETFD) & FD_CLOEXEC, "accept4 flags");
    FAILS(read(c, back, 1), EAGAIN, "read: would block");
    FAILS(accept4(l, NULL, NULL, 0x12), EINVAL, "accept4: bad flags");
    FAILS(setsockopt(s, IPPROTO_TCP, 9999, &v, sizeof(v)), ENOPROTOOPT, "setsockopt: unknown");
    n = sizeof(v);
    OK(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n) == 0 && v == SOCK_STREAM, "SO_TYPE");
    struct tcp_info info;
    n = sizeof(info);
    OK(getsockopt(s, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 && info.tcpi_state == 1, "TCP_INFO");
    struct stat st;
    OK(fstat(s, &st) == 0 && S_ISSOCK(st.st_mode), "fstat: a socket");
    FAILS(lseek(s, 0, SEEK_SET), ESPIPE, "lseek: a socket");
    close(s);
    OK(read(c, back, 1) == 0, "read: the end");
    close(c);
    close(l);
    s = socket(AF_INET, SOCK_STREAM, 0);
    FAILS(connect(s, (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED, "connect: refused");
    close(s);
}

static void *reader(void *arg)
{
    int fd = *(int *)arg;
    size_t got = 0;
    ssize_t n;
    while ((n = read(fd, back + got, sizeof(back) - got)) > 0)
        got += (size_t)n;
    return (void *)got;
}

static void streams(void)
{
    int fd[2], n = 0;
    pthread_t t;
    void *got;
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)(i * 7 + (i >> 9));
    tcp_pair(fd);
    struct iovec v[3] = {{big, 10}, {big + 10, 0}, {big + 10, 90}};
    OK(writev(fd[0], v, 3) == 100, "writev");
    OK(ioctl(fd[1], FIONREAD, &n) == 0 && n == 100, "FIONREAD");
    OK(recv(fd[1], back, 200, MSG_PEEK) == 100, "MSG_PEEK");
    OK(recv(fd[1], back, 100, MSG_WAITALL) == 100 && !memcmp(back, big, 100), "MSG_WAITALL");
    FAILS(recv(fd[1], back, 1, MSG_DONTWAIT), EAGAIN, "MSG_DONTWAIT");
    FAILS(send(fd[0], bad_pointer, 100, 0), EFAULT, "send: bad pointer");
    OK(pthread_create(&t, NULL, reader, &fd[1]) == 0, "a reader");
    size_t done = 0;
    while (done < sizeof(big)) {
        ssize_t w = write(fd[0], big + done, sizeof(big) - done);
        if (w <= 0)
            break;
        done += (size_t)w;
    }
    OK(done == sizeof(big), "write a megabyte");
    shutdown(fd[0], SHUT_WR);
    pthread_join(t, &got);
    OK((size_t)got == sizeof(big) && !memcmp(big, back, sizeof(big)), "read it back unchanged");
    close(fd[1]);
    signal(SIGPIPE, SIG_IGN);
    FAILS(send(fd[0], "x", 1, 0), EPIPE, "send: after shutdown");
    close(fd[0]);
    struct timeval tv = {0, 50000};
    tcp_pair(fd);
    setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    FAILS(recv(fd[0], back, 1, 0), EAGAIN, "SO_RCVTIMEO");
    struct linger lg = {1, 0};
    setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
    close(fd[0]);
    FAILS(recv(fd[1], back, 1, 0), ECONNRESET, "SO_LINGER 0 resets");
    close(fd[1]);
}

static void readiness(void)
{
    uint16_t port;
    int l = tcp_server(&port), ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.fd = l}, out[8];
    struct sockaddr_in a = local(port);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    epoll_ctl(ep, EPOLL_CTL_ADD, l, &e);
    OK(epoll_wait(ep, out, 8, 0) == 0, "a quiet listener");
    int r = connect(s, (struct sockaddr *)&a, sizeof(a));
    OK(r == 0 || errno == EINPROGRESS, "connect without waiting");
    OK(epoll_wait(ep, out, 8, 1000) == 1 && out[0].data.fd == l, "the listener is readable");
    OK(epoll_wait(ep, out, 8, 0) == 0, "once (edge)");
    struct pollfd p = {.fd = s, .events = POLLOUT};
    OK(poll(&p, 1, 1000) == 1 && p.revents == POLLOUT, "connected: writable");
    int err = -1, c = accept(l, NULL, NULL);
    socklen_t n = sizeof(err);
    OK(getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &n) == 0 && err == 0, "SO_ERROR");
    e = (struct epoll_event){.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = c};
    epoll_ctl(ep, EPOLL_CTL_ADD, c, &e);
    OK(epoll_wait(ep, out, 8, 1000) == 1 && out[0].events == EPOLLOUT, "writable at first");
    write(s, "1", 1);
    OK(epoll_wait(ep, out, 8, 1000) == 1 && out[0].events & EPOLLIN, "data");
    OK(epoll_wait(ep, out, 8, 20) == 0, "no second edge");
    write(s, "2", 1);
    OK(epoll_wait(ep, out, 8, 1000) == 1 && out[0].events & EPOLLIN, "more data, new edge");
    size_t filled = 0;
    ssize_t w;
    while ((w = send(c, big, sizeof(big), MSG_DONTWAIT)) > 0)
        filled += (size_t)w;
    OK(errno == EAGAIN && filled > 10000, "the send buffer is bounded");
    OK(epoll_wait(ep, out, 8, 20) == 0 || !(out[0].events & EPOLLOUT), "not writable");
    while (filled > 0 && (w = read(s, back, sizeof(back))) > 0)
        filled -= (size_t)w;
    int writable = 0;
    for (int i = 0; i < 10 && !writable; i++)
        writable = epoll_wait(ep, out, 8, 100) == 1 && out[0].events & EPOLLOUT;
    OK(writable, "writable again: an edge");
    close(s);
    OK(epoll_wait(ep, out, 8, 1000) == 1 && out[0].events & EPOLLRDHUP, "the peer is gone");
    close(c);
    close(l);
    close(ep);
}

static void datagrams(void)
{
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    struct sockaddr_in addr = local(0), from;
    socklen_t n = sizeof(addr);
    bind(a, (struct sockaddr *)&addr, sizeof(addr));
    getsockname(a, (struct sockaddr *)&addr, &n);
    OK(sendto(b, "hello", 5, 0, (struct sockaddr *)&addr, sizeof(addr)) == 5, "sendto");
    n = sizeof(from);
    OK(recvfrom(a, back, 100, 0, (struct sockaddr *)&from, &n) == 5 && n == sizeof(from),
       "recvfrom");
    OK(sendto(a, big, 3000, 0, (struct sockaddr *)&from, n) == 3000, "answer");
    OK(recv(b, back, 100, MSG_TRUNC) == 3000, "MSG_TRUNC tells the length");
    FAILS(sendto(b, big, 70000, 0, (struct sockaddr *)&addr, sizeof(addr)), EMSGSIZE, "too long");
    FAILS(send(b, "x", 1, 0), EDESTADDRREQ, "send: to whom?");
    OK(connect(b, (struct sockaddr *)&addr, sizeof(addr)) == 0 && send(b, "c", 1, 0) == 1,
       "connected");
    setsockopt(a, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
    char control[100];
    struct iovec v = {back, 100};
    struct msghdr m = {.msg_name = &from,
                       .msg_namelen = sizeof(from),
                       .msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};
    OK(recvmsg(a, &m, 0) == 1, "recvmsg");
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    OK(c && c->cmsg_type == IP_PKTINFO &&
           ((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr.s_addr == htonl(INADDR_LOOPBACK),
       "IP_PKTINFO");
    struct mmsghdr mm[3] = {0};
    struct iovec mv[3] = {{big, 1}, {big, 2}, {big, 3}};
    for (int i = 0; i < 3; i++)
        mm[i].msg_hdr = (struct msghdr){.msg_iov = &mv[i], .msg_iovlen = 1};
    OK(sendmmsg(b, mm, 3, 0) == 3 && mm[2].msg_len == 3, "sendmmsg");
    for (int i = 0; i < 3; i++)
        mv[i] = (struct iovec){back + i * 10, 10};
    OK(recvmmsg(a, mm, 3, MSG_WAITFORONE, NULL) == 3 && mm[1].msg_len == 2, "recvmmsg");
    close(a);
    send(b, "x", 1, 0);
    FAILS(recv(b, back, 1, 0), ECONNREFUSED, "nobody there: told");
    close(b);
}

static void unix_sockets(void)
{
    int p[2], n;
    struct ucred cred;
    socklen_t len = sizeof(cred);
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0, "socketpair");
    OK(getsockopt(p[0], SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.pid == getpid(),
       "SO_PEERCRED");
    OK(write(p[0], "abc", 3) == 3 && write(p[0], "def", 3) == 3 && read(p[1], back, 10) == 6,
       "a stream");
    // A file along with a message.
    int pipe_fd[2];
    pipe(pipe_fd);
    union {
        char b[CMSG_SPACE(sizeof(int))];
        struct cmsghdr h;
    } u = {0};
    struct iovec v = {big, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = u.b, .msg_controllen = sizeof(u.b)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &pipe_fd[1], sizeof(int));
    OK(sendmsg(p[0], &m, 0) == 1, "sendmsg with a file");
    close(pipe_fd[1]);
    memset(&u, 0, sizeof(u));
    v.iov_base = back;
    m.msg_controllen = sizeof(u.b);
    OK(recvmsg(p[1], &m, MSG_CMSG_CLOEXEC) == 1 && (c = CMSG_FIRSTHDR(&m)) &&
           c->cmsg_type == SCM_RIGHTS,
       "recvmsg");
    memcpy(&n, CMSG_DATA(c), sizeof(n));
    OK(write(n, "via", 3) == 3 && read(pipe_fd[0], back, 10) == 3, "the file works");
    OK(fcntl(n, F_GETFD) & FD_CLOEXEC, "MSG_CMSG_CLOEXEC");
    close(n);
    OK(read(pipe_fd[0], back, 10) == 0, "its last reference is gone");
    close(pipe_fd[0]);
    // Two headers of one file each arrive as one of two files; an empty one is nothing.
    pipe(pipe_fd);
    union {
        char b[3 * CMSG_SPACE(sizeof(int))];
        struct cmsghdr h;
    } two = {0};
    v.iov_base = big;
    m.msg_control = two.b;
    m.msg_controllen = sizeof(two.b) - CMSG_SPACE(sizeof(int)) + CMSG_SPACE(0);
    c = CMSG_FIRSTHDR(&m);
    for (int i = 0; i < 3; i++, c = CMSG_NXTHDR(&m, c)) {
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = i < 2 ? CMSG_LEN(sizeof(int)) : CMSG_LEN(0);
        if (i < 2)
            memcpy(CMSG_DATA(c), &pipe_fd[1 - i], sizeof(int));
    }
    OK(sendmsg(p[0], &m, 0) == 1, "sendmsg with two files in two headers");
    close(pipe_fd[0]);
    close(pipe_fd[1]);
    memset(&two, 0, sizeof(two));
    v.iov_base = back;
    m.msg_controllen = sizeof(two.b);
    int got[2] = {-1, -1};
    OK(recvmsg(p[1], &m, 0) == 1 && (c = CMSG_FIRSTHDR(&m)) && c->cmsg_len == CMSG_LEN(sizeof(got)),
       "recvmsg: one header");
    memcpy(got, CMSG_DATA(c), sizeof(got));
    OK(write(got[0], "both", 4) == 4 && read(got[1], back, 10) == 4, "both files work");
    close(got[0]);
    close(got[1]);
    shutdown(p[0], SHUT_WR);
    OK(read(p[1], back, 1) == 0 && write(p[1], "x", 1) == 1, "half closed");
    close(p[0]);
    FAILS(write(p[1], "x", 1), EPIPE, "EPIPE");
    close(p[1]);
    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p);
    write(p[0], "one", 3);
    write(p[0], "three", 5);
    OK(read(p[1], back, 2) == 2 && read(p[1], back, 9) == 5, "seqpacket keeps boundaries");
    size_t filled = 0;
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    while (write(p[0], big, 1000) == 1000)
        filled++;
    struct pollfd pf = {.fd = p[0], .events = POLLOUT};
    OK(errno == EAGAIN && filled > 10 && poll(&pf, 1, 0) == 0, "bounded");
    while (filled--)
        read(p[1], back, 1000);
    OK(poll(&pf, 1, 1000) == 1, "writable again");
    close(p[0]);
    close(p[1]);

    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/tmp/test.sock"};
    struct sockaddr_un abs = {.sun_family = AF_UNIX, .sun_path = "\0name"};
    struct sockaddr_un who = {0};
    unlink(a.sun_path);
    int l = socket(AF_UNIX, SOCK_STREAM, 0), s = socket(AF_UNIX, SOCK_STREAM, 0);
    FAILS(connect(s, (struct sockaddr *)&a, sizeof(a)), ENOENT, "connect: no such name");
    OK(bind(l, (struct sockaddr *)&a, sizeof(a)) == 0, "bind to a path");
    struct stat st;
    OK(stat(a.sun_path, &st) == 0 && S_ISSOCK(st.st_mode), "the path is a socket");
    FAILS(connect(s, (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED, "connect: not listening");
    OK(listen(l, 5) == 0 && connect(s, (struct sockaddr *)&a, sizeof(a)) == 0, "connect");
    len = sizeof(who);
    int conn = accept(l, (struct sockaddr *)&who, &len);
    OK(conn >= 0 && len == sizeof(sa_family_t), "accept: an unnamed peer");
    write(s, "hi", 2);
    OK(read(conn, back, 10) == 2, "data");
    close(conn);
    close(l);
    close(s);
    s = socket(AF_UNIX, SOCK_STREAM, 0);
    FAILS(connect(s, (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED,
          "connect: the server is gone");
    close(s);
    l = socket(AF_UNIX, SOCK_STREAM, 0);
    FAILS(bind(l, (struct sockaddr *)&a, sizeof(a)), EADDRINUSE, "bind: the path exists");
    unlink(a.sun_path);
    len = offsetof(struct sockaddr_un, sun_path) + 5;
    OK(bind(l, (struct sockaddr *)&abs, len) == 0 && listen(l, 1) == 0, "abstract name");
    s = socket(AF_UNIX, SOCK_STREAM, 0);
    OK(connect(s, (struct sockaddr *)&abs, len) == 0, "connect to it");
    close(s);
    close(l);
    int d = socket(AF_UNIX, SOCK_DGRAM, 0), e = socket(AF_UNIX, SOCK_DGRAM, 0);
    bind(d, (struct sockaddr *)&a, sizeof(a));
    OK(sendto(e, "dgram", 5, 0, (struct sockaddr *)&a, sizeof(a)) == 5 && read(d, back, 99) == 5,
       "datagram");
    close(d);
    FAILS(sendto(e, "dgram", 5, 0, (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED,
          "datagram: nobody");
    close(e);
    unlink(a.sun_path);
}

static void file_to_socket(void)
{
    int fd[2], f = open("/proc/self/exe", O_RDONLY);
    struct stat st;
    off_t off = 100;
    tcp_pair(fd);
    fstat(f, &st);
    ssize_t n = sendfile(fd[0], f, &off, 10000);
    OK(n > 0 && off == 100 + n, "sendfile from the root file system");
    OK(recv(fd[1], back, (size_t)n, MSG_WAITALL) == n && pread(f, big, (size_t)n, 100) == n &&
           !memcmp(big, back, (size_t)n),
       "unchanged");
    close(f);
    f = open("/tmp/x", O_RDWR | O_CREAT | O_TRUNC, 0600);
    write(f, big, 5000);
    lseek(f, 0, SEEK_SET);
    OK(sendfile(fd[0], f, NULL, 100000) == 5000, "sendfile from a written file");
    OK(recv(fd[1], back, 5000, MSG_WAITALL) == 5000 && !memcmp(big, back, 5000), "unchanged too");
    close(f);
    close(fd[0]);
    close(fd[1]);
}

static int pass_file(int to, int fd)
{
    union {
        char b[CMSG_SPACE(sizeof(int))];
        struct cmsghdr h;
    } u = {.h = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(4)}};
    char byte = 0;
    struct iovec v = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = u.b, .msg_controllen = sizeof(u.b)};
    memcpy(CMSG_DATA(&u.h), &fd, sizeof(fd));
    return (int)sendmsg(to, &m, 0);
}

// What if closing one socket closes one in its queue, which closes one in its queue, ...?
static void chained_files(void)
{
    int p[2], last[2], end[2], n;
    char c;
    pipe(end);
    socketpair(AF_UNIX, SOCK_STREAM, 0, last);
    pass_file(last[0], end[1]);
    close(end[1]);
    close(last[0]);
    for (n = 0; n < 3000; n++) {
        socketpair(AF_UNIX, SOCK_STREAM, 0, p);
        if (pass_file(p[0], last[1]) != 1)
            break;
        close(last[1]);
        close(p[0]);
        last[1] = p[1];
    }
    OK(n == 3000, "sockets in queues of sockets");
    close(last[1]);
    OK(read(end[0], &c, 1) == 0, "close all of each other");
    close(end[0]);
}

int main(void)
{
    names_and_errors();
    streams();
    readiness();
    datagrams();
    unix_sockets();
    chained_files();
    file_to_socket();
    return tap_end();
}
