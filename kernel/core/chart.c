// SPDX-License-Identifier: ISC
// The boot chart: when each phase of start-up ended, on one time axis from the monitor's main() (or
// the kernel's first instruction, where the machine tells no more).
#include "core/core.h"

#define CHART_MAX 24

static struct {
    const char *name;
    uint64_t tsc;
} marks[CHART_MAX];
static unsigned count;
static bool printed;

void chart_mark(const char *phase)
{
    if (count < CHART_MAX && !printed) {
        marks[count].name = phase;
        marks[count++].tsc = arch_tsc();
    }
}

static void line(const char *name, uint64_t from_ns, uint64_t to_ns)
{
    char text[120];
    int n = lib_snprintf(text, sizeof(text), "  %-24s %8lu.%03lu %8lu.%03lu\n", name,
                         to_ns / 1000000, to_ns / 1000 % 1000, (to_ns - from_ns) / 1000000,
                         (to_ns - from_ns) / 1000 % 1000);
    plat_console_write(text, (size_t)n, 2);
}

void chart_print(void)
{
    static const char head[] = "boot chart (ms)                  at      took\n";
    if (!boot_config.chart || printed)
        return;
    printed = true;
    uint64_t start = plat_info.exec_tsc ? plat_info.exec_tsc : plat_info.entry_tsc;
    uint64_t origin = plat_tsc_to_ns(start), last = 0;
    plat_console_write(head, sizeof(head) - 1, 2);
    if (plat_info.exec_tsc) {
        last = plat_tsc_to_ns(plat_info.entry_tsc) - origin;
        line("monitor", 0, last);
    }
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = plat_tsc_to_ns(marks[i].tsc) - origin;
        line(marks[i].name, last, at);
        last = at;
    }
}
