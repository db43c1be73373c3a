// SPDX-License-Identifier: ISC
// What single kernel calls cost: the same program natively and in an image.
//
//   calls SECONDS       prints "call-NAME NANOSECONDS" lines: for each kind the best (smallest
//                       mean) of ten rounds of SECONDS / 10
//   calls first         writes one line as the first thing in main(): for the time from exec
#include <linux/futex.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS      10
#define BATCH_NS    200000 // the clock is looked at about this often
#define TOUCH_PAGES 16
#define PAGE        4096

static int zero_fd, ping[2], pong[2];
static uint32_t nobody_waits;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void null(void)
{
    getppid();
}

static void read_zero(void)
{
    char byte;
    if (read(zero_fd, &byte, 1) != 1)
        die("/dev/zero");
}

static void futex_wake(void)
{
    if (syscall(SYS_futex, &nobody_waits, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) != 0)
        die("futex");
}

static void *echo(void *unused)
{
    char byte;
    while (read(ping[0], &byte, 1) == 1 && write(pong[1], &byte, 1) == 1)
        continue;
    return unused;
}

// To the other thread and back: four calls, two switches.
static void pipe_round_trip(void)
{
    char byte = 0;
    if (write(ping[1], &byte, 1) != 1 || read(pong[0], &byte, 1) != 1)
        die("pipe");
}

static void mmap_touch(void)
{
    volatile char *at =
        mmap(NULL, TOUCH_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        die("mmap");
    for (size_t i = 0; i < TOUCH_PAGES; i++)
        at[i * PAGE] = 1;
    munmap((void *)(uintptr_t)at, TOUCH_PAGES * PAGE);
}

static void *nothing(void *unused)
{
    return unused;
}

static void thread_create(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
        die("thread");
}

static const struct {
    const char *name;
    void (*call)(void);
} kinds[] = {
    {"call-null", null},
    {"call-read-zero", read_zero},
    {"call-futex-wake", futex_wake},
    {"call-pipe", pipe_round_trip},
    {"call-mmap-touch", mmap_touch},
    {"call-thread-create", thread_create},
};

// Nanoseconds per call in one round.
static double round_ns(void (*call)(void), double length_ns, unsigned long batch)
{
    double start = now_ns(), now;
    unsigned long calls = 0;
    do {
        for (unsigned long i = 0; i < batch; i++)
            call();
        calls += batch;
        now = now_ns();
    } while (now - start < length_ns);
    return (now - start) / (double)calls;
}

int main(int argc, char *argv[])
{
    double length_ns;
    pthread_t thread;

    if (argc == 2 && strcmp(argv[1], "first") == 0)
        return write(1, "main\n", 5) != 5;
    length_ns = argc == 2 ? atof(argv[1]) * 1e9 / ROUNDS : 0;
    if (!(length_ns > 0)) {
        fputs("usage: calls SECONDS | calls first\n", stderr);
        return 2;
    }
    zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    if (zero_fd < 0 || pipe(ping) < 0 || pipe(pong) < 0 ||
        pthread_create(&thread, NULL, echo, NULL) != 0)
        die("calls");
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        double each = round_ns(kinds[k].call, BATCH_NS, 1), best = each; // warm, and how many fit
        for (int r = 0; r < ROUNDS; r++) {
            double ns = round_ns(kinds[k].call, length_ns, 1 + (unsigned long)(BATCH_NS / each));
            if (ns < best)
                best = ns;
        }
        printf("%s %.2f\n", kinds[k].name, best);
        fflush(stdout);
    }
    return 0;
}
