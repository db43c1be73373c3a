// SPDX-License-Identifier: ISC
// Measures the time from exec of a command to the first byte of its HTTP answer.
//
//   first_byte [-n RUNS] [-t TAP] [-c CORE] [-N NETNS] [-v] ADDR PORT COMMAND [ARG...]
//
// Prints "MEDIAN MIN MAX" in milliseconds (-v: each run on stderr too). The command is ended by
// SIGTERM after each run. CORE and NETNS (a file) are the command's, not ours.
//
// A connection that is refused is tried again after 100 us. One that gets no answer is left to its
// fate only when its frame cannot have been seen: TAP names the interface that leads to the
// instance, whose counter of frames taken tells (a frame waits in the tap's queue till the
// instance's network is up, so trying every millisecond would only fill that queue).
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <net/if.h>

#define RUNS_MAX     1000
#define LIMIT_MS     30000 // for one run
#define PATIENCE_MS  1     // for an answer to a SYN that was taken
#define STALE_MS     300   // for an answer where nothing tells whether it was taken
#define PAUSE_US     100   // behind a refusal
#define END_GRACE_MS 12000

static const char *tap;
static int taken_fd = -1, control_fd = -1;
static int core = -1, own_ns = -1, command_ns = -1;
static struct sockaddr_in address;
extern char **environ;

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void pause_us(unsigned us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000l}, NULL);
}

// Frames that the monitor took from the tap so far: "transmitted" in /proc/net/dev, the tenth
// figure behind the name.
static unsigned long frames_taken(void)
{
    char text[4096], label[24], *at;
    ssize_t n = pread(taken_fd, text, sizeof(text) - 1, 0);
    if (n <= 0)
        return 0;
    text[n] = 0;
    // Names are right-aligned in six columns: a longer one has no space before it.
    snprintf(label, sizeof(label), "%.15s:", tap);
    at = strstr(text, label);
    while (at != NULL && at > text && at[-1] != ' ' && at[-1] != '\n')
        at = strstr(at + 1, label);
    if (at == NULL)
        return 0;
    at += strlen(label);
    for (int i = 0; i < 9; i++)
        strtoul(at, &at, 10);
    return strtoul(at, &at, 10);
}

// A tap without a monitor behind it loses what it is given. The interface's flag says so up to a
// second late (the kernel's linkwatch), its carrier at once.
static bool tap_ready(void)
{
    struct ifreq ifr = {0};
    struct ethtool_value link = {.cmd = ETHTOOL_GLINK};
    if (tap == NULL)
        return true;
    strncpy(ifr.ifr_name, tap, sizeof(ifr.ifr_name) - 1);
    if (ioctl(control_fd, SIOCGIFFLAGS, &ifr) != 0 || !(ifr.ifr_flags & IFF_RUNNING))
        return false;
    ifr.ifr_data = (char *)&link;
    return ioctl(control_fd, SIOCETHTOOL, &ifr) == 0 && link.data;
}

// Waits till `fd` is ready, the frame was taken in vain, or the time is up.
static bool wait_ready(int fd, short events, unsigned long taken_before, int64_t end_ns)
{
    int64_t seen_ns = 0, stale_ns = now_ns() + STALE_MS * 1000000ll;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        if (poll(&p, 1, 1) > 0)
            return true;
        int64_t now = now_ns();
        if (now >= end_ns || (tap == NULL && now >= stale_ns))
            return false;
        if (tap != NULL && seen_ns == 0 && frames_taken() > taken_before)
            seen_ns = now;
        // Connected already, or taken and not answered.
        if (seen_ns != 0 && (events & POLLOUT) && now - seen_ns >= PATIENCE_MS * 1000000ll)
            return false;
    }
}

// One try. True when a byte of the answer came.
static bool try_once(int64_t end_ns)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    char byte;
    bool got = false;
    int error = 0, one = 1;
    socklen_t len = sizeof(error);
    unsigned long taken = tap ? frames_taken() : 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS)
        goto out;
    if (!wait_ready(fd, POLLOUT, taken, end_ns) ||
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error)
        goto out;
    if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != sizeof(request) - 1)
        goto out;
    got = wait_ready(fd, POLLIN, 0, end_ns) && recv(fd, &byte, 1, 0) == 1;
