// SPDX-License-Identifier: ISC
// The lines of /proc/net/{tcp,udp,dev}, in Linux's format (proc(5)).
#include "net/tcp.h"

struct emitter {
    void (*emit)(void *ctx, const char *line);
    void *ctx;
    unsigned n;
    uint8_t proto;
};

static void socket_line(struct emitter *em, uint32_t laddr, uint16_t lport, uint32_t raddr,
                        uint16_t rport, unsigned state, unsigned txq, unsigned rxq)
{
    char line[160];
    lib_snprintf(line, sizeof(line),
                 "%4u: %08X:%04X %08X:%04X %02X %08X:%08X 00:00000000 00000000     0        0 0 1 "
                 "0000000000000000 20 4 0 10 -1\n",
                 em->n++, cpu_to_be32(laddr), lport, cpu_to_be32(raddr), rport, state, txq, rxq);
    em->emit(em->ctx, line);
}

static void tcp_entry_line(struct tcp_entry *e, void *ctx)
{
    struct emitter *em = ctx;
    unsigned state = e->kind == TCP_KIND_SYN ? TCPS_SYN_RCVD : TCPS_TIME_WAIT, tx = 0, rx = 0;
    if (e->kind == TCP_KIND_SOCK) {
        struct tcp_sock *t = container_of(e, struct tcp_sock, e);
        state = t->state;
        tx = tcp_queued(t);
        rx = t->s.rx_bytes;
    }
    socket_line(em, e->laddr, e->lport, e->raddr, e->rport, state, tx, rx);
}

static void bound_lines(struct emitter *em)
{
    for (unsigned i = 0; i < SOCK_PORT_HASH; i++)
        for (struct sock *s = port_chain(em->proto, (uint16_t)i); s; s = s->port_next) {
            if (em->proto == IPPROTO_UDP)
                socket_line(em, s->laddr, s->lport, s->raddr, s->rport, TCPS_CLOSED, 0,
                            s->rx_bytes);
            else if (tcp_is_listening(s))
                socket_line(em, s->laddr, s->lport, 0, 0, TCPS_LISTEN, 0, tcp_of(s)->accept_count);
        }
}

// emit may allocate but not sleep: the stack is locked meanwhile.
static void proc_tcp(void (*emit)(void *ctx, const char *line), void *ctx)
{
    struct emitter em = {emit, ctx, 0, IPPROTO_TCP};
    emit(ctx, "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
              "timeout inode\n");
    net_lock();
    bound_lines(&em);
    tcp_for_each(tcp_entry_line, &em);
    net_unlock();
}

static void proc_udp(void (*emit)(void *ctx, const char *line), void *ctx)
{
    struct emitter em = {emit, ctx, 0, IPPROTO_UDP};
    emit(ctx, "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
              "timeout inode ref pointer drops\n");
    net_lock();
    bound_lines(&em);
    net_unlock();
}

static void proc_dev(void (*emit)(void *ctx, const char *line), void *ctx)
{
    char line[256];
    emit(ctx, "Inter-|   Receive                                                |  Transmit\n");
    emit(ctx, " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets "
              "errs drop fifo colls carrier compressed\n");
    for (unsigned i = 0; i < net_if_count; i++) {
        const struct netdev *d = net_ifs[i].dev;
        lib_snprintf(
            line, sizeof(line),
            "%6s: %7lu %7lu    0 %4lu    0     0          0         0 %8lu %7lu    0 %4lu  "
            "  0     0       0          0\n",
            d->name, d->rx_bytes, d->rx_packets, d->rx_dropped, d->tx_bytes, d->tx_packets,
            d->tx_dropped);
        emit(ctx, line);
    }
}

const struct net_proc net_proc_lines = {proc_tcp, proc_udp, proc_dev};
