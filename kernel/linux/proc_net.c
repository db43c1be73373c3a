// SPDX-License-Identifier: ISC
// The network in /proc: net/tcp, net/udp, net/dev (proc(5)), and sys/net/core/somaxconn.
#include <asm-generic/errno.h>
#include "linux/process.h"

static void emit_line(void *ctx, const char *line)
{
    proc_printf(ctx, "%s", line); // with its newline
}

static int show_tcp(struct proc_buf *b)
{
    net_proc->tcp(emit_line, b);
    return 0;
}

static int show_udp(struct proc_buf *b)
{
    net_proc->udp(emit_line, b);
    return 0;
}

static int show_dev(struct proc_buf *b)
{
    net_proc->dev(emit_line, b);
    return 0;
}

static int show_somaxconn(struct proc_buf *b)
{
    proc_printf(b, "%u\n", net_somaxconn);
    return 0;
}

static int write_somaxconn(const char *text, size_t len)
{
    char number[16];
    const char *end;
    uint64_t v;
    if (len >= sizeof(number))
        return -EINVAL;
    memcpy(number, text, len);
    number[len] = 0;
    if (!lib_parse_u64(number, 10, &v, &end) || (*end && *end != '\n') || v > 65535)
        return -EINVAL;
    net_somaxconn = (unsigned)v;
    return 0;
}

int procfs_fill_net(void)
{
    int err = procfs_add("net/tcp", show_tcp, NULL);
    err = err ? err : procfs_add("net/udp", show_udp, NULL);
    err = err ? err : procfs_add("net/dev", show_dev, NULL);
    return err ? err : procfs_add("sys/net/core/somaxconn", show_somaxconn, write_somaxconn);
}
