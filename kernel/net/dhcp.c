// SPDX-License-Identifier: ISC
// DHCP client (RFC 2131, options of RFC 2132): one per interface, driven by received messages and
// one timer. Everything that a server says is checked before it is believed.
#include "net/stack.h"

struct dhcp_msg {
    uint8_t op, htype, hlen, hops;
    uint32_t xid;
    uint16_t secs, flags;
    uint32_t ciaddr, yiaddr, siaddr, giaddr;
    uint8_t chaddr[16], sname[64], file[128];
    uint32_t cookie;
    uint8_t options[312];
} PACKED;
#define DHCP_COOKIE 0x63825363u
#define DHCP_FIXED  offsetof(struct dhcp_msg, options)

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE };
enum dhcp_state { SELECTING, REQUESTING, BOUND, RENEWING, REBINDING };

struct dhcp {
    struct net_if *nif;
    struct ktimer timer;
    enum dhcp_state state;
    uint32_t xid, server, offered;
    unsigned tries;
    uint64_t started, renew_at, rebind_at, expires; // ns
};

struct dhcp_reply {
    uint8_t type;
    uint32_t mask, router, server, dns[3];
    unsigned dns_count;
    uint32_t lease_s, renew_s, rebind_s;
};

#define TRIES_SELECT  4 // then the offer is forgotten
#define RETRY_MAX_NS  (16 * NSEC_PER_SEC)
#define LEASE_FOREVER 0xffffffffu

static uint8_t *put_option(uint8_t *o, uint8_t code, const void *v, uint8_t n)
{
    *o++ = code;
    *o++ = n;
    memcpy(o, v, n);
    return o + n;
}

static void dhcp_send(struct dhcp *d, uint8_t type)
{
    struct net_if *nif = d->nif;
    struct pktbuf *p = pkt_alloc_urgent(sizeof(struct dhcp_msg));
    if (!p)
        return; // the timer tries again
    struct dhcp_msg *m = pkt_put(p, sizeof(*m));
    memset(m, 0, sizeof(*m));
    m->op = 1;
    m->htype = 1;
    m->hlen = 6;
    m->xid = cpu_to_be32(d->xid);
    m->secs = cpu_to_be16((uint16_t)((net_now - d->started) / NSEC_PER_SEC));
    memcpy(m->chaddr, nif->dev->mac, 6);
    m->cookie = cpu_to_be32(DHCP_COOKIE);
    uint8_t *o = put_option(m->options, 53, &type, 1);
    uint8_t id[7] = {1};
    memcpy(id + 1, nif->dev->mac, 6);
    o = put_option(o, 61, id, sizeof(id));
    if (d->state == REQUESTING) {
        uint32_t v = cpu_to_be32(d->offered);
        o = put_option(o, 50, &v, 4);
        v = cpu_to_be32(d->server);
        o = put_option(o, 54, &v, 4);
    } else if (d->state != SELECTING) {
        m->ciaddr = cpu_to_be32(nif->ip);
    }
    static const uint8_t wanted[] = {1, 3, 6, 51, 54, 58, 59};
    o = put_option(o, 55, wanted, sizeof(wanted));
    if (boot_config.hostname) {
        size_t n = strlen(boot_config.hostname);
        if (n && n <= 63)
            o = put_option(o, 12, boot_config.hostname, (uint8_t)n);
    }
    *o = 255;
    uint32_t dst = d->state == RENEWING ? d->server : 0xffffffff;
    struct ip_route route = {.nif = nif, .next_hop = dst, .src = nif->ip};
    if (d->state == RENEWING && ip_route(dst, &route)) {
        pkt_free(p);
        return;
    }
    struct udp_hdr *h = pkt_push(p, sizeof(*h));
    h->sport = cpu_to_be16(68);
    h->dport = cpu_to_be16(67);
    h->len = cpu_to_be16((uint16_t)p->total);
    h->csum = 0;
    ip_transport_csum(p, nif, nif->ip, dst, IPPROTO_UDP, offsetof(struct udp_hdr, csum));
    ip_output(p, &route, nif->ip, dst, IPPROTO_UDP, 64, 0, 0);
}

