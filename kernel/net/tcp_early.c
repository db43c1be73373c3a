// SPDX-License-Identifier: ISC
// Connections that come before the program listens. An instance's address answers milliseconds
// before its program does. A client that connects at once would be refused and try again, and each
// refusal takes the CPU from the start that the client waits for. So in the first moments a SYN for
// a port that nobody listens on waits; a few only, and not for long: after that ports are closed as
// ever. The SYN itself is the record; a copy of it replaces the older.
#include "net/tcp.h"

static struct held {
    struct tcp_seg seg;
    struct ip_info ip; // what seg.ip points to
    struct pktbuf *p;  // NULL: free
} held[TCP_EARLY_MAX]; // net_lock
static struct ktimer window_end;

static void drop(struct held *h)
{
    pkt_free(h->p);
    h->p = NULL;
}

static void end_window(struct ktimer *t)
{
    (void)t;
    net_lock();
    for (unsigned i = 0; i < TCP_EARLY_MAX; i++) {
        if (held[i].p) {
            tcp_send_rst_for(&held[i].seg);
            drop(&held[i]);
        }
    }
    net_unlock();
}

bool tcp_early_hold(const struct tcp_seg *seg, struct pktbuf *p)
{
    struct held *to = NULL;
    struct ip_route route;
    if (net_now >= TCP_EARLY_NS ||
        (seg->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN || seg->ip->nif->loopback)
        return false;
    for (unsigned i = 0; i < TCP_EARLY_MAX; i++) {
        struct held *h = &held[i];
        if (!h->p) {
            to = to ? to : h;
        } else if (h->seg.laddr == seg->laddr && h->seg.lport == seg->lport &&
                   h->seg.raddr == seg->raddr && h->seg.rport == seg->rport) {
            drop(h);
            to = h;
            break;
        }
    }
    if (!to)
        return false;
    *to = (struct held){*seg, *seg->ip, p};
    to->seg.ip = &to->ip;
    if (ip_route(seg->raddr, &route) == 0) // so that the answer need not wait for the address
        arp_prepare(route.nif, route.next_hop);
    if (!window_end.armed) {
        ktimer_init(&window_end, end_window);
        ktimer_arm(&window_end, TCP_EARLY_NS);
    }
    return true;
}

void tcp_early_release(void)
{
    for (unsigned i = 0; i < TCP_EARLY_MAX; i++) {
        struct held *h = &held[i];
        struct tcp_sock *l = h->p ? tcp_find_listener(h->seg.laddr, h->seg.lport) : NULL;
        if (!l)
            continue;
        tcp_listen_input(l, &h->seg, h->p);
        drop(h);
    }
}
