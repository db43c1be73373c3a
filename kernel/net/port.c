// SPDX-License-Identifier: ISC
// Bound ports: who may share an address and port (Linux's rules), and ephemeral ports (RFC 6056).
#include "net/sock.h"
#include "net/tcp.h"

static struct sock *table[2][SOCK_PORT_HASH]; // [UDP?][port]

static struct sock **chain_of(uint8_t proto, uint16_t port)
{
    return &table[proto == IPPROTO_UDP][port % SOCK_PORT_HASH];
}

struct sock *port_chain(uint8_t proto, uint16_t port)
{
    return *chain_of(proto, port);
}

static bool conflicts(const struct sock *s, uint32_t addr, uint16_t port)
{
    for (struct sock *o = port_chain(s->proto, port); o; o = o->port_next) {
        if (o == s || o->lport != port || (addr && o->laddr && addr != o->laddr))
            continue;
        if (s->reuseport && o->reuseport)
            continue;
        if (s->reuseaddr && o->reuseaddr && (s->proto == IPPROTO_UDP || !tcp_is_listening(o)))
            continue;
        return true;
    }
    return false;
}

uint16_t port_ephemeral_start(uint32_t laddr, uint32_t raddr, uint16_t rport)
{
    static uint64_t key[2];
    static uint32_t next;
    if (!key[0])
        random_bytes(key, sizeof(key));
    uint32_t tuple[3] = {laddr, raddr, rport};
    next++;
    uint32_t range = PORT_EPHEMERAL_MAX - PORT_EPHEMERAL_MIN + 1;
    return (uint16_t)(PORT_EPHEMERAL_MIN +
                      ((uint32_t)lib_siphash(key, tuple, sizeof(tuple)) + next) % range);
}

int port_bind(struct sock *s, uint32_t addr, uint16_t port)
{
    if (!port) {
        uint32_t range = PORT_EPHEMERAL_MAX - PORT_EPHEMERAL_MIN + 1;
        uint32_t start = (uint32_t)random_u64() % range, i;
        for (i = 0; i < range; i++) {
            port = (uint16_t)(PORT_EPHEMERAL_MIN + (start + i) % range);
            bool reuse = s->reuseaddr, reusep = s->reuseport;
            s->reuseaddr = s->reuseport = false; // nobody shares a port that was picked for it
            bool taken = conflicts(s, addr, port);
            s->reuseaddr = reuse;
            s->reuseport = reusep;
            if (!taken)
                break;
        }
        if (i == range)
            return -EADDRINUSE;
    } else if (conflicts(s, addr, port)) {
        return -EADDRINUSE;
    }
    s->laddr = addr;
    s->lport = port;
    s->bound = true;
    struct sock **chain = chain_of(s->proto, port);
    s->port_next = *chain;
    *chain = s;
    return 0;
}

void port_unbind(struct sock *s)
{
    if (!s->bound)
        return;
    for (struct sock **at = chain_of(s->proto, s->lport); *at; at = &(*at)->port_next)
        if (*at == s) {
            *at = s->port_next;
            break;
        }
    s->bound = false;
    s->port_next = NULL;
}