static void dhcp_discover(struct dhcp *d)
{
    d->state = SELECTING;
    d->xid = (uint32_t)random_u64();
    d->started = net_now;
    d->tries = 0;
}

static void dhcp_timeout(struct ktimer *t)
{
    struct dhcp *d = container_of(t, struct dhcp, timer);
    net_lock();
    uint64_t wait = d->tries < 4 ? NSEC_PER_SEC << d->tries : RETRY_MAX_NS;
    if (d->nif->ip && net_now >= d->expires) {
        log_warn("%s: DHCP lease expired", d->nif->dev->name);
        net_if_set(d->nif, 0, 0, 0);
        dhcp_discover(d);
    } else if (d->state == BOUND || d->state == RENEWING || d->state == REBINDING) {
        if (d->state == BOUND) {
            d->xid = (uint32_t)random_u64();
            d->started = net_now;
        }
        d->state = net_now >= d->rebind_at ? REBINDING : RENEWING;
        // RFC 2131 section 4.4.5: half of what is left, a minute at least.
        uint64_t end = d->state == RENEWING ? d->rebind_at : d->expires;
        uint64_t left = end > net_now ? (end - net_now) / 2 : 0;
        wait = MAX(left, 60 * NSEC_PER_SEC);
    } else if (d->state == REQUESTING && d->tries >= TRIES_SELECT) {
        dhcp_discover(d);
    }
    if (d->state == SELECTING && d->tries == 2) // 3 s
        log_warn("%s: no address by DHCP yet; is there a server? (lith run --ip gives one)",
                 d->nif->dev->name);
    dhcp_send(d, d->state == SELECTING ? DISCOVER : REQUEST);
    d->tries++;
    ktimer_arm(t, net_now + wait);
    net_unlock();
}

static uint32_t opt32(const uint8_t *v, uint8_t n)
{
    return n >= 4 ? get_be32(v) : 0;
}

static void parse_options(const uint8_t *o, size_t n, struct dhcp_reply *r)
{
    for (size_t i = 0; i < n;) {
        uint8_t code = o[i++];
        if (code == 0)
            continue;
        if (code == 255 || i >= n)
            return;
        uint8_t len = o[i++];
        if (len > n - i)
            return;
        const uint8_t *v = o + i;
        i += len;
        switch (code) {
        case 53:
            r->type = len ? v[0] : 0;
            break;
        case 1:
            r->mask = opt32(v, len);
            break;
        case 3:
            r->router = opt32(v, len);
            break;
        case 6:
            for (r->dns_count = 0; r->dns_count < 3 && (r->dns_count + 1) * 4 <= len;
                 r->dns_count++)
                r->dns[r->dns_count] = get_be32(v + 4 * r->dns_count);
            break;
        case 51:
            r->lease_s = opt32(v, len);
            break;
        case 54:
            r->server = opt32(v, len);
            break;
        case 58:
            r->renew_s = opt32(v, len);
            break;
        case 59:
            r->rebind_s = opt32(v, len);
            break;
        default:
            break;
        }
    }
}

static bool usable(uint32_t ip, uint32_t mask)
{
    uint32_t host = ip & ~mask;
    return ip && !ip_is_multicast(ip) && !ip_is_loopback(ip) && ip >> 28 != 15 &&
           (mask >= 0xfffffffe || (host && host != ~mask));
}

