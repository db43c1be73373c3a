// SPDX-License-Identifier: ISC
// Where the measuring happens: namespaces that end with the driver, a veth pair to the native
// servers, a tap to the instances, and a core for either side.
#include "bench/bench.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

char world_native_ns[64];
static int native_ns = -1, own_ns = -1;
static pid_t driver; // seen from the process that waits outside

int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// Seconds that a core was not idle since the machine started, interrupts of all kinds included.
double core_busy_s(int core)
{
    char text[8192], label[16], *at;
    unsigned long field[8] = {0}; // user nice system idle iowait irq softirq steal
    int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    text[n < 0 ? 0 : n] = 0;
    snprintf(label, sizeof(label), "\ncpu%d ", core);
    at = strstr(text, label);
    if (at == NULL)
        return 0;
    at += strlen(label);
    for (int i = 0; i < 8; i++)
        field[i] = strtoul(at, &at, 10);
    return (double)(field[0] + field[1] + field[2] + field[5] + field[6]) /
           (double)sysconf(_SC_CLK_TCK);
}

void pin(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof(set), &set); // a machine with one core has only that
}

static int shell(const char *command)
{
    int status = system(command);
    if (status != 0)
        fprintf(stderr, "bench: failed: %s\n", command);
    return status == 0 ? 0 : -1;
}

static int make_wires(void)
{
    char command[1024];
    own_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (own_ns < 0 || unshare(CLONE_NEWNET) < 0)
        return -1;
    native_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (native_ns < 0 || shell("ip link set lo up") < 0 || setns(own_ns, CLONE_NEWNET) < 0)
        return -1;
    snprintf(world_native_ns, sizeof(world_native_ns), "/proc/%d/fd/%d", getpid(), native_ns);
    snprintf(command, sizeof(command),
             "ip link set lo up && ip link add veth0 type veth peer name veth1 netns %s &&"
             "ip addr add 10.43.0.1/24 dev veth0 && ip link set veth0 up &&"
             "nsenter --net=%s sh -c 'ip addr add " NATIVE_IP
             "/24 dev veth1; ip link set veth1 up' &&"
             "ip tuntap add " TAP " mode tap vnet_hdr && ip addr add " HOST_IP "/24 dev " TAP
             " && ip link set " TAP " up &&"
             "ip neigh replace " INSTANCE_IP " lladdr " MAC " dev " TAP " nud permanent",
             world_native_ns, world_native_ns);
    if (shell(command) < 0)
        return -1;
    // Many short connections from one address.
    return shell("echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse;"
                 "echo '10000 65000' >/proc/sys/net/ipv4/ip_local_port_range");
}

static void pass_on(int number)
{
    if (number == SIGALRM)
        dprintf(2, "bench: not done within %d s: ended\n", options.limit_s);
    kill(driver, SIGKILL); // and with it, everything in its namespace
    _exit(128 + number);
}

int world_enter(void)
{
    int status;
    if (geteuid() != 0) {
        fprintf(stderr, "bench: makes network namespaces and taps, so it needs root\n");
        return -1;
    }
    if (unshare(CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWNS) < 0) {
        perror("bench: no namespaces here");
        return -1;
    }
    driver = fork();
    if (driver < 0)
        return -1;
    if (driver > 0) {
        signal(SIGINT, pass_on);
        signal(SIGTERM, pass_on);
        signal(SIGHUP, pass_on);
        signal(SIGALRM, pass_on);
        alarm((unsigned)options.limit_s);
        prctl(PR_SET_PDEATHSIG, SIGTERM); // make is gone
        while (waitpid(driver, &status, 0) < 0 && errno == EINTR)
            continue;
        exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("proc", "/proc", "proc", 0, NULL) < 0) {
        perror("bench: /proc of the new namespace");
        return -1;
    }
    pin(CLIENT_CORE);
    return make_wires();
}

const char *world_missing(enum platform platform)
{
    static char info[4096];
    if (platform == NATIVE)
        return NULL;
    if (info[0] == 0) {
        struct command c = {0};
        command_add(&c, "%s/build/bin/lith", options.tree);
        command_add(&c, "info");
        if (capture(c.argv, CLIENT_CORE, false, 30, info, sizeof(info)) != 0)
            return "`lith info` fails";
    }
    if (platform == KVM)
        return strstr(info, "KVM:           works") ? NULL
                                                    : "`lith info` says that KVM does not work";
    if (platform == PROCESS)
        return strstr(info, "Process:       works")
                   ? NULL
                   : "`lith info` knows no working process machine";
    if (access("/usr/bin/qemu-system-x86_64", X_OK) != 0)
        return "no qemu-system-x86_64";
    if (platform == LINUX_GUEST) {
        char path[512];
        snprintf(path, sizeof(path), "%s/linux/initrd", options.out);
        if (access(path, R_OK) != 0)
            return "no Linux guest (bench/prepare.sh linux-guest said why)";
    }
    return NULL;
}

// ---- the network, seen by the client ----

