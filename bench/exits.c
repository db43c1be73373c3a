// SPDX-License-Identifier: ISC
// What a request costs in exits, wake-ups and packets: the counters of `lith stats` before and
// after a load, by the requests that it answered. Counts do not depend on what else the machine
// does, as times do; but how often somebody sleeps and is woken does a bit.
#include "bench/bench.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

// Names in lith's JSON by its part; as a metric, with '-' for '_'.
static const struct counter {
    enum platform platform;
    const char *part, *name;
} counters[] = {
    {KVM, "cpu", "exit_wait"},
    {KVM, "cpu", "exit_signal"},
    {KVM, "cpu", "exit_console"},
    {KVM, "io", "posted_device"},
    {KVM, "io", "posted_timer"},
    {KVM, "io", "injected_device"},
    {KVM, "io", "kicks_sent"},
    {KVM, "io", "wakeups"},
    {KVM, "io", "doorbells_rx"},
    {KVM, "io", "doorbells_tx"},
    {KVM, "io", "doorbells_timer"},
    {KVM, "io", "polls"},
    {KVM, "io", "yields"},
    {KVM, "io", "net_rx_packets"},
    {KVM, "io", "net_tx_packets"},
    {KVM, "guest", "switches"},
    {KVM, "guest", "interrupts"},
    {KVM, "kvm", "exits"},
    {KVM, "kvm", "irq_exits"},
    {KVM, "kvm", "io_exits"},
    {KVM, "kvm", "insn_emulation"},
    {KVM, "kvm", "pf_taken"},
    {KVM, "kvm", "signal_exits"},
    {PROCESS, "guest", "host_readv"},
    {PROCESS, "guest", "host_readv_empty"},
    {PROCESS, "guest", "host_writev"},
    {PROCESS, "guest", "host_ppoll"},
    {PROCESS, "guest", "host_timer_settime"},
    {PROCESS, "guest", "host_mmap"},
    {PROCESS, "guest", "signals_timer"},
    {PROCESS, "guest", "net_rx_packets"},
    {PROCESS, "guest", "net_tx_packets"},
    {PROCESS, "guest", "switches"},
};
#define COUNTERS (sizeof(counters) / sizeof(counters[0]))

static double value_of(const char *json, const char *part, const char *name)
{
    char key[64];
    snprintf(key, sizeof(key), "\"%s\": {", part);
    const char *at = strstr(json, key); // totals come before rates
    const char *end = at ? strchr(at, '}') : NULL;
    snprintf(key, sizeof(key), "\"%s\": ", name);
    at = at ? strstr(at, key) : NULL;
    return at && at < end ? atof(at + strlen(key)) : NAN;
}

bool exits_read(const struct server *server, struct exits *out)
{
    struct command c = {0};
    out->text[0] = 0;
    if (server->platform != KVM && server->platform != PROCESS)
        return false;
    command_add(&c, "%s/build/bin/lith", options.tree);
    command_words(&c, "stats --since-start --json");
    command_add(&c, "%d", server->pid);
    if (capture(c.argv, CLIENT_CORE, false, 10, out->text, sizeof(out->text)) == 0)
        return true;
    note("no counters on %s: %.100s", platform_names[server->platform], out->text);
    return false;
}

void exits_sample(const struct server *server, const char *load, const struct exits *before,
                  const struct exits *after, double requests)
{
    static const char *const to_monitor[] = {"exit_console", "exit_wait", "exit_signal",
                                             "exit_trace"};
    enum platform p = server->platform;
    char name[40], metric[32];
    double exits = 0;
    snprintf(name, sizeof(name), "%s-%s", p == KVM ? "kvm-exits" : "host-calls", load);
    for (size_t i = 0; p == KVM && i < sizeof(to_monitor) / sizeof(to_monitor[0]); i++)
        exits += value_of(after->text, "cpu", to_monitor[i]) -
                 value_of(before->text, "cpu", to_monitor[i]);
    if (p == KVM) {
        double cycles = value_of(after->text, "cpu", "wait_cycles") -
                        value_of(before->text, "cpu", "wait_cycles");
        const char *khz = strstr(after->text, "\"tsc_khz\": ");
        sample(p, name, "to-monitor", "1/request", true, exits / requests);
        sample(p, name, "asleep", "us", true, khz ? cycles / atof(khz + 11) * 1e3 / requests : NAN);
    }
    for (size_t i = 0; i < COUNTERS; i++) {
        const struct counter *c = &counters[i];
        if (c->platform != p)
            continue;
        snprintf(metric, sizeof(metric), "%s%s", strcmp(c->part, "kvm") == 0 ? "kvm-" : "",
                 c->name);
        for (char *at = metric; (at = strchr(at, '_')) != NULL;)
            *at = '-';
        sample(
            p, name, metric, "1/request", true,
            (value_of(after->text, c->part, c->name) - value_of(before->text, c->part, c->name)) /
                requests);
    }
}
