// SPDX-License-Identifier: ISC
// Counters as a person reads them, and as JSON. Numbers that an instance counts may be anything: a
// counter that went back counts as one that stands still.
#include <stdio.h>
#include <string.h>

#include "cli/stats.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define KIB         1024.0

struct counter {
    const char *name, *text;
};
#define NAMED(name, text) {#name, text},
static const struct counter cpu_counters[] = {LITH_STATS_CPU(NAMED)};
static const struct counter io_counters[] = {LITH_STATS_IO(NAMED)};
static const struct counter guest_counters[] = {LITH_STATS_GUEST(NAMED)};

// Structures of 64-bit numbers only, in the order of their lists.
_Static_assert(sizeof(cpu_counters) / sizeof(cpu_counters[0]) * 8 <= sizeof(struct lith_stats_cpu),
               "each has a name");

static const uint64_t *cpu_values(const struct stats_instance *i)
{
    return &i->host.cpu.exit_console;
}
static const uint64_t *io_values(const struct stats_instance *i)
{
    return &i->host.io.kicks_sent;
}
static const uint64_t *guest_values(const struct stats_instance *i)
{
    return &i->guest.switches;
}

// The parts of an instance's counters, in the order in which they are told.
static const struct section {
    const char *name, *title;
    const struct counter *counters;
    size_t count;
    const uint64_t *(*values)(const struct stats_instance *i);
} sections[] = {
    {"cpu", "the CPU's thread", cpu_counters, COUNT_OF(cpu_counters), cpu_values},
    {"io", "the I/O thread", io_counters, COUNT_OF(io_counters), io_values},
    {"guest", "the guest's kernel", guest_counters, COUNT_OF(guest_counters), guest_values},
};

static bool section_is_there(const struct section *s, const struct stats_instance *i)
{
    return s->values == guest_values ? i->has_guest : i->host.platform == LITH_STATS_KVM;
}

// free_pages and total_pages tell how it is now.
static bool is_level(const char *name)
{
    return strcmp(name, "free_pages") == 0 || strcmp(name, "total_pages") == 0;
}

// Of the guest's list, host calls and packets are those of platform process.
static size_t section_count(const struct section *s, const struct stats_instance *i)
{
    size_t n = 0;
    if (s->values != guest_values || i->host.platform == LITH_STATS_PROCESS)
        return s->count;
    while (strcmp(s->counters[n].name, "host_readv") != 0)
        n++;
    return n;
}

