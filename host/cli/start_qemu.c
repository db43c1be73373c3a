// SPDX-License-Identifier: ISC
// Runs an instance under QEMU's microvm machine, where KVM is not usable or on demand. We stay as
// QEMU's parent: copy the guest's console (first serial port) to stdout, take its exit status from
// the control channel (second serial port, 0x2f8: lines `exit N`), and pass signals down on it ('T'
// for SIGTERM, 'I' for SIGINT; 10 seconds later the machine is switched off).
//
// The guest is hostile: control lines are short, a status is one decimal number up to 255, and
// anything else on the channel is thrown away.
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/stats.h"

#define GRACE_MS      10000
#define REPEAT_MS     100
#define ARGS_MAX      64
#define MIB           (1ull << 20)
#define STATUS_KILLED (128 + SIGKILL)

struct machine {
    pid_t pid, passt;              // passt: 0 when it has ended or there is none
    int console, control, signals; // -1 when closed
    char line[32];
    size_t line_len;     // sizeof(line) = the line is too long, skip to its end
    int status;          // what the guest said, -1: nothing yet
    int64_t deadline_ms; // when a guest that was asked to end is switched off; 0: not asked
    bool killed;
    bool net_lost; // passt gave up while the program ran
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void control_line(struct machine *m)
{
    uint64_t status;
    m->line[m->line_len] = 0;
    if (strncmp(m->line, "exit ", 5) == 0 && parse_uint(m->line + 5, 0, 255, &status) == 0)
        m->status = (int)status;
}

static void control_read(struct machine *m)
{
    char chunk[256];
    ssize_t n = read(m->control, chunk, sizeof(chunk));
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
        close(m->control);
        m->control = -1;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (chunk[i] == '\n' || chunk[i] == '\r') {
            if (m->line_len < sizeof(m->line))
                control_line(m);
            m->line_len = 0;
        } else if (m->line_len + 1 < sizeof(m->line)) {
            m->line[m->line_len++] = chunk[i];
        } else {
            m->line_len = sizeof(m->line);
        }
    }
}

static void console_read(struct machine *m)
{
    char chunk[16384];
    ssize_t n = read(m->console, chunk, sizeof(chunk));
    if (n > 0 && write_all(STDOUT_FILENO, chunk, (size_t)n) == 0)
        return;
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    // Nobody reads us any more, or QEMU has ended.
    close(m->console);
    m->console = -1;
}

static void machine_kill(struct machine *m)
{
    if (!m->killed)
        kill(m->pid, SIGKILL);
    m->killed = true;
}

static void signal_read(struct machine *m)
{
    struct signalfd_siginfo info;
    if (read(m->signals, &info, sizeof(info)) != sizeof(info) || info.ssi_signo == SIGCHLD)
        return;
    if (m->deadline_ms != 0) { // once more means at once; but a terminal and a shell may mean one
        if (now_ms() - (m->deadline_ms - GRACE_MS) >= REPEAT_MS)
            m->deadline_ms = now_ms();
        return;
    }
    char c = info.ssi_signo == SIGINT ? 'I' : 'T';
    if (m->control >= 0)
        (void)!write(m->control, &c, 1);
    if (m->deadline_ms == 0)
        m->deadline_ms = now_ms() + GRACE_MS;
}

// passt ends by itself with status 0 when the machine has gone. Anything else leaves a program
// that nobody reaches (a port taken since ports_check, passt killed): the instance ends, too.
static void passt_watch(struct machine *m)
{
    int wstatus;
    if (m->passt == 0 || waitpid(m->passt, &wstatus, WNOHANG) != m->passt)
        return;
    m->passt = 0;
    if (wstatus == 0 || m->killed)
        return;
    m->net_lost = true;
    machine_kill(m);
}

