// SPDX-License-Identifier: ISC
// Hands an instance to lith-monitor: this process becomes it, so that its exit status, its output
// and the signals it gets are the instance's.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/stats.h"

static int config_file(const struct instance *in, struct err *e)
{
    int fd = memfd_create("lith-config", 0);
    if (fd < 0)
        return err_sys(e, -errno, "cannot make a memory file");
    int r = write_all(fd, in->config.text.data, in->config.text.len);
    if (r < 0 || lseek(fd, 0, SEEK_SET) < 0) {
        close(fd);
        return err_sys(e, r < 0 ? r : -errno, "cannot write the boot configuration");
    }
    return fd;
}

static uint64_t noted_tsc, noted_ns;

static uint64_t rdtsc(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (uint64_t)hi << 32 | lo;
}

void start_note_clocks(void)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 20; i++) { // the try that was least disturbed
        struct timespec t;
        uint64_t before = rdtsc();
        clock_gettime(CLOCK_MONOTONIC, &t);
        uint64_t took = rdtsc() - before;
        if (took < best) {
            best = took;
            noted_tsc = before + took / 2;
            noted_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
        }
    }
}

int start_monitor(struct instance *in, int net_fd, struct err *e)
{
    char mem[24], config[12], net[32], mac[18], clocks[48], stats[12];
    const char *env = getenv("LITH_MONITOR");
    char *monitor = env && *env ? xstrdup(env) : xasprintf("%s/lith-monitor", exe_dir());
    int fd = config_file(in, e);
    if (fd < 0)
        return fd;
    int stats_fd = stats_create(in->platform == PLATFORM_KVM ? LITH_STATS_KVM : LITH_STATS_PROCESS,
                                in->label, in->mem_bytes, e);
    if (stats_fd < 0 || (in->stats && stats_run(stats_fd, net_fd, e) < 0))
        return -EIO;
    fcntl(stats_fd, F_SETFD, 0);
    snprintf(stats, sizeof(stats), "%d", stats_fd);
    snprintf(mem, sizeof(mem), "%llu", (unsigned long long)in->mem_bytes);
    snprintf(config, sizeof(config), "%d", fd);
    snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", in->mac[0], in->mac[1], in->mac[2],
             in->mac[3], in->mac[4], in->mac[5]);
    const char *argv[24] = {"lith-monitor", "--kernel", in->kernel,   "--mem", mem,
                            "--config-fd",  config,     "--stats-fd", stats};
    int n = 9;
    if (in->root != NULL) {
        argv[n++] = "--root";
        argv[n++] = in->root;
    }
    if (in->net != NET_NONE) {
        if (in->net == NET_TAP) {
            snprintf(net, sizeof(net), "tap:%s", in->tap);
        } else {
            snprintf(net, sizeof(net), "passt:%d", net_fd);
            fcntl(net_fd, F_SETFD, 0);
        }
        argv[n++] = "--net";
        argv[n++] = net;
        argv[n++] = "--mac";
        argv[n++] = mac;
    }
    if (in->platform == PLATFORM_PROCESS) {
        argv[n++] = "--machine";
        argv[n++] = "process";
        if (in->allow_jit)
            argv[n++] = "--allow-wx";
        snprintf(clocks, sizeof(clocks), "%llu:%llu", (unsigned long long)noted_tsc,
                 (unsigned long long)noted_ns);
        argv[n++] = "--clocks";
        argv[n++] = clocks;
    }
    if (in->boot_chart)
        argv[n++] = "--boot-chart";
    argv[n] = NULL;
    execv(monitor, (char **)(uintptr_t)argv);
    int r = err_sys(e, -errno, "cannot run the monitor %s (build it with `make host`)", monitor);
    free(monitor);
    return r;
}
