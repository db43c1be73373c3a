// SPDX-License-Identifier: ISC
// The layers below sockets: interfaces, ARP, IPv4, ICMP, checksums. Private to net/.
//
// One lock guards the whole stack (net_lock). It is taken once per batch of received packets, per
// timer and per socket call, and never held while program memory is touched or anybody sleeps.
// Addresses and ports are in host byte order everywhere except in the packed header structures.
#ifndef LITH_NET_STACK_H
#define LITH_NET_STACK_H

#include <asm/errno.h>
#include <linux/eventpoll.h>
#include <linux/in.h>
#include "net/net.h"
#include "net/limits.h"

#define PACKED __attribute__((packed))

struct eth_hdr {
    uint8_t dst[6], src[6];
    uint16_t type;
} PACKED;
#define ETH_IPV4 0x0800
#define ETH_ARP  0x0806

struct ip_hdr {
    uint8_t version_ihl, tos;
    uint16_t len, id, frag;
    uint8_t ttl, proto;
    uint16_t csum;
    uint32_t src, dst;
} PACKED;
#define IP_DF          0x4000
#define IP_MF          0x2000
#define IP_OFFSET_MASK 0x1fff

struct icmp_hdr {
    uint8_t type, code;
    uint16_t csum;
    uint16_t id, seq; // echo; errors: unused, next-hop MTU
} PACKED;
#define ICMP_ECHOREPLY     0
#define ICMP_UNREACH       3
#define ICMP_UNREACH_NET   0
#define ICMP_UNREACH_HOST  1
#define ICMP_UNREACH_PROTO 2
#define ICMP_UNREACH_PORT  3
#define ICMP_UNREACH_FRAG  4
#define ICMP_ECHO          8
#define ICMP_TIMXCEED      11

struct udp_hdr {
    uint16_t sport, dport, len, csum;
} PACKED;

// --- interfaces (iface.c) ---
struct dhcp;
struct net_if {
    struct netdev *dev;
    unsigned index; // 1 is lo
    bool loopback;
    bool detached; // the device is a program's (lith.h)
    bool dirty;    // sent with `more`: a doorbell is owed
    uint32_t ip, mask, prefix, gateway;
    struct list_head rx; // received, not looked at yet
    unsigned rx_count;
    struct list_head tx; // the device has no room for them yet (txqueue.c)
    unsigned tx_count, tx_max;
    struct dhcp *dhcp; // while addresses come from there
    uint64_t defended; // ns: last announcement against a conflict
};
extern struct net_if net_ifs[NET_IF_MAX];
extern unsigned net_if_count;
extern uint64_t net_now; // monotonic ns as of net_lock() or the batch

void net_lock(void);
// Delivers what is on loopback, sends what waits to be sent, rings doorbells, unlocks.
void net_unlock(void);
extern const struct net_proc net_proc_lines; // proc.c
struct net_if *net_if_by_ip(uint32_t ip);    // that has this address; NULL
bool net_is_local(uint32_t ip);              // own address or 127/8
bool net_is_broadcast(const struct net_if *nif, uint32_t ip);
static inline bool ip_is_loopback(uint32_t ip)
{
    return ip >> 24 == 127;
}
static inline bool ip_is_multicast(uint32_t ip)
{
    return ip >> 28 == 14;
}
void net_if_set(struct net_if *nif, uint32_t ip, unsigned prefix, uint32_t gateway);
// Hands a complete frame to the device. Takes p.
void net_if_transmit(struct net_if *nif, struct pktbuf *p);
// What had to wait for room in the device, as far as there is some now; or away with it.
void net_if_send_waiting(struct net_if *nif);
void net_if_drop_waiting(struct net_if *nif);
// Puts an Ethernet header in front and sends. Takes p.
void eth_output(struct net_if *nif, struct pktbuf *p, const uint8_t dst[6], uint16_t type);
extern const uint8_t eth_broadcast[6];

// A token bucket: `per_s` events a second, as many in a burst.
struct rate_limit {
    uint64_t last;
    uint32_t tokens;
};
bool rate_ok(struct rate_limit *r, uint32_t per_s);

// --- ARP (arp.c) ---
void arp_input(struct net_if *nif, struct pktbuf *p);
// Sends an IP packet to a neighbour, now or when its address is known. Takes p.
void arp_send(struct net_if *nif, uint32_t next_hop, struct pktbuf *p);
void arp_prepare(struct net_if *nif, uint32_t next_hop); // asks for what arp_send() will need
bool arp_waiting(const struct net_if *nif);              // packets wait for an answer
void arp_announce(struct net_if *nif);
void arp_flush(struct net_if *nif);

