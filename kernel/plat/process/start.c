// SPDX-License-Identifier: ISC
// Machine "process": console, end, waiting, timer and packets by calls of the host, through
// descriptors that the monitor has opened.
#include <asm/errno.h>
#include "plat/process/process.h"

struct lith_process process_files;
static struct plat_packets packets;

static void process_console_write(const char *s, size_t n, int stream)
{
    while (n) {
        plat_stats->host_write++;
        long done = host_call(HOST_WRITE, (uint64_t)stream, (uintptr_t)s, n, 0, 0, 0);
        if (done == -EAGAIN) {
            struct host_pollfd p = {stream, HOST_POLLOUT, 0};
            plat_stats->host_ppoll++;
            host_call(HOST_PPOLL, (uintptr_t)&p, 1, 0, 0, 8, 0);
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
    host_call(HOST_EXIT_GROUP, (uint64_t)(status & 0xff), 0, 0, 0, 0, 0);
}

static void process_machine_wait(uint64_t deadline_ns)
{
    struct host_pollfd p = {process_files.net_fd, HOST_POLLIN, 0};
    struct host_timespec t, *timeout = NULL;
    if (packets.write_blocked)
        p.events |= HOST_POLLOUT;
    if (deadline_ns != DEADLINE_NEVER) {
        uint64_t now = plat_clock_ns(), left = deadline_ns > now ? deadline_ns - now : 0;
        t = (struct host_timespec){(int64_t)(left / NSEC_PER_SEC), (int64_t)(left % NSEC_PER_SEC)};
        timeout = &t;
    }
    plat_stats->host_ppoll++;
    process_wait(&p, process_files.net_fd >= 0 && !packets.ended, timeout);
}

void process_timer(int id, uint64_t after_ns)
{
    struct {
        struct host_timespec interval, value;
    } t = {{0, 0}, {(int64_t)(after_ns / NSEC_PER_SEC), (int64_t)(after_ns % NSEC_PER_SEC)}};
    plat_stats->host_timer_settime++;
    host_call(HOST_TIMER_SETTIME, (uint64_t)id, 0, (uintptr_t)&t, 0, 0, 0);
}

static void process_timer_set(uint64_t deadline_ns)
{
    uint64_t now = plat_clock_ns();
    process_timer(process_files.timer_id, deadline_ns == DEADLINE_NEVER ? 0
                                          : deadline_ns > now           ? deadline_ns - now
                                                                        : 1);
}

static const struct plat_machine machine_process = {.console_write = process_console_write,
                                                    .exit = process_exit,
                                                    .wait = process_machine_wait,
                                                    .take_signal = signal_take,
                                                    .timer_set = process_timer_set};

static long packets_read(const struct plat_iovec *iov, unsigned count)
{
    long rc = host_call(HOST_READV, (uint64_t)process_files.net_fd, (uintptr_t)iov, count, 0, 0, 0);
    plat_stats->host_readv++;
    plat_stats->host_readv_empty += rc == -EAGAIN;
    return rc;
}

static long packets_write(const struct plat_iovec *iov, unsigned count)
{
    long rc =
        host_call(HOST_WRITEV, (uint64_t)process_files.net_fd, (uintptr_t)iov, count, 0, 0, 0);
    plat_stats->host_writev++;
    plat_stats->host_writev_full += rc == -EAGAIN;
    return rc;
}

void process_start(const struct lith_boot *boot)
{
    process_files = boot->process;
    plat_machine = &machine_process;
    plat_info.name = "process";
    space_start(boot);
    if (process_files.net_fd < 0)
        return;
    packets = (struct plat_packets){
        .mtu = process_files.mtu,
        .stream = process_files.net_flags & LITH_PROCESS_NET_STREAM,
        .csum = process_files.net_flags & LITH_PROCESS_NET_CSUM,
        .tso4 = process_files.net_flags & LITH_PROCESS_NET_TSO4,
        .read = packets_read,
        .write = packets_write,
    };
    memcpy(packets.mac, process_files.mac, sizeof(packets.mac));
    plat_info.packets = &packets;
}