static uint64_t grown(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

struct stats_change stats_change(const struct stats_instance *now,
                                 const struct stats_instance *before)
{
    uint64_t ns = before ? grown(now->at_ns, before->at_ns) : now->up_ns;
    return (struct stats_change){now, before, ns ? (double)ns / 1e9 : 1e-9};
}

static double per_second(const struct stats_change *c, uint64_t now, uint64_t before)
{
    return (double)grown(now, before) / c->seconds;
}

uint64_t stats_exits(const struct stats_instance *i)
{
    const struct lith_stats_cpu *c = &i->host.cpu;
    const struct lith_stats_guest *g = &i->guest;
    if (i->host.platform == LITH_STATS_KVM)
        return c->exit_console + c->exit_wait + c->exit_power + c->exit_trace + c->exit_port +
               c->exit_mmio + c->exit_signal + c->exit_shutdown + c->exit_failed;
    return i->has_guest
               ? g->host_readv + g->host_writev + g->host_write + g->host_ppoll +
                     g->host_timer_settime + g->host_mmap + g->host_mprotect + g->host_munmap
               : 0;
}

static uint64_t net_bytes(const struct stats_instance *i, bool rx)
{
    if (i->host.platform == LITH_STATS_KVM)
        return rx ? i->host.io.net_rx_bytes : i->host.io.net_tx_bytes;
    return !i->has_guest ? 0 : rx ? i->guest.net_rx_bytes : i->guest.net_tx_bytes;
}

static bool counts(const struct stats_instance *i)
{
    return i->host.platform == LITH_STATS_KVM || i->has_guest;
}

static const char *platform_name(const struct stats_instance *i)
{
    static const char *const names[] = {"?", "kvm", "process", "qemu"};
    return names[i->host.platform <= LITH_STATS_QEMU ? i->host.platform : 0];
}

static double cpu_percent(const struct stats_change *c)
{
    return per_second(c, c->now->cpu_ns, c->before ? c->before->cpu_ns : 0) / 1e7;
}

static const char *bytes_text(char text[24], double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t u = 0;
    for (; bytes >= 1000 && u + 1 < COUNT_OF(units); u++)
        bytes /= KIB;
    snprintf(text, 24, u && bytes < 100 ? "%.1f%s" : "%.0f%s", bytes, units[u]);
    return text;
}

static const char *time_text(char text[24], uint64_t ns)
{
    unsigned long long s = ns / 1000000000u;
    if (s < 60)
        snprintf(text, 24, "%.1fs", (double)ns / 1e9);
    else if (s < 3600)
        snprintf(text, 24, "%llum%02llus", s / 60, s % 60);
    else if (s < 100 * 3600)
        snprintf(text, 24, "%lluh%02llum", s / 3600, s / 60 % 60);
    else
        snprintf(text, 24, "%llud%02lluh", s / 86400, s / 3600 % 24);
    return text;
}

static const char *rate_text(char text[24], double rate)
{
    snprintf(text, 24, rate < 100 ? "%.1f" : "%.0f", rate);
    return text;
}

void stats_table(struct buf *out, const struct stats_change *changes, size_t count)
{
    buf_printf(out, "%-8s %-24s %-8s %8s %8s %9s %9s %19s %9s\n", "PID", "NAME", "PLATFORM",
               "UPTIME", "CPU %", "PRIVATE", "PROPORT.", "NET RX / TX", "EXITS/S");
    for (size_t n = 0; n < count; n++) {
        const struct stats_change *c = &changes[n];
        const struct stats_instance *i = c->now;
        char up[24], own[24], pss[24], rx[24], tx[24], net[56] = "-", exits[24] = "-";
        if (counts(i)) {
            snprintf(net, sizeof(net), "%s / %s", bytes_text(rx, (double)net_bytes(i, true)),
                     bytes_text(tx, (double)net_bytes(i, false)));
            rate_text(exits, per_second(c, stats_exits(i), c->before ? stats_exits(c->before) : 0));
        }
        size_t len = strlen(i->host.label); // of a path, its end tells more
        buf_printf(out, "%-8d %-24s %-8s %8s %8.1f %9s %9s %19s %9s\n", i->pid,
                   i->host.label + (len > 24 ? len - 24 : 0), platform_name(i),
                   time_text(up, i->up_ns), cpu_percent(c),
                   bytes_text(own, (double)i->private_bytes), bytes_text(pss, (double)i->pss_bytes),
                   net, exits);
    }
}

static void detail_line(struct buf *out, const struct stats_change *c, const char *name,
                        const char *text, uint64_t now, uint64_t before)
{
    char rate[24] = "";
    if (!is_level(name))
        rate_text(rate, per_second(c, now, before));
    buf_printf(out, "  %-20s %16llu %12s  %s\n", name, (unsigned long long)now, rate, text);
}

// What KVM counted under this name before: its list is the same while the host runs.
static uint64_t kvm_before(const struct stats_change *c, unsigned n)
{
    const struct stats_kvm *b = c->before ? &c->before->kvm : NULL;
    return b && n < b->count && strcmp(b->item[n].name, c->now->kvm.item[n].name) == 0
               ? b->item[n].value
               : 0;
}

void stats_detail(struct buf *out, const struct stats_change *c)
{
    const struct stats_instance *i = c->now;
    char up[24], mem[24], own[24], pss[24];
    buf_printf(out, "%s: process %d, platform %s, up %s, memory %s\n", i->host.label, i->pid,
               platform_name(i), time_text(up, i->up_ns),
               bytes_text(mem, (double)i->host.mem_bytes));
    buf_printf(out, "CPU %.1f %%", cpu_percent(c));
    if (i->pss_bytes)
        buf_printf(out, ", private %s, proportional %s", bytes_text(own, (double)i->private_bytes),
                   bytes_text(pss, (double)i->pss_bytes));
    buf_printf(out, "; rates %s %.1f s\n", c->before ? "of the last" : "since the start,",
               c->seconds);
    if (!counts(i))
        buf_puts(out, i->host.platform == LITH_STATS_QEMU
                          ? "No counters: QEMU counts no exits, packets or interrupts for us.\n"
                          : "No counters: this kernel is from before them.\n");
    for (size_t s = 0; s < COUNT_OF(sections); s++) {
        if (!section_is_there(&sections[s], i))
            continue;
        const uint64_t *now = sections[s].values(i);
        const uint64_t *before = c->before ? sections[s].values(c->before) : NULL;
        buf_printf(out, "%-22s %16s %12s\n", sections[s].title, "total", "/s");
        for (size_t n = 0; n < section_count(&sections[s], i); n++)
            if (now[n]) // what never happened says nothing
                detail_line(out, c, sections[s].counters[n].name, sections[s].counters[n].text,
                            now[n], before ? before[n] : 0);
    }
    if (i->kvm.count)
        buf_printf(out, "%-22s %16s %12s\n", "the host's KVM", "total", "/s");
    for (unsigned n = 0; n < i->kvm.count; n++)
        if (i->kvm.item[n].value)
            detail_line(out, c, i->kvm.item[n].name, "", i->kvm.item[n].value, kvm_before(c, n));
}

// The label has printable ASCII only.
static void json_text(struct buf *out, const char *text)
{
    buf_puts(out, "\"");
    for (; *text; text++)
        buf_printf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    buf_puts(out, "\"");
}

static void json_counters(struct buf *out, const struct stats_change *c, bool rates)
{
    const struct stats_instance *i = c->now;
    const char *comma = "";
    for (size_t s = 0; s < COUNT_OF(sections); s++) {
        if (!section_is_there(&sections[s], i))
            continue;
        const uint64_t *now = sections[s].values(i);
        const uint64_t *before = c->before ? sections[s].values(c->before) : NULL;
        buf_printf(out, "%s\"%s\": {", comma, sections[s].name);
        comma = ", ";
        const char *inner = "";
        for (size_t n = 0; n < section_count(&sections[s], i); n++) {
            if (rates && is_level(sections[s].counters[n].name))
                continue;
            buf_printf(out, "%s\"%s\": ", inner, sections[s].counters[n].name);
            inner = ", ";
            if (rates)
                buf_printf(out, "%.2f", per_second(c, now[n], before ? before[n] : 0));
            else
                buf_printf(out, "%llu", (unsigned long long)now[n]);
        }
        buf_puts(out, "}");
    }
    if (i->kvm.count == 0)
        return;
    buf_printf(out, "%s\"kvm\": {", comma);
    for (unsigned n = 0; n < i->kvm.count; n++) {
        buf_printf(out, "%s\"%s\": ", n ? ", " : "", i->kvm.item[n].name);
        if (rates)
            buf_printf(out, "%.2f", per_second(c, i->kvm.item[n].value, kvm_before(c, n)));
        else
            buf_printf(out, "%llu", (unsigned long long)i->kvm.item[n].value);
    }
    buf_puts(out, "}");
}

void stats_json(struct buf *out, const struct stats_change *changes, size_t count)
{
    buf_puts(out, "[");
    for (size_t n = 0; n < count; n++) {
        const struct stats_change *c = &changes[n];
        const struct stats_instance *i = c->now;
        buf_printf(out, "%s{\"pid\": %d, \"name\": ", n ? ",\n " : "", i->pid);
        json_text(out, i->host.label);
        buf_printf(out,
                   ", \"platform\": \"%s\", \"uptime_s\": %.3f, \"memory_bytes\": %llu, "
                   "\"private_bytes\": %llu, \"proportional_bytes\": %llu, \"cpu_s\": %.6f, "
                   "\"interval_s\": %.6f, \"cpu_percent\": %.2f, \"tsc_khz\": %llu, "
                   "\"counters\": {",
                   platform_name(i), (double)i->up_ns / 1e9, (unsigned long long)i->host.mem_bytes,
                   (unsigned long long)i->private_bytes, (unsigned long long)i->pss_bytes,
                   (double)i->cpu_ns / 1e9, c->seconds, cpu_percent(c),
                   (unsigned long long)i->host.tsc_khz);
        json_counters(out, c, false);
        buf_puts(out, "}, \"per_second\": {");
        json_counters(out, c, true);
        buf_puts(out, "}}");
    }
    buf_puts(out, "]\n");
}
