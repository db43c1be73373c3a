// SPDX-License-Identifier: ISC
// epoll: level, edge, oneshot, exclusive, nesting, closing; what wakes whom, and when?
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include "tap.h"

static int ep;

static int ctl(int op, int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};
    return epoll_ctl(ep, op, fd, &e);
}

static int wait_for(struct epoll_event *e, int max, int ms)
{
    memset(e, 0, sizeof(*e) * (size_t)max);
    return epoll_wait(ep, e, max, ms);
}

static void basics(void)
{
    struct epoll_event e[4];
    int p[2];
    pipe(p);
    OK(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN) == 0, "add");
    FAILS(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN), EEXIST, "add twice");
    FAILS(ctl(EPOLL_CTL_MOD, p[1], EPOLLIN), ENOENT, "modify what is not there");
    FAILS(ctl(EPOLL_CTL_DEL, p[1], EPOLLIN), ENOENT, "delete what is not there");
    FAILS(ctl(EPOLL_CTL_ADD, 999, EPOLLIN), EBADF, "add no descriptor");
    FAILS(ctl(EPOLL_CTL_ADD, ep, EPOLLIN), EINVAL, "add itself");
    FAILS(epoll_wait(p[0], e, 1, 0), EINVAL, "wait on a pipe");
    FAILS(epoll_wait(ep, e, 0, 0), EINVAL, "no room for events");
    int f = open("/tmp", O_RDONLY);
    FAILS(ctl(EPOLL_CTL_ADD, f, EPOLLIN), EPERM, "a directory cannot be watched");
    close(f);
    OK(wait_for(e, 4, 0) == 0, "nothing yet");
    write(p[1], "xx", 2);
    OK(wait_for(e, 4, -1) == 1 && e[0].events == EPOLLIN && e[0].data.fd == p[0], "readable");
    OK(wait_for(e, 4, 0) == 1, "level: still readable");
    char c;
    read(p[0], &c, 1);
    OK(wait_for(e, 4, 0) == 1, "one byte left");
    read(p[0], &c, 1);
    OK(wait_for(e, 4, 0) == 0, "drained");
    OK(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET) == 0, "edge");
    write(p[1], "x", 1);
    OK(wait_for(e, 4, 0) == 1 && wait_for(e, 4, 0) == 0, "edge: once");
    write(p[1], "x", 1);
    OK(wait_for(e, 4, 0) == 1, "edge: again at new data");
    OK(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT) == 0 && wait_for(e, 4, 0) == 1 &&
           wait_for(e, 4, 0) == 0,
       "oneshot");
    write(p[1], "x", 1);
    OK(wait_for(e, 4, 0) == 0, "oneshot: silent until armed again");
    OK(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT) == 0 && wait_for(e, 4, 0) == 1,
       "armed again");
    ctl(EPOLL_CTL_MOD, p[0], EPOLLIN);
    close(p[1]);
    OK(wait_for(e, 4, 0) == 1 && (e[0].events & (EPOLLIN | EPOLLHUP)) == (EPOLLIN | EPOLLHUP),
       "writer gone: hang-up");
    OK(ctl(EPOLL_CTL_DEL, p[0], 0) == 0 && wait_for(e, 4, 0) == 0, "deleted");
    ctl(EPOLL_CTL_ADD, p[0], EPOLLIN);
    int d = dup(p[0]);
    close(p[0]);
    OK(wait_for(e, 4, 0) == 1, "a duplicate keeps the watch");
    close(d);
    OK(wait_for(e, 4, 0) == 0, "the last close removes it");
}