static void dhcp_bind(struct dhcp *d, uint32_t ip, const struct dhcp_reply *r)
{
    struct net_if *nif = d->nif;
    uint32_t mask = r->mask ? r->mask : 0xffffff00;
    unsigned prefix = (unsigned)__builtin_popcount(mask);
    if (mask != (prefix ? ~0u << (32 - prefix) : 0) || !usable(ip, mask))
        return; // nonsense: the timer goes on asking
    uint32_t gw = r->router && r->router != ip && ((r->router ^ ip) & mask) == 0 ? r->router : 0;
    uint64_t lease = MAX(r->lease_s ? r->lease_s : LEASE_FOREVER, 60u);
    uint64_t renew = r->renew_s ? r->renew_s : lease / 2;
    uint64_t rebind = r->rebind_s ? r->rebind_s : lease / 8 * 7;
    if (rebind > lease)
        rebind = lease / 8 * 7;
    if (renew > rebind)
        renew = rebind / 2;
    bool forever = lease == LEASE_FOREVER;
    d->expires = forever ? DEADLINE_NEVER : net_now + lease * NSEC_PER_SEC;
    d->rebind_at = forever ? DEADLINE_NEVER : net_now + rebind * NSEC_PER_SEC;
    d->renew_at = forever ? DEADLINE_NEVER : net_now + renew * NSEC_PER_SEC;
    if (r->server)
        d->server = r->server;
    if (nif->ip != ip || nif->prefix != prefix || nif->gateway != gw)
        net_if_set(nif, ip, prefix, gw);
    if (r->dns_count && !boot_config.dns_count)
        for (unsigned i = 0; i < 3; i++)
            net_dns[i] = i < r->dns_count ? r->dns[i] : 0;
    d->state = BOUND;
    d->tries = 0;
    ktimer_cancel(&d->timer);
    if (!forever)
        ktimer_arm(&d->timer, d->renew_at);
    net_configured_wake();
}

void dhcp_input(struct net_if *nif, const struct pktbuf *p)
{
    struct dhcp *d = nif->dhcp;
    struct dhcp_msg m;
    uint32_t n = MIN(p->total, (uint32_t)sizeof(m));
    if (n < DHCP_FIXED)
        return;
    pkt_copy_out(p, 0, &m, n);
    if (m.op != 2 || m.htype != 1 || m.hlen != 6 || m.xid != cpu_to_be32(d->xid) ||
        m.cookie != cpu_to_be32(DHCP_COOKIE) || memcmp(m.chaddr, nif->dev->mac, 6))
        return;
    struct dhcp_reply r = {0};
    parse_options(m.options, n - DHCP_FIXED, &r);
    uint32_t ip = be32_to_cpu(m.yiaddr);
    if (r.type == OFFER && d->state == SELECTING && ip && r.server) {
        d->offered = ip;
        d->server = r.server;
        d->state = REQUESTING;
        d->tries = 1;
        dhcp_send(d, REQUEST);
        ktimer_arm(&d->timer, net_now + NSEC_PER_SEC);
    } else if (r.type == ACK &&
               (d->state == REQUESTING ? ip == d->offered
                                       : d->state != SELECTING && d->state != BOUND)) {
        dhcp_bind(d, ip, &r);
    } else if (r.type == NAK && d->state != SELECTING && d->state != BOUND) {
        if (nif->ip)
            net_if_set(nif, 0, 0, 0);
        dhcp_discover(d);
        ktimer_arm(&d->timer,
                   net_now + NSEC_PER_SEC); // not at once: a server that refuses, refuses again
    }
}

void dhcp_stop(struct net_if *nif)
{
    if (nif->dhcp) {
        ktimer_cancel(&nif->dhcp->timer);
        kfree(nif->dhcp);
        nif->dhcp = NULL;
    }
}

int dhcp_start(struct net_if *nif)
{
    struct dhcp *d = kzalloc(sizeof(*d));
    if (!d)
        return -ENOMEM;
    d->nif = nif;
    ktimer_init(&d->timer, dhcp_timeout);
    nif->dhcp = d;
    dhcp_discover(d);
    dhcp_send(d, DISCOVER);
    d->tries = 1;
    ktimer_arm(&d->timer, net_now + NSEC_PER_SEC);
    return 0;
}
