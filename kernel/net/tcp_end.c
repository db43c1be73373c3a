// SPDX-License-Identifier: ISC
// The end of the program: its connections end as if it had closed them (exit(2) does). What was
// written gets to the peer, and the peer hears of the end.
#include "net/tcp.h"

static void end_connection(struct tcp_entry *e, void *ctx)
{
    struct tcp_sock *t = container_of(e, struct tcp_sock, e);
    (void)ctx;
    if (e->kind != TCP_KIND_SOCK || t->orphan)
        return;
    switch (t->state) {
    case TCPS_ESTABLISHED:
    case TCPS_CLOSE_WAIT:
        // As close(2): nobody will read this; and nobody has taken this connection.
        if (t->s.rx_bytes || (t->s.linger_on && !t->s.linger_s) || t->listener) {
            tcp_output(t);
            tcp_send_rst(t);
            return;
        }
        tcp_queue_fin(t);
        break;
    case TCPS_FIN_WAIT_1:
    case TCPS_CLOSING:
    case TCPS_LAST_ACK:
        break;
    default:
        return;
    }
    // What still comes is answered as for any closed socket.
    t->orphan = true;
    tcp_orphans++;
}

void tcp_end(void)
{
    tcp_for_each(end_connection, NULL);
}

static bool under_way(const struct tcp_sock *t)
{
    return t->state == TCPS_FIN_WAIT_1 || t->state == TCPS_CLOSING || t->state == TCPS_LAST_ACK;
}

static void look(struct tcp_entry *e, void *ctx)
{
    if (e->kind == TCP_KIND_SOCK)
        *(bool *)ctx |= under_way(container_of(e, struct tcp_sock, e));
}

bool tcp_ending(void)
{
    bool some = false;
    tcp_for_each(look, &some);
    return some;
}

// Nobody is here any more to send the rest: the peer need not wait for it.
static void give_up(struct tcp_entry *e, void *ctx)
{
    (void)ctx;
    struct tcp_sock *t = container_of(e, struct tcp_sock, e);
    if (e->kind == TCP_KIND_SOCK && under_way(t))
        tcp_send_rst(t);
}

void tcp_end_now(void)
{
    tcp_for_each(give_up, NULL);
}
