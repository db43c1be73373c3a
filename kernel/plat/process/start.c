// SPDX-License-Identifier: ISC
// Machine "process": console, end, waiting and timer by calls of the host, through descriptors that
// the monitor has opened.
#include <asm/errno.h>
#include "plat/process/process.h"

static void process_console_write(const char *s, size_t n, int stream)
{
    while (n) {
        plat_stats->host_write++;
        long done = host_write(stream, s, n);
        if (done == -EAGAIN) {
            struct host_pollfd p = {stream, HOST_POLLOUT, 0};
            plat_stats->host_ppoll++;
            host_ppoll(&p, 1, NULL, NULL);
        } else if (done < 0 && done != -EINTR) {
            return; // nobody reads any more: the instance goes on without a console
        } else if (done > 0) {
            s += done;
            n -= (size_t)done;
        }
    }
}

static void process_exit(int status)
{
    host_exit_group(status & 0xff);
}

static struct host_timespec timespec_of(uint64_t ns)
{
    return (struct host_timespec){(int64_t)(ns / NSEC_PER_SEC), (int64_t)(ns % NSEC_PER_SEC)};
}

static uint64_t until(uint64_t deadline_ns)
{
    uint64_t now = plat_clock_ns();
    return deadline_ns > now ? deadline_ns - now : 0;
}

static void process_machine_wait(uint64_t deadline_ns)
{
    const struct plat_packets *n = plat_info.packets;
    struct host_pollfd p = {plat_boot.process.net_fd, HOST_POLLIN, 0};
    struct host_timespec t = timespec_of(until(deadline_ns));
    if (n && n->write_blocked)
        p.events |= HOST_POLLOUT;
    plat_stats->host_ppoll++;
    process_wait(&p, n && !n->ended, deadline_ns == DEADLINE_NEVER ? NULL : &t);
}

void process_timer(int id, uint64_t after_ns)
{
    const struct host_timespec interval_value[2] = {{0, 0}, timespec_of(after_ns)};
    plat_stats->host_timer_settime++;
    host_timer_settime(id, 0, interval_value, NULL);
}

static void process_timer_set(uint64_t deadline_ns)
{
    process_timer(plat_boot.process.timer_id,
                  deadline_ns == DEADLINE_NEVER ? 0 : MAX(until(deadline_ns), (uint64_t)1));
}

const struct plat_machine machine_process = {.console_write = process_console_write,
                                             .exit = process_exit,
                                             .wait = process_machine_wait,
                                             .take_signal = signal_take,
                                             .timer_set = process_timer_set};

void process_start(void)
{
    plat_machine = &machine_process;
    plat_info.name = "process";
    space_start();
}
