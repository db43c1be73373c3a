// SPDX-License-Identifier: ISC
// IPv4 (RFC 791, host requirements of RFC 1122): header checks, routing between loopback, the local
// nets and one gateway, output. An instance is a host: it never forwards.
#include "net/stack.h"

// Options that would make us a router for the sender's path: such packets are dropped.
static bool has_source_route(const uint8_t *opt, unsigned n)
{
    for (unsigned i = 0; i < n;) {
        if (opt[i] == 0)
            return false;
        if (opt[i] == 1) {
            i++;
            continue;
        }
        if (opt[i] == 131 || opt[i] == 137)
            return true;
        if (i + 1 >= n || opt[i + 1] < 2)
            return true; // malformed
        i += opt[i + 1];
    }
    return false;
}

void ip_input(struct net_if *nif, struct pktbuf *p)
{
    if (!pkt_pull_up(p, sizeof(struct ip_hdr)))
        goto drop;
    const struct ip_hdr *h = (const void *)p->data;
    unsigned ihl = (h->version_ihl & 15) * 4u;
    unsigned len = be16_to_cpu(h->len);
    if (h->version_ihl >> 4 != 4 || ihl < sizeof(*h) || len < ihl || len > p->total ||
        !pkt_pull_up(p, ihl) || csum_fold(csum_add(0, h, ihl)) != 0xffff)
        goto drop;
    if (ihl > sizeof(*h) && has_source_route(p->data + sizeof(*h), ihl - sizeof(*h)))
        goto drop;
    pkt_trim(p, len);
    struct ip_info info = {.nif = nif,
                           .hdr = h,
                           .src = be32_to_cpu(h->src),
                           .dst = be32_to_cpu(h->dst),
                           .proto = h->proto,
                           .ttl = h->ttl,
                           .tos = h->tos};
    if (ip_is_multicast(info.src) || net_is_broadcast(nif, info.src))
        goto drop;
    if (nif->loopback) {
        if (!net_is_local(info.dst))
            goto drop;
    } else {
        info.to_broadcast = net_is_broadcast(nif, info.dst) || ip_is_multicast(info.dst);
        // Loopback addresses and our own never come from a wire (RFC 1122 section 3.2.1.3).
        if (ip_is_loopback(info.src) || ip_is_loopback(info.dst) || net_if_by_ip(info.src))
            goto drop;
        // Without an address of its own (DHCP) the interface takes what the frame brought to it.
        if (!info.to_broadcast && nif->ip != info.dst && (nif->ip || !nif->dhcp))
            goto drop;
    }
    p->l3_offset = 0;
    pkt_pull(p, ihl);
    uint16_t frag = be16_to_cpu(h->frag);
    if (unlikely(frag & (IP_MF | IP_OFFSET_MASK))) {
        p = ip_reassemble(&info, p, frag);
        if (!p)
            return;
    }
    ip_deliver(&info, p);
    return;
drop:
    nif->dev->rx_dropped++;
    pkt_free(p);
}

void ip_deliver(struct ip_info *info, struct pktbuf *p)
{
    switch (info->proto) {
    case IPPROTO_TCP:
        tcp_input(info, p);
        return;
    case IPPROTO_UDP:
        udp_input(info, p);
        return;
    case IPPROTO_ICMP:
        icmp_input(info, p);
        return;
    default:
        icmp_error(info, p, ICMP_UNREACH, ICMP_UNREACH_PROTO);
        pkt_free(p);
    }
}

int ip_route(uint32_t dst, struct ip_route *out)
{
    out->next_hop = dst;
    if (net_is_local(dst)) {
        out->nif = &net_ifs[0];
        out->src = ip_is_loopback(dst) ? 0x7f000001 : dst;
        return 0;
    }
    struct net_if *gate = NULL;
    for (unsigned i = 1; i < net_if_count; i++) {
        struct net_if *nif = &net_ifs[i];
        bool group = dst == 0xffffffff || ip_is_multicast(dst);
        if ((nif->ip || group) && (group || ((dst ^ nif->ip) & nif->mask) == 0)) {
            out->nif = nif;
            out->src = nif->ip;
            return 0;
        }
        if (nif->ip && nif->gateway && !gate)
            gate = nif;
    }
    if (!gate)
        return -ENETUNREACH;
    out->nif = gate;
    out->src = gate->ip;
    out->next_hop = gate->gateway;
    return 0;
}

void ip_transport_csum(struct pktbuf *p, const struct net_if *nif, uint32_t src, uint32_t dst,
                       uint8_t proto, uint16_t off)
{
    uint64_t pseudo = csum_pseudo(src, dst, proto, p->total);
    uint16_t v;
    if (nif->dev->features & NETDEV_CSUM_TX && (p->gso_type || p->total + 20 <= nif->dev->mtu)) {
        // The device adds up everything from csum_start; the field holds the pseudo header's sum.
        v = csum_fold(pseudo);
        p->flags |= PKT_CSUM_PARTIAL;
        p->csum_start = 0;
        p->csum_offset = off;
    } else {
        p->data[off] = p->data[off + 1] = 0;
        v = (uint16_t)~csum_fold(csum_pkt(pseudo, p, 0, p->total));
        if (!v && proto == IPPROTO_UDP)
            v = 0xffff; // 0 means "none" (RFC 768)
    }
    memcpy(p->data + off, &v, 2);
}

bool ip_transport_csum_ok(const struct pktbuf *p, const struct ip_info *info)
{
    if (p->flags & (PKT_CSUM_VALID | PKT_CSUM_PARTIAL))
        return true;
    uint64_t sum = csum_pseudo(info->src, info->dst, info->proto, p->total);
    return csum_fold(csum_pkt(sum, p, 0, p->total)) == 0xffff;
}

int ip_output(struct pktbuf *p, const struct ip_route *route, uint32_t src, uint32_t dst,
              uint8_t proto, uint8_t ttl, uint8_t tos, unsigned flags)
{
    struct net_if *nif = route->nif;
    bool too_big = !p->gso_type && p->total + sizeof(struct ip_hdr) > nif->dev->mtu;
    if (too_big && (flags & IP_OUT_DF || p->total + sizeof(struct ip_hdr) > 65535)) {
        pkt_free(p);
        return -EMSGSIZE;
    }
    struct ip_hdr h = {.version_ihl = 0x45,
                       .tos = tos,
                       .frag = cpu_to_be16(flags & IP_OUT_DF ? IP_DF : 0),
                       .ttl = ttl,
                       .proto = proto,
                       .src = cpu_to_be32(src ? src : nif->ip),
                       .dst = cpu_to_be32(dst)};
    if (!(flags & IP_OUT_DF))
        h.id = (uint16_t)
            random_u64(); // RFC 7739: not predictable; atomic datagrams need none (RFC 6864)
    if (too_big)
        return ip_fragment(p, route, &h);
    uint32_t total = p->total + (uint32_t)sizeof(h);
    h.len = cpu_to_be16((uint16_t)total);
    h.csum = (uint16_t)~csum_fold(csum_add(0, &h, sizeof(h)));
    memcpy(pkt_push(p, sizeof(h)), &h, sizeof(h));
    if (p->flags & PKT_CSUM_PARTIAL)
        p->csum_start += sizeof(h);
    if (p->gso_type)
        p->hdr_len += sizeof(h);
    if (nif->loopback)
        net_if_transmit(nif, p);
    else
        arp_send(nif, route->next_hop, p);
    return 0;
}
