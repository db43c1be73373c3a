// SPDX-License-Identifier: ISC
// poll, ppoll, select, pselect: readiness, bad descriptors, time limits, signal masks.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>
#include "tap.h"

static int p[2];
static void *volatile bad_pointer = (void *)16;

static long elapsed_ms(const struct timespec *a)
{
    struct timespec b;
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (b.tv_sec - a->tv_sec) * 1000 + (b.tv_nsec - a->tv_nsec) / 1000000;
}

static void *writer(void *arg)
{
    struct timespec t = {0, 30000000};
    nanosleep(&t, NULL);
    write(p[1], "x", 1);
    return arg;
}

static void polling(void)
{
    struct pollfd f[40];
    struct timespec a;
    pthread_t t;
    char c;
    f[0] = (struct pollfd){.fd = p[0], .events = POLLIN};
    f[1] = (struct pollfd){.fd = p[1], .events = POLLOUT};
    f[2] = (struct pollfd){.fd = 999, .events = POLLIN};
    f[3] = (struct pollfd){.fd = -1, .events = POLLIN, .revents = 7};
    OK(poll(f, 4, 0) == 2 && f[0].revents == 0 && f[1].revents == POLLOUT &&
           f[2].revents == POLLNVAL && f[3].revents == 0,
       "poll of four");
    clock_gettime(CLOCK_MONOTONIC, &a);
    OK(poll(f, 1, 40) == 0 && elapsed_ms(&a) >= 40, "times out");
    OK(poll(NULL, 0, 10) == 0, "poll of nothing");
    pthread_create(&t, NULL, writer, NULL);
    OK(poll(f, 1, -1) == 1 && f[0].revents == POLLIN, "woken by another thread");
    pthread_join(t, NULL);
    read(p[0], &c, 1);
    for (int i = 0; i < 40; i++)
        f[i] = (struct pollfd){.fd = p[0], .events = POLLIN};
    pthread_create(&t, NULL, writer, NULL);
    OK(poll(f, 40, -1) == 40, "the same file forty times");
    pthread_join(t, NULL);
    read(p[0], &c, 1);
    int fd = open("/dev/null", O_RDWR);
    f[0] = (struct pollfd){.fd = fd, .events = POLLIN | POLLOUT};
    OK(poll(f, 1, -1) == 1 && f[0].revents == (POLLIN | POLLOUT),
       "what cannot be waited for is always ready");
    close(fd);
    FAILS(poll(bad_pointer, 1, 0), EFAULT, "bad pointer");
    struct timespec bad = {0, 2000000000};
    FAILS(ppoll(f, 1, &bad, NULL), EINVAL, "ppoll with too many nanoseconds");
}

static void selecting(void)
{
    fd_set in, out;
    struct timeval tv = {0, 30000};
    struct timespec a;
    char c;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(p[0], &in);
    FD_SET(p[1], &out);
    OK(select(p[1] + 1, &in, &out, NULL, NULL) == 1 && !FD_ISSET(p[0], &in) && FD_ISSET(p[1], &out),
       "select");
    FD_SET(p[0], &in);
    clock_gettime(CLOCK_MONOTONIC, &a);
    OK(select(p[0] + 1, &in, NULL, NULL, &tv) == 0 && elapsed_ms(&a) >= 30 && !FD_ISSET(p[0], &in),
       "times out");
    OK(tv.tv_sec == 0 && tv.tv_usec == 0, "the time that is left");
    write(p[1], "x", 1);
    FD_SET(p[0], &in);
    FD_SET(p[1], &out);
    OK(select(p[1] + 1, &in, &out, NULL, NULL) == 2, "both");
    read(p[0], &c, 1);
    FD_ZERO(&in);
    int gone = dup(p[0]);
    FD_SET(gone, &in);
    close(gone);
    FAILS(select(gone + 1, &in, NULL, NULL, &tv), EBADF, "a bit for no descriptor");
    FAILS(select(-1, NULL, NULL, NULL, &tv), EINVAL, "negative count");
    tv = (struct timeval){0, 10000};
    OK(select(0, NULL, NULL, NULL, &tv) == 0, "select as a clock");
}

static volatile int alarms;
static void on_alarm(int sig)
{
    (void)sig;
    alarms++;
}

static void masks(void)
{
    sigset_t block, empty, now;
    struct sigaction sa = {.sa_handler = on_alarm};
    struct timespec two = {2, 0};
    struct pollfd f = {.fd = p[0], .events = POLLIN};
    fd_set in;
    sigemptyset(&empty);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigaction(SIGUSR1, &sa, NULL);
    sigprocmask(SIG_BLOCK, &block, NULL);
    raise(SIGUSR1);
    FAILS(ppoll(&f, 1, &two, &empty), EINTR, "ppoll lets a blocked signal in");
    OK(alarms == 1, "once");
    sigprocmask(SIG_BLOCK, NULL, &now);
    OK(sigismember(&now, SIGUSR1) == 1, "and puts the mask back");
    raise(SIGUSR1);
    FD_ZERO(&in);
    FD_SET(p[0], &in);
    FAILS(pselect(p[0] + 1, &in, NULL, NULL, &two, &empty), EINTR, "pselect too");
    OK(alarms == 2, "once more");
    write(p[1], "x", 1);
    OK(ppoll(&f, 1, &two, &empty) == 1, "ready: no signal needed");
    sigprocmask(SIG_BLOCK, NULL, &now);
    OK(sigismember(&now, SIGUSR1) == 1, "the mask is back then, too");

    struct signalfd_siginfo info;
    int sfd = signalfd(-1, &block, SFD_NONBLOCK);
    FAILS(read(sfd, &info, sizeof(info)), EAGAIN, "signalfd: nothing pending");
    raise(SIGUSR1);
    f.fd = sfd;
    OK(poll(&f, 1, 0) == 1 && f.revents == POLLIN, "signalfd is readable");
    OK(read(sfd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR1,
       "and gives the signal");
    OK(poll(&f, 1, 0) == 0 && alarms == 2, "which is gone then");
    close(sfd);
}

int main(void)
{
    OK(pipe(p) == 0, "a pipe");
    polling();
    selecting();
    masks();
    return tap_end();
}