static void sockets(void)
{
    struct epoll_event e[4];
    int s[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s)) {
        OK(0, "socketpair");
        return;
    }
    ctl(EPOLL_CTL_ADD, s[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    OK(wait_for(e, 4, 0) == 1 && e[0].events == EPOLLOUT, "a socket is writable");
    write(s[1], "x", 1);
    OK(wait_for(e, 4, 0) == 1 && e[0].events == (EPOLLIN | EPOLLOUT), "and readable");
    shutdown(s[1], SHUT_WR);
    OK(wait_for(e, 4, 0) == 1 && (e[0].events & EPOLLRDHUP), "EPOLLRDHUP");
    close(s[1]);
    OK(wait_for(e, 4, 0) == 1 && (e[0].events & EPOLLHUP), "EPOLLHUP");
    close(s[0]);
}

static void fairness(void)
{
    struct epoll_event e[1];
    int fd[8], seen[8] = {0};
    uint64_t one = 1;
    for (int i = 0; i < 8; i++) {
        fd[i] = eventfd(1, EFD_NONBLOCK);
        ctl(EPOLL_CTL_ADD, fd[i], EPOLLIN);
    }
    for (int k = 0; k < 16; k++)
        if (wait_for(e, 1, 0) == 1)
            for (int i = 0; i < 8; i++)
                seen[i] += fd[i] == e[0].data.fd;
    int each = 1;
    for (int i = 0; i < 8; i++) {
        each &= seen[i] == 2;
        close(fd[i]);
    }
    OK(each, "one event at a time: everybody's turn comes");
    int sem = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
    OK(read(sem, &one, 8) == 8 && one == 1, "semaphore eventfd");
    close(sem);
    int ev = eventfd(0, EFD_NONBLOCK);
    FAILS(read(ev, &one, 8), EAGAIN, "eventfd at zero");
    one = UINT64_MAX - 1;
    OK(write(ev, &one, 8) == 8, "eventfd full");
    one = 1;
    FAILS(write(ev, &one, 8), EAGAIN, "eventfd overflow");
    FAILS(read(ev, &one, 4), EINVAL, "short read of an eventfd");
    close(ev);
}

static void nesting(void)
{
    struct epoll_event e[2], in = {.events = EPOLLIN};
    int inner = epoll_create1(0), ev = eventfd(0, 0);
    uint64_t one = 1;
    OK(epoll_ctl(inner, EPOLL_CTL_ADD, ev, &in) == 0 && ctl(EPOLL_CTL_ADD, inner, EPOLLIN) == 0,
       "epoll in epoll");
    OK(wait_for(e, 2, 0) == 0, "inner is silent");
    write(ev, &one, 8);
    OK(wait_for(e, 2, 0) == 1 && e[0].data.fd == inner, "inner has an event");
    struct pollfd p = {.fd = ep, .events = POLLIN};
    OK(poll(&p, 1, 0) == 1 && p.revents == POLLIN, "poll on epoll");
    read(ev, &one, 8);
    OK(wait_for(e, 2, 0) == 0, "and none again");
    FAILS(epoll_ctl(inner, EPOLL_CTL_ADD, ep, &in), ELOOP, "no rings");
    close(inner);
    close(ev);
}

// What if a chain grows at its top or in its middle, where the new link looks short from below?
static void long_chain(void)
{
    enum { N = 400 };
    struct epoll_event e[1], in = {.events = EPOLLIN};
    int chain[N], links = 0, ev = eventfd(1, 0);
    for (int i = 0; i < N; i++)
        chain[i] = epoll_create1(0);
    epoll_ctl(chain[0], EPOLL_CTL_ADD, ev, &in);
    while (links < N - 1 && epoll_ctl(chain[links + 1], EPOLL_CTL_ADD, chain[links], &in) == 0)
        links++;
    OK(links == 4, "five instances deep, built from below");
    OK(epoll_wait(chain[4], e, 1, 0) == 1, "and the event comes up");
    for (links = 0;
         links < 90 && epoll_ctl(chain[100 + links], EPOLL_CTL_ADD, chain[101 + links], &in) == 0;)
        links++;
    OK(links == 4, "and from above");
    epoll_ctl(chain[200], EPOLL_CTL_ADD, chain[201], &in);
    epoll_ctl(chain[201], EPOLL_CTL_ADD, chain[202], &in);
    epoll_ctl(chain[210], EPOLL_CTL_ADD, chain[211], &in);
    epoll_ctl(chain[211], EPOLL_CTL_ADD, chain[212], &in);
    FAILS(epoll_ctl(chain[202], EPOLL_CTL_ADD, chain[210], &in), ELOOP, "and in the middle");
    for (int i = 0; i < N; i++)
        close(chain[i]);
    close(ev);
}

static int wake_fd;
static volatile int woken;

static void *waiter(void *arg)
{
    struct epoll_event e[1];
    int n = epoll_wait(*(int *)arg, e, 1, 3000);
    if (n == 1)
        __atomic_fetch_add(&woken, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void sleep_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

static void exclusive(void)
{
    pthread_t t[4];
    int eps[4];
    uint64_t one = 1;
    wake_fd = eventfd(0, EFD_NONBLOCK);
    for (int i = 0; i < 4; i++) {
        struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE};
        eps[i] = epoll_create1(0);
        epoll_ctl(eps[i], EPOLL_CTL_ADD, wake_fd, &e);
        pthread_create(&t[i], NULL, waiter, &eps[i]);
    }
    sleep_ms(50);
    write(wake_fd, &one, 8);
    sleep_ms(50);
    OK(woken >= 1 && woken < 4, "EPOLLEXCLUSIVE does not wake the whole herd");
    for (int i = 0; i < 4; i++)
        write(wake_fd, &one, 8);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        close(eps[i]);
    }
    close(wake_fd);
    // Several threads on one instance: each event goes to one of them.
    woken = 0;
    int ev[4];
    for (int i = 0; i < 4; i++) {
        ev[i] = eventfd(0, 0);
        ctl(EPOLL_CTL_ADD, ev[i], EPOLLIN | EPOLLET);
        pthread_create(&t[i], NULL, waiter, &ep);
    }
    sleep_ms(50);
    for (int i = 0; i < 4; i++)
        write(ev[i], &one, 8);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        close(ev[i]);
    }
    OK(woken == 4, "four threads, four events");
}

static void alarm_handler(int sig)
{
    (void)sig;
}

static void timing(void)
{
    struct epoll_event e[1];
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    OK(wait_for(e, 1, 50) == 0, "times out");
    clock_gettime(CLOCK_MONOTONIC, &b);
    long ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
    OK(ms >= 50 && ms < 1000, "after its time");
    struct sigaction sa = {.sa_handler = alarm_handler, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &sa, NULL);
    struct itimerval it = {.it_value.tv_usec = 30000};
    setitimer(ITIMER_REAL, &it, NULL);
    FAILS(epoll_wait(ep, e, 1, 2000), EINTR, "a signal interrupts, SA_RESTART or not");
    sigset_t block, empty;
    sigemptyset(&empty);
    sigemptyset(&block);
    sigaddset(&block, SIGALRM);
    sigprocmask(SIG_BLOCK, &block, NULL);
    raise(SIGALRM);
    OK(wait_for(e, 1, 0) == 0, "a blocked signal does not");
    FAILS(epoll_pwait(ep, e, 1, 2000, &empty), EINTR, "epoll_pwait lets it in");
    sigprocmask(SIG_BLOCK, NULL, &empty);
    OK(sigismember(&empty, SIGALRM) == 1, "and blocks it again");
}

int main(void)
{
    ep = epoll_create1(EPOLL_CLOEXEC);
    OK(ep >= 0 && fcntl(ep, F_GETFD) == FD_CLOEXEC, "epoll_create1");
    basics();
    sockets();
    fairness();
    nesting();
    long_chain();
    exclusive();
    timing();
    return tap_end();
}