bool tcp_answers(const char *address, int port, int limit_ms)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    struct pollfd p = {.events = POLLOUT};
    int error = 1;
    socklen_t len = sizeof(error);
    inet_pton(AF_INET, address, &to.sin_addr);
    p.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p.fd < 0)
        return false;
    if (connect(p.fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        error = 0;
    else if (errno == EINPROGRESS && poll(&p, 1, limit_ms) == 1)
        getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &error, &len);
    setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(p.fd);
    return error == 0;
}

static bool tap_carrier(const char *tap)
{
    struct ifreq ifr = {0};
    struct ethtool_value link = {.cmd = ETHTOOL_GLINK};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up;
    snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", tap);
    ifr.ifr_data = (char *)&link;
    up = ioctl(fd, SIOCETHTOOL, &ifr) == 0 && link.data;
    close(fd);
    return up;
}

void tap_wait(const char *tap, bool carrier, double limit_s)
{
    int64_t end = now_ns() + (int64_t)(limit_s * 1e9);
    while (tap_carrier(tap) != carrier && now_ns() < end)
        usleep(5000);
}

// ---- commands ----

void command_add(struct command *command, const char *format, ...)
{
    va_list args;
    size_t room = sizeof(command->text) - command->used;
    va_start(args, format);
    int n = vsnprintf(command->text + command->used, room, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= room || command->argc + 1 >= ARGS_MAX)
        abort(); // ours are short
    command->argv[command->argc++] = command->text + command->used;
    command->argv[command->argc] = NULL;
    command->used += (size_t)n + 1;
}

void command_words(struct command *command, const char *words)
{
    while (*words) {
        size_t n = strcspn(words, " ");
        command_add(command, "%.*s", (int)n, words);
        words += n + (words[n] == ' ');
    }
}

void command_instance(struct command *command, enum platform platform, const char *tap,
                      const char *address, const char *image, const char *argv)
{
    command_add(command, "%s/build/bin/lith", options.tree);
    command_words(command, "run --platform");
    command_words(command, platform_names[platform]);
    command_add(command, "--net");
    if (tap) {
        command_add(command, "tap:%s", tap);
        command_add(command, "--ip");
        command_add(command, "%s/24", address);
        command_add(command, "--gateway");
        command_add(command, "%.*s.1", (int)(strrchr(address, '.') - address), address);
        if (strcmp(tap, TAP) == 0)
            command_words(command, "--mac-address " MAC);
    } else {
        command_add(command, "none");
    }
    command_words(command, image);
    if (argv)
        command_words(command, argv);
}

void command_linux_guest(struct command *command, const char *tap, const char *argv)
{
    command_words(command,
                  "qemu-system-x86_64 -M q35 -accel tcg -cpu max -m 256M -smp 1 -display none");
    command_words(command,
                  "-serial stdio -monitor none -nodefaults -no-user-config -no-reboot -kernel");
    command_add(command, "%s/linux/vmlinuz", options.out);
    command_add(command, "-initrd");
    command_add(command, "%s/linux/initrd", options.out);
    if (tap) {
        command_add(command, "-netdev");
        command_add(command, "tap,id=n0,ifname=%s,script=no,downscript=no,vhost=off", tap);
        command_words(command, "-device virtio-net-pci,netdev=n0,romfile=,mac=" MAC);
    }
    command_add(command, "-append");
    command_add(command, "console=ttyS0 quiet panic=-1 tsc=reliable -- %s", argv);
}

pid_t spawn(char *const argv[], int core, bool inside, const char *log, int *out)
{
    int ends[2] = {-1, -1};
    pid_t pid;
    if (out && pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR), to = ends[1];
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!out)
            to = open(log ? log : "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (inside && setns(native_ns, CLONE_NEWNET) < 0)
            _exit(126);
        pin(core);
        dup2(null, 0);
        dup2(to, 1);
        dup2(to, 2);
        execvp(argv[0], argv);
        dprintf(2, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    if (out) {
        close(ends[1]);
        *out = ends[0];
    }
    return pid;
}

void end_process(pid_t pid, double patience_s)
{
    int64_t end = now_ns() + (int64_t)(patience_s * 1e9);
    kill(pid, SIGTERM);
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (now_ns() > end)
            kill(pid, SIGKILL);
        usleep(2000);
    }
}

int capture(char *const argv[], int core, bool inside, double limit_s, char *text, size_t size)
{
    int64_t end = now_ns() + (int64_t)(limit_s * 1e9);
    struct pollfd p = {.events = POLLIN};
    int status = -1;
    size_t used = 0;
    pid_t pid = spawn(argv, core, inside, NULL, &p.fd);
    if (pid < 0)
        return -1;
    for (;;) {
        int64_t left_ms = (end - now_ns()) / 1000000;
        char more[4096];
        ssize_t n;
        if (left_ms <= 0)
            break;
        if (poll(&p, 1, (int)left_ms) <= 0)
            continue;
        n = read(p.fd, more, sizeof(more));
        if (n <= 0)
            break;
        if ((size_t)n > size - 1 - used)
            n = (ssize_t)(size - 1 - used);
        memcpy(text + used, more, (size_t)n);
        used += (size_t)n;
    }
    text[used] = 0;
    close(p.fd);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (now_ns() > end + 1000000000) {
            end_process(pid, 0);
            return -1;
        }
        usleep(500);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
