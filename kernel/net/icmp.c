// SPDX-License-Identifier: ISC
// ICMP (RFC 792, RFC 1122 section 3.2.2): answers echoes, sends errors (at a bounded rate), hands
// errors about our own packets to the transport that sent them.
#include "net/stack.h"

static struct rate_limit error_rate, echo_rate;

static void icmp_echo(const struct ip_info *info, struct pktbuf *p)
{
    if (info->to_broadcast || !rate_ok(&echo_rate, ICMP_ECHOES_PER_S)) {
        pkt_free(p); // no amplifier for smurfs (RFC 1122 section 3.2.2.6 allows silence)
        return;
    }
    struct ip_route route;
    if (ip_route(info->src, &route)) {
        pkt_free(p);
        return;
    }
    // A fresh header in front of views of the old packet: the old one may be somebody else's
    // memory.
    struct pktbuf *out = pkt_alloc(p->total);
    if (!out) {
        pkt_free(p);
        return;
    }
    uint32_t n = p->total;
    pkt_copy_out(p, 0, pkt_put(out, n), n);
    pkt_free(p);
    struct icmp_hdr *h = (void *)out->data;
    h->type = ICMP_ECHOREPLY;
    h->csum = 0;
    h->csum = (uint16_t)~csum_fold(csum_add(0, out->data, n));
    ip_output(out, &route, info->dst, info->src, IPPROTO_ICMP, 64, info->tos, 0);
}

// The packet that an error quotes was ours: find the errno and the transport.
static void icmp_unreachable(const struct ip_info *info, struct pktbuf *p, uint8_t type,
                             uint8_t code, uint32_t mtu)
{
    struct {
        struct ip_hdr h;
        uint8_t rest[40 + 8];
    } PACKED quoted;
    uint32_t have = MIN(p->total - (uint32_t)sizeof(struct icmp_hdr), (uint32_t)sizeof(quoted));
    if (have < sizeof(struct ip_hdr))
        return;
    pkt_copy_out(p, sizeof(struct icmp_hdr), &quoted, have);
    unsigned ihl = (quoted.h.version_ihl & 15) * 4u;
    if (quoted.h.version_ihl >> 4 != 4 || ihl < 20 || ihl + 8 > have ||
        be16_to_cpu(quoted.h.frag) & IP_OFFSET_MASK)
        return;
    const uint8_t *l4 = (const uint8_t *)&quoted + ihl;
    uint32_t laddr = be32_to_cpu(quoted.h.src), raddr = be32_to_cpu(quoted.h.dst);
    if (laddr != info->dst && !net_is_local(laddr))
        return;
    int err = EHOSTUNREACH;
    if (type == ICMP_UNREACH) {
        if (code == ICMP_UNREACH_NET)
            err = ENETUNREACH;
        else if (code == ICMP_UNREACH_PROTO)
            err = ENOPROTOOPT;
        else if (code == ICMP_UNREACH_PORT)
            err = ECONNREFUSED;
        else if (code == ICMP_UNREACH_FRAG)
            err = EMSGSIZE;
    }
    if (quoted.h.proto == IPPROTO_UDP)
        udp_icmp(laddr, raddr, l4, err);
    else if (quoted.h.proto == IPPROTO_TCP)
        tcp_icmp(laddr, raddr, l4, err, mtu);
}

void icmp_input(const struct ip_info *info, struct pktbuf *p)
{
    if (!pkt_pull_up(p, sizeof(struct icmp_hdr)) ||
        csum_fold(csum_pkt(0, p, 0, p->total)) != 0xffff) {
        pkt_free(p);
        return;
    }
    const struct icmp_hdr *h = (const void *)p->data;
    if (h->type == ICMP_ECHO) {
        icmp_echo(info, p);
        return;
    }
    if (!info->to_broadcast && (h->type == ICMP_UNREACH || h->type == ICMP_TIMXCEED))
        icmp_unreachable(info, p, h->type, h->code, be16_to_cpu(h->seq));
    pkt_free(p);
}

void icmp_error(const struct ip_info *info, const struct pktbuf *p, uint8_t type, uint8_t code)
{
    if (info->to_broadcast || !info->src || !rate_ok(&error_rate, ICMP_ERRORS_PER_S))
        return;
    struct ip_route route;
    if (ip_route(info->src, &route))
        return;
    unsigned ihl = (info->hdr->version_ihl & 15) * 4u;
    uint32_t quote = MIN(p->total, 8u);
    struct pktbuf *out = pkt_alloc(sizeof(struct icmp_hdr) + 60 + 8);
    if (!out)
        return;
    struct icmp_hdr *h = pkt_put(out, sizeof(*h));
    memset(h, 0, sizeof(*h));
    h->type = type;
    h->code = code;
    memcpy(pkt_put(out, ihl), info->hdr, ihl);
    pkt_copy_out(p, 0, pkt_put(out, quote), quote);
    h->csum = (uint16_t)~csum_fold(csum_add(0, out->data, out->len));
    ip_output(out, &route, info->dst, info->src, IPPROTO_ICMP, 64, 0, 0);
}