// Serves the machine until it has ended. Returns QEMU's wait status.
static int machine_serve(struct machine *m)
{
    int wstatus = 0;
    for (;;) {
        int timeout = -1;
        if (m->deadline_ms != 0 && !m->killed) {
            int64_t left = m->deadline_ms - now_ms();
            timeout = left > 0 ? (int)left : 0;
        }
        struct pollfd p[3] = {{.fd = m->console, .events = POLLIN},
                              {.fd = m->control, .events = POLLIN},
                              {.fd = m->signals, .events = POLLIN}};
        int n = poll(p, 3, timeout);
        if (n == 0) {
            fprintf(stderr, "lith: the program did not end by the signal: stopped by force\n");
            machine_kill(m);
        }
        if (n > 0 && p[0].revents)
            console_read(m);
        if (n > 0 && p[1].revents)
            control_read(m);
        if (n > 0 && p[2].revents)
            signal_read(m);
        // The status is the guest's last word: what it printed before is on its way already.
        if (m->status >= 0)
            machine_kill(m);
        if (waitpid(m->pid, &wstatus, WNOHANG) == m->pid)
            break;
        passt_watch(m);
    }
    while (m->console >= 0)
        console_read(m);
    while (m->control >= 0)
        control_read(m);
    return wstatus;
}

static int machine_status(const struct machine *m, int wstatus)
{
    if (m->status >= 0)
        return m->status;
    if (m->net_lost) {
        fprintf(stderr, "lith: passt, the user network, has ended: was a port of -p taken by "
                        "another program meanwhile?\n");
        return EXIT_TOOL;
    }
    if (m->killed)
        return STATUS_KILLED;
    if (WIFSIGNALED(wstatus))
        fprintf(stderr, "lith: QEMU was ended by signal %d before the program ended\n",
                WTERMSIG(wstatus));
    else
        fprintf(stderr,
                "lith: QEMU ended (status %d) before the program did: the machine was reset or "
                "could not start; "
                "its last messages are above\n",
                WEXITSTATUS(wstatus));
    return EXIT_TOOL;
}

struct qemu_args {
    char *v[ARGS_MAX];
    int n;
};

static void arg(struct qemu_args *a, char *owned)
{
    if (a->n < ARGS_MAX - 1)
        a->v[a->n++] = owned;
}

static void args(struct qemu_args *a, const char *words)
{
    char *copy = xstrdup(words), *save = NULL;
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        arg(a, xstrdup(w));
    free(copy);
}

// Hosts whose KVM works without VMX and SVM (KVM-PVM) now and then deliver an interrupt twice,
// which a guest does not survive; our own monitor does without interrupts there, QEMU cannot.
static bool has_virtualization(void)
{
    unsigned a, b, c, d;
    return (__get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 5)) ||
           (__get_cpuid(0x80000001u, &a, &b, &c, &d) && (c & 1u << 2));
}

static void qemu_command(const struct instance *in, int net_fd, int console, int control,
                         struct qemu_args *a)
{
    const char *env = getenv("LITH_QEMU"), *why;
    const char *accel = getenv("LITH_QEMU_ACCEL"); // tcg, kvm: not what would be chosen
    bool kvm = accel && strcmp(accel, "kvm") == 0;
    if (!kvm && !(accel && strcmp(accel, "tcg") == 0))
        kvm = has_virtualization() && kvm_usable(&why);
    // The root file system lies in the guest's RAM here; -m promises memory beside it.
    uint64_t mib = (in->mem_bytes + MIB - 1) / MIB + (in->root_size + MIB - 1) / MIB;
    arg(a, xstrdup(env && *env ? env : "qemu-system-x86_64"));
    args(a,
         "-M microvm,x-option-roms=off,isa-serial=on,rtc=on,pit=off,pic=off,acpi=off -nodefaults "
         "-no-user-config -display none -no-reboot -global virtio-mmio.force-legacy=false");
    args(a, kvm ? "-accel kvm -cpu max,-arch-capabilities" : "-accel tcg -cpu max");
    // QEMU before 8.1 drops the guest's memory barriers where there can be only one CPU, although
    // its devices run in another thread: doorbells of the queues got lost. With room for a second
    // CPU it keeps them.
    args(a, "-smp 1,maxcpus=2");
    arg(a, xstrdup("-m"));
    arg(a, xasprintf("%lluM", (unsigned long long)mib));
    arg(a, xstrdup("-kernel"));
    arg(a, xstrdup(in->kernel));
    if (in->root != NULL) {
        arg(a, xstrdup("-initrd"));
        arg(a, xstrdup(in->root));
    }
    arg(a, xstrdup("-append"));
    arg(a, xstrdup(in->config.text.data));
    arg(a, xstrdup("-chardev"));
    arg(a, xasprintf("socket,id=console,fd=%d", console));
    args(a, "-serial chardev:console");
    arg(a, xstrdup("-chardev"));
    arg(a, xasprintf("socket,id=control,fd=%d", control));
    args(a, "-device isa-serial,chardev=control,iobase=0x2f8,irq=3");
    if (in->net == NET_NONE)
        return;
    arg(a, xstrdup("-netdev"));
    if (in->net == NET_TAP)
        arg(a, xasprintf("tap,id=n0,ifname=%s,script=no,downscript=no", in->tap));
    else
        arg(a, xasprintf("stream,id=n0,server=off,addr.type=fd,addr.str=%d", net_fd));
    arg(a, xstrdup("-device"));
    arg(a, xasprintf("virtio-net-device,netdev=n0,mac=%02x:%02x:%02x:%02x:%02x:%02x", in->mac[0],
                     in->mac[1], in->mac[2], in->mac[3], in->mac[4], in->mac[5]));
}

