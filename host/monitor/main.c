// SPDX-License-Identifier: ISC
// lith-monitor: the command line, and the order in which an instance comes up.
//
//   lith-monitor --kernel FILE [--root FILE] --mem BYTES --config-fd N
//                [--net tap:NAME | --net passt:PATH | --net passt:N] [--mac MAC] [--ring 0|3]
//                [--machine kvm|process] [--allow-wx] [--clocks TSC:NS] [--stats-fd N]
//                [--boot-chart]
//
// --machine process is the machine without KVM (process.c); --allow-wx lets its program have memory
// that is writable and executable; --clocks TSC:NS is an earlier moment on the TSC and
// CLOCK_MONOTONIC, to measure the TSC's rate from. passt:N is a descriptor: a connected stream
// socket that speaks passt's framing. --stats-fd N is where to count (abi/stats.h). --boot-chart
// prints what the monitor's own start took (the kernel's part: chart=1 in the configuration). The
// exit status is the instance's; 125 if the monitor refuses, fails or stops a broken guest; 137 if
// it ends by force.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "monitor/monitor.h"

static struct monitor the_machine;

static void complain(const char *format, va_list args)
{
    char line[512];
    int at = snprintf(line, sizeof line, "lith-monitor: ");
    int n = vsnprintf(line + at, sizeof line - (size_t)at - 1, format, args);
    size_t len = (size_t)at + (n < 0 ? 0 : (size_t)n);
    if (len > sizeof line - 2)
        len = sizeof line - 2;
    line[len++] = '\n';
    (void)!write(2, line, len);
}

void warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain(format, args);
    va_end(args);
}

_Noreturn void fatal(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain(format, args);
    va_end(args);
    _exit(EXIT_MONITOR);
}

static uint64_t parse_number(const char *text, uint64_t max, const char *what)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-' || value > max)
        fatal("%s: '%s' is not a number up to %llu", what, text, (unsigned long long)max);
    return value;
}

static void parse_mac(const char *text, uint8_t mac[6])
{
    unsigned byte[6];
    int used = 0;
    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4],
               &byte[5], &used) != 6 ||
        text[used] || (byte[0] & 1))
        fatal("--mac: '%s' is not a unicast Ethernet address", text);
    for (int i = 0; i < 6; i++)
        mac[i] = (uint8_t)byte[i];
}

static void parse_options(struct options *o, int argc, char **argv)
{
    bool have_mac = false;
    *o = (struct options){.config_fd = -1, .stats_fd = -1, .ring = -1};
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strcmp(name, "--boot-chart") == 0) {
            o->boot_chart = true;
            i--;
            continue;
        }
        if (strcmp(name, "--allow-wx") == 0) {
            o->allow_wx = true;
            i--;
            continue;
        }
        if (!value)
            fatal("%s needs a value", name);
        if (strcmp(name, "--kernel") == 0) {
            o->kernel = value;
        } else if (strcmp(name, "--root") == 0) {
            o->root = value;
        } else if (strcmp(name, "--mem") == 0) {
            o->mem_bytes = parse_number(value, MEM_MAX, name);
        } else if (strcmp(name, "--config-fd") == 0) {
            o->config_fd = (int)parse_number(value, 1 << 20, name);
        } else if (strcmp(name, "--stats-fd") == 0) {
            o->stats_fd = (int)parse_number(value, 1 << 20, name);
        } else if (strcmp(name, "--net") == 0) {
            o->net = value;
        } else if (strcmp(name, "--mac") == 0) {
            parse_mac(value, o->mac);
            have_mac = true;
        } else if (strcmp(name, "--ring") == 0) {
            if (strcmp(value, "0") != 0 && strcmp(value, "3") != 0)
                fatal("--ring is 0 or 3");
            o->ring = value[0] - '0';
        } else if (strcmp(name, "--clocks") == 0) {
            unsigned long long tsc, ns;
            if (sscanf(value, "%llu:%llu", &tsc, &ns) != 2)
                fatal("--clocks: '%s' is not TSC:NS", value);
            o->clock_tsc = tsc;
            o->clock_ns = ns;
        } else if (strcmp(name, "--machine") == 0) {
            o->process = strcmp(value, "process") == 0;
            if (!o->process && strcmp(value, "kvm") != 0)
                fatal("--machine is kvm or process");
        } else {
            fatal("unknown option %s", name);
        }
    }
    if (!o->kernel || o->config_fd < 0)
        fatal("usage: lith-monitor --kernel FILE [--root FILE] --mem BYTES --config-fd N "
              "[--net tap:NAME|passt:PATH|passt:N] [--mac MAC] [--ring 0|3] "
              "[--machine kvm|process] [--allow-wx] [--clocks TSC:NS] [--stats-fd N] "
              "[--boot-chart]");
    if (o->mem_bytes < MEM_MIN)
        fatal("--mem must be at least %llu bytes", MEM_MIN);
    if (!have_mac && o->net) {
        if (getrandom(o->mac, sizeof o->mac, 0) != sizeof o->mac)
            fatal("no random numbers: %s", strerror(errno));
        o->mac[0] = (uint8_t)((o->mac[0] & 0xfc) | 2); // locally administered, unicast
    }
}