out:
    if (!got)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    return got;
}

static void end_command(pid_t pid)
{
    int64_t end_ns = now_ns() + END_GRACE_MS * 1000000ll;
    kill(pid, SIGTERM);
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (now_ns() > end_ns)
            kill(pid, SIGKILL);
        pause_us(1000);
    }
}

// The command starts with our core and network namespace: they are changed for that long.
static void dress(bool as_command, cpu_set_t *own)
{
    cpu_set_t its;
    CPU_ZERO(&its);
    if (core >= 0) {
        CPU_SET(core, &its);
        if (as_command)
            sched_getaffinity(0, sizeof(*own), own);
        sched_setaffinity(0, sizeof(its), as_command ? &its : own);
    }
    if (command_ns >= 0 && setns(as_command ? command_ns : own_ns, CLONE_NEWNET) < 0)
        die("setns");
}

static double run_once(char *argv[])
{
    posix_spawn_file_actions_t actions;
    cpu_set_t own;
    pid_t pid;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, 2, 1);
    dress(true, &own);
    int64_t start = now_ns(), end_ns = start + LIMIT_MS * 1000000ll, first;
    int error = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    dress(false, &own);
    errno = error;
    if (errno)
        die(argv[0]);
    posix_spawn_file_actions_destroy(&actions);
    for (;;) {
        bool got = tap_ready() && try_once(end_ns);
        first = now_ns();
        if (got)
            break;
        if (first > end_ns) {
            end_command(pid);
            fprintf(stderr, "first_byte: no answer within %d s\n", LIMIT_MS / 1000);
            exit(1);
        }
        if (waitpid(pid, NULL, WNOHANG) == pid) {
            fprintf(stderr, "first_byte: %s ended before it answered\n", argv[0]);
            exit(1);
        }
        pause_us(PAUSE_US);
    }
    end_command(pid);
    return (double)(first - start) / 1e6;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char *argv[])
{
    static double ms[RUNS_MAX];
    bool verbose = false;
    int runs = 10, option;
    while ((option = getopt(argc, argv, "+n:t:c:N:v")) != -1) {
        if (option == 'n')
            runs = atoi(optarg);
        else if (option == 't')
            tap = optarg;
        else if (option == 'c')
            core = atoi(optarg);
        else if (option == 'N')
            command_ns = open(optarg, O_RDONLY | O_CLOEXEC);
        else if (option == 'v')
            verbose = true;
        else
            return 2;
    }
    address.sin_family = AF_INET;
    if (argc - optind < 3 || runs < 1 || runs > RUNS_MAX ||
        inet_pton(AF_INET, argv[optind], &address.sin_addr) != 1) {
        fprintf(stderr, "usage: first_byte [-n RUNS] [-t TAP] [-c CORE] [-N NETNS] [-v] ADDR PORT "
                        "COMMAND [ARG...]\n");
        return 2;
    }
    address.sin_port = htons((uint16_t)atoi(argv[optind + 1]));
    own_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (tap != NULL) {
        taken_fd = open("/proc/net/dev", O_RDONLY | O_CLOEXEC);
        control_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (taken_fd < 0 || control_fd < 0)
            die("/proc/net/dev");
    }
    for (int i = 0; i < runs; i++) {
        ms[i] = run_once(argv + optind + 2);
        if (verbose)
            fprintf(stderr, "run %d: %.2f ms\n", i + 1, ms[i]);
        pause_us(100000); // what the last run left behind ends first
    }
    qsort(ms, (size_t)runs, sizeof(ms[0]), compare);
    double median = runs % 2 ? ms[runs / 2] : (ms[runs / 2 - 1] + ms[runs / 2]) / 2;
    printf("%.2f %.2f %.2f\n", median, ms[0], ms[runs - 1]);
    return 0;
}