// --- IPv4 (ip.c, ip_frag.c) ---
struct ip_info { // of a received packet whose headers have been checked
    struct net_if *nif;
    const struct ip_hdr *hdr; // in front of the data
    uint32_t src, dst;
    uint8_t proto, ttl, tos;
    bool to_broadcast; // or multicast: no errors, no TCP
};
struct ip_route {
    struct net_if *nif;
    uint32_t next_hop, src;
};
int ip_route(uint32_t dst, struct ip_route *out); // -ENETUNREACH
void ip_input(struct net_if *nif, struct pktbuf *p);
void ip_deliver(struct ip_info *info, struct pktbuf *p); // data at the transport header
// Sends p (data at the transport header, checksum partial or done). Takes p, also on error.
// src 0: the interface's. -EMSGSIZE: needs fragments and df.
#define IP_OUT_DF 1u
int ip_output(struct pktbuf *p, const struct ip_route *route, uint32_t src, uint32_t dst,
              uint8_t proto, uint8_t ttl, uint8_t tos, unsigned flags);
// Fills in the transport checksum, or leaves it to the device. `off`: of the checksum field;
// p->data at the transport header.
void ip_transport_csum(struct pktbuf *p, const struct net_if *nif, uint32_t src, uint32_t dst,
                       uint8_t proto, uint16_t off);
bool ip_transport_csum_ok(const struct pktbuf *p, const struct ip_info *info);
// A fragment arrived (data at the IP payload). Returns the whole datagram when it is complete, else
// NULL. Takes p. *info is replaced by the first fragment's.
struct pktbuf *ip_reassemble(struct ip_info *info, struct pktbuf *p, uint16_t frag_field);
int ip_fragment(struct pktbuf *p, const struct ip_route *route, const struct ip_hdr *hdr);

// --- checksum (csum.c), RFC 1071 ---
// Sums are kept unfolded in 64 bits.
uint64_t csum_add(uint64_t sum, const void *data, size_t n);
uint64_t csum_pkt(uint64_t sum, const struct pktbuf *p, uint32_t off, uint32_t n);
uint16_t csum_fold(uint64_t sum); // not complemented
uint64_t csum_pseudo(uint32_t src, uint32_t dst, uint8_t proto, uint32_t len);

// --- ICMP (icmp.c) ---
void icmp_input(const struct ip_info *info, struct pktbuf *p);
// Sends an error about p (data at the transport header). Does not take p.
void icmp_error(const struct ip_info *info, const struct pktbuf *p, uint8_t type, uint8_t code);

// --- transports ---
void udp_input(const struct ip_info *info, struct pktbuf *p);
void tcp_input(const struct ip_info *info, struct pktbuf *p);
// An ICMP error about a packet we sent: `l4` are its first 8 transport bytes. err: errno; mtu: of
// the next hop, with ICMP_UNREACH_FRAG.
void udp_icmp(uint32_t laddr, uint32_t raddr, const uint8_t l4[8], int err);
void tcp_icmp(uint32_t laddr, uint32_t raddr, const uint8_t l4[8], int err, uint32_t mtu);
void tcp_end(void);           // the program is over: closes all connections as close(2) does
void tcp_end_now(void);       // resets those that are still at it
bool tcp_ending(void);        // some peer has not acknowledged all of it
bool tcp_late(void);          // there is something for tcp_flush_late()
void tcp_flush_late(void);    // what tcp_output_late() left
void tcp_flush_pending(void); // output that the batch made necessary
void tcp_init(void);

// --- DHCP client (dhcp.c), RFC 2131 ---
int dhcp_start(struct net_if *nif);
void dhcp_stop(struct net_if *nif);
void net_configured_wake(void);
void dhcp_input(struct net_if *nif, const struct pktbuf *p); // data at the UDP payload

static inline uint16_t get_be16(const void *p)
{
    const uint8_t *b = p;
    return (uint16_t)(b[0] << 8 | b[1]);
}
static inline uint32_t get_be32(const void *p)
{
    const uint8_t *b = p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}
static inline void put_be16(void *p, uint16_t v)
{
    uint8_t *b = p;
    b[0] = (uint8_t)(v >> 8);
    b[1] = (uint8_t)v;
}
static inline void put_be32(void *p, uint32_t v)
{
    put_be16(p, (uint16_t)(v >> 16));
    put_be16((uint8_t *)p + 2, (uint16_t)v);
}

#endif