// Whatever the caller left open is not the guest's business. Descriptors that stay are moved down
// to 3 and up first, by way of high ones: they may be in each other's place.
static void close_others(struct options *o)
{
    static char net[24];
    int net_fd = -1, *const kept[] = {&o->config_fd, &net_fd, &o->stats_fd};
    static const char *const names[] = {"--config-fd", "--net", "--stats-fd"};
    unsigned next = 3;
    if (o->net && strncmp(o->net, "passt:", 6) == 0 && o->net[6] >= '0' && o->net[6] <= '9') {
        net_fd = (int)parse_number(o->net + 6, 1 << 20, "--net");
        if (net_fd < 3 || net_fd == o->config_fd)
            fatal("--net: descriptor %d is in use", net_fd);
    }
    for (unsigned i = 0; i < 3; i++) {
        int high = *kept[i] < 0 ? -1 : fcntl(*kept[i], F_DUPFD_CLOEXEC, 100);
        if (*kept[i] >= 0 && high < 0)
            fatal("%s %d: %s", names[i], *kept[i], strerror(errno));
        *kept[i] = high;
    }
    for (unsigned i = 0; i < 3; i++) {
        if (*kept[i] < 0)
            continue;
        if (dup3(*kept[i], (int)next, O_CLOEXEC) < 0)
            fatal("%s: %s", names[i], strerror(errno));
        *kept[i] = (int)next++;
    }
    if (net_fd >= 0) {
        snprintf(net, sizeof net, "passt:%d", net_fd);
        o->net = net;
    }
    if (syscall(SYS_close_range, next, ~0u, 0) != 0)
        fatal("cannot close inherited descriptors: %s", strerror(errno));
}

// Descriptors 0 to 2 may be closed. What is opened must not take their place: the guest writes to 1
// and 2.
static void hold_std_fds(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd)
            _exit(EXIT_MONITOR);
}

static int open_file(const char *path, uint64_t *len, const char *what)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        fatal("cannot open the %s %s: %s", what, path, strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size <= 0)
        fatal("the %s %s is empty or not a regular file", what, path);
    *len = (uint64_t)st.st_size;
    return fd;
}

static void open_net(struct monitor *m, const char *net)
{
    m->has_net = true;
    if (strncmp(net, "tap:", 4) == 0)
        net_tap_open(&m->net_backend, net + 4);
    else if (strncmp(net, "passt:", 6) == 0 && net[6] >= '0' && net[6] <= '9')
        net_passt_use(&m->net_backend, net[6] - '0'); // as close_others() left it
    else if (strncmp(net, "passt:", 6) == 0)
        net_passt_open(&m->net_backend, net + 6);
    else
        fatal("--net: '%s' is not tap:NAME, passt:PATH or passt:N", net);
}

// What start-up took, for --boot-chart.
static struct {
    const char *what;
    uint64_t tsc;
} chart[8];
static unsigned chart_len;

void chart_mark(const char *what)
{
    chart[chart_len].what = what;
    chart[chart_len++].tsc = rdtsc();
}

void chart_print(const struct monitor *m)
{
    uint64_t last = m->exec_tsc;
    for (unsigned i = 0; i < chart_len && m->tsc_khz; i++) {
        warn("%6llu us (+%5llu)  %s",
             (unsigned long long)((chart[i].tsc - m->exec_tsc) * 1000 / m->tsc_khz),
             (unsigned long long)((chart[i].tsc - last) * 1000 / m->tsc_khz), chart[i].what);
        last = chart[i].tsc;
    }
}

int main(int argc, char **argv)
{
    struct monitor *m = &the_machine;
    struct options options;
    m->exec_tsc = rdtsc();
    signal(SIGPIPE, SIG_IGN);
    hold_std_fds();
    parse_options(&options, argc, argv);
    close_others(&options);
    m->process = options.process;
    if (m->process) {
        process_check(m, &options);
        options.ring = 3;
    }
    m->virt = host_virt();
    m->ring = options.ring >= 0 ? options.ring : m->virt == VIRT_NONE ? 3 : 0;
    options.kernel_fd = open_file(options.kernel, &options.kernel_len, "kernel");
    options.root_fd =
        options.root ? open_file(options.root, &options.root_len, "root file system") : -1;
    chart_mark("options, files");
    if (options.net)
        open_net(m, options.net);
    if (m->process && m->has_net && m->net_backend.flush)
        net_relay_start(&m->net_backend);
    sandbox_drop_privileges();
    chart_mark("network, privileges");
    stats_open(m, &options);
    boot_map(m, &options);
    if (m->process) {
        boot_load(m, &options);
        chart_mark("kernel and boot block in memory");
        process_run(m, &options);
    }
    io_start(m);
    boot_load(m, &options);
    chart_mark("kernel and boot block in memory");
    io_wait_created();
    chart_mark("KVM's machine (made beside that)");
    kvm_set_registers(m);
    attention_start(m);
    boot_finish(m);
    sandbox_enter(m);
    io_serve();
    chart_mark("registers, clocks, entropy, sandbox");
    if (options.boot_chart)
        chart_print(m);
    kvm_run_guest(m);
}