// What our own monitor puts into the boot block: time and random bytes.
static int config_add_machine(struct instance *in, struct err *e)
{
    uint8_t seed[48];
    char hex[2 * sizeof(seed) + 1];
    struct timespec t;
    if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return err_sys(e, -errno, "no random numbers");
    for (size_t i = 0; i < sizeof(seed); i++)
        snprintf(hex + 2 * i, 3, "%02x", seed[i]);
    clock_gettime(CLOCK_REALTIME, &t);
    bootconfig_add(&in->config, "entropy", hex);
    const char *ring = getenv("LITH_RING"); // for tests: 0 or 3, default measured
    if (ring && *ring)
        bootconfig_add(&in->config, "ring", ring);
    bootconfig_addf(&in->config, "clock", "%lld", (long long)t.tv_sec * 1000000000 + t.tv_nsec);
    return bootconfig_finish(&in->config, e);
}

static int qemu_spawn(struct qemu_args *a, const int keep[3], pid_t *pid, struct err *e)
{
    // vfork-like speed matters less here than that QEMU dies with us and not by our terminal's
    // Ctrl-C.
    pid_t parent = getpid();
    *pid = fork();
    if (*pid < 0)
        return err_sys(e, -errno, "cannot start QEMU");
    if (*pid > 0)
        return 0;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_TOOL);
    int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO); // QEMU's own words are not the program's
    for (int i = 0; i < 3; i++)
        if (keep[i] >= 0)
            fcntl(keep[i], F_SETFD, 0);
    execvp(a->v[0], a->v);
    fprintf(stderr, "lith: cannot run %s: %s (apt-get install qemu-system-x86)\n", a->v[0],
            strerror(errno));
    _exit(EXIT_TOOL);
}

int start_qemu(struct instance *in, int net_fd, int *status, struct err *e)
{
    int console[2], control[2];
    struct machine m = {.status = -1};
    struct qemu_args a = {0};
    uint64_t start_ns = stats_now_ns();
    int r = config_add_machine(in, e);
    if (r < 0)
        return r;
    int stats_fd = stats_create(LITH_STATS_QEMU, in->label, in->mem_bytes, e);
    if (stats_fd < 0)
        return stats_fd;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) < 0)
        return err_sys(e, -errno, "cannot make a socket pair");
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    m.signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (m.signals < 0)
        return err_sys(e, -errno, "cannot watch signals");
    qemu_command(in, net_fd, console[1], control[1], &a);
    const int keep[3] = {console[1], control[1], net_fd};
    r = qemu_spawn(&a, keep, &m.pid, e);
    close(console[1]);
    close(control[1]);
    if (net_fd >= 0)
        close(net_fd);
    m.passt = in->passt;
    m.console = console[0];
    m.control = control[0];
    if (r == 0)
        *status = machine_status(&m, machine_serve(&m));
    if (r == 0 && in->stats)
        stats_end(stats_fd, m.pid, start_ns);
    close(stats_fd);
    for (int i = 0; i < a.n; i++)
        free(a.v[i]);
    close(m.signals);
    return r;
}
