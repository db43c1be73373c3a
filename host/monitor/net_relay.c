// SPDX-License-Identifier: ISC
// Between a process machine and passt: a process of its own that passes frames on, but none to the
// host's loopback network (net_passt.c says why). It ends with either side.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "monitor/monitor.h"

#define FRAME_MAX 65535u
#define BUFFER    (192u * 1024) // more than two frames

// Bytes [start, ready) may be written, [ready, end) are not looked at yet.
struct stream {
    uint32_t start, ready, end;
    uint8_t bytes[BUFFER];
};
static struct stream to_host, to_guest;

// False: that side has ended.
static bool fill(struct stream *s, int fd)
{
    if (s->start) {
        memmove(s->bytes, s->bytes + s->start, s->end - s->start);
        s->ready -= s->start;
        s->end -= s->start;
        s->start = 0;
    }
    ssize_t n = read(fd, s->bytes + s->end, BUFFER - s->end);
    if (n > 0)
        s->end += (uint32_t)n;
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static bool drain(struct stream *s, int fd)
{
    ssize_t n = write(fd, s->bytes + s->start, s->ready - s->start);
    if (n > 0)
        s->start += (uint32_t)n;
    return n >= 0 || errno == EAGAIN || errno == EINTR;
}

// Looks at whole frames; takes out those that are not allowed. False: this is no stream of frames.
static bool check_frames(struct stream *s)
{
    while (s->end - s->ready >= 4) {
        uint32_t len;
        memcpy(&len, s->bytes + s->ready, 4);
        len = ntohl(len);
        if (len > FRAME_MAX)
            return false;
        if (s->end - s->ready < 4 + len)
            break;
        if (net_frame_to_loopback(s->bytes + s->ready + 4, len)) {
            s->end -= 4 + len;
            memmove(s->bytes + s->ready, s->bytes + s->ready + 4 + len, s->end - s->ready);
        } else {
            s->ready += 4 + len;
        }
    }
    return true;
}

void net_relay(int guest, int host)
{
    to_host.start = to_host.ready = to_host.end = 0;
    to_guest.start = to_guest.ready = to_guest.end = 0;
    for (;;) {
        bool room = BUFFER - (to_host.end - to_host.start) > 0;
        bool out = to_host.ready > to_host.start, in = to_guest.ready > to_guest.start;
        struct pollfd fds[2] = {
            {.fd = guest, .events = (short)((room ? POLLIN : 0) | (in ? POLLOUT : 0))},
            {.fd = host, .events = (short)((in ? 0 : POLLIN) | (out ? POLLOUT : 0))},
        };
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return;
        const short end = POLLIN | POLLHUP | POLLERR;
        if (room && (fds[0].revents & end) && (!fill(&to_host, guest) || !check_frames(&to_host)))
            return;
        if (!in && (fds[1].revents & end) && !fill(&to_guest, host))
            return;
        to_guest.ready = to_guest.end;
        if ((to_host.ready > to_host.start && !drain(&to_host, host)) ||
            (to_guest.ready > to_guest.start && !drain(&to_guest, guest)))
            return;
    }
}

static void close_sandbox(void)
{
    sandbox_drop_privileges();
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 6),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_poll, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
        _exit(EXIT_MONITOR);
}

void net_relay_start(struct net_backend *backend)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        fatal("socketpair: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        fatal("fork: %s", strerror(errno));
    if (pid > 0) {
        close(pair[1]);
        close(backend->fd);
        backend->fd = pair[0];
        return;
    }
    // Signals are the instance's; this process ends when the instance has.
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT};
    for (unsigned i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    prctl(PR_SET_NAME, "lith-relay", 0, 0, 0);
    if (dup3(pair[1], 200, 0) < 0 || dup3(backend->fd, 201, 0) < 0 || dup3(200, 0, 0) < 0 ||
        dup3(201, 1, 0) < 0 || syscall(SYS_close_range, 2u, ~0u, 0) != 0)
        _exit(EXIT_MONITOR);
    close_sandbox();
    net_relay(0, 1);
    _exit(0);
}
