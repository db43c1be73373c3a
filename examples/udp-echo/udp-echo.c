// SPDX-License-Identifier: ISC
// UDP echo on the raw network device (lith.h), without a TCP/IP stack: every datagram goes back to
// where it came from, in the buffer that it came in. So that others find it, it also answers ARP
// for its address and ping.
//
//     lith-cc -O2 udp-echo.c -o udp-echo
//     lith run --net tap:tap0 ./udp-echo 10.0.0.2
//
// Without an argument the address is the one of `lith run --ip`.
#include <lith.h>
#include <string.h>

// Frames as RFC 826 (ARP), RFC 791 (IP), RFC 792 (ICMP) and RFC 768 (UDP) have them, each behind an
// Ethernet header. Offsets in bytes from the frame's start.
enum {
    ETH_DST = 0,
    ETH_SRC = 6,
    ETH_TYPE = 12,
    ARP_OPERATION = 20,
    ARP_SENDER_MAC = 22,
    ARP_SENDER_IP = 28,
    ARP_TARGET_MAC = 32,
    ARP_TARGET_IP = 38,
    ARP_END = 42,
    IP_VERSION = 14, // and the header's length in words of 4 bytes
    IP_LENGTH = 16,
    IP_FRAGMENT = 20,
    IP_TTL = 22,
    IP_PROTOCOL = 23,
    IP_CHECKSUM = 24,
    IP_SRC = 26,
    IP_DST = 30,
    IP_END = 34, // without options
};
enum { TYPE_IP = 0x0800, TYPE_ARP = 0x0806, PROTOCOL_ICMP = 1, PROTOCOL_UDP = 17 };

static uint8_t my_ip[4], my_mac[6];

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static void put16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static void swap(uint8_t *a, uint8_t *b, size_t n)
{
    uint8_t t[8];
    memcpy(t, a, n);
    memcpy(a, b, n);
    memcpy(b, t, n);
}

// A 16-bit word of a packet changes from `old` to `now`: so does its checksum (RFC 1624, equation
// 3).
static void adjust_checksum(uint8_t *at, unsigned old, unsigned now)
{
    unsigned sum = (~get16(at) & 0xffff) + (~old & 0xffff) + now;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    put16(at, ~sum);
}

// True: the frame has become its own answer.
static int answer_arp(uint8_t *f, uint32_t length)
{
    static const uint8_t ethernet_ip[6] = {0, 1, 0x08, 0, 6, 4};
    if (length < ARP_END || memcmp(f + 14, ethernet_ip, 6) != 0 || get16(f + ARP_OPERATION) != 1 ||
        memcmp(f + ARP_TARGET_IP, my_ip, 4) != 0)
        return 0;
    put16(f + ARP_OPERATION, 2);
    memcpy(f + ARP_TARGET_MAC, f + ARP_SENDER_MAC, 6);
    memcpy(f + ARP_SENDER_MAC, my_mac, 6);
    swap(f + ARP_SENDER_IP, f + ARP_TARGET_IP, 4);
    return 1;
}

static int answer_ping(uint8_t *icmp, uint32_t length)
{
    if (length < 8 || get16(icmp) != 0x0800) // echo request, code 0
        return 0;
    icmp[0] = 0; // echo reply
    adjust_checksum(icmp + 2, 0x0800, 0);
    return 1;
}

// Sums over pairs of addresses and ports stay as they are when the two are exchanged, and so do the
// checksums of IP and UDP, be they complete or left to the device (LITH_PACKET_CHECKSUM).
static int answer_udp(uint8_t *udp, uint32_t length)
{
    if (length < 8 || get16(udp + 4) < 8 || get16(udp + 4) > length)
        return 0;
    swap(udp, udp + 2, 2);
    return 1;
}

static int answer_ip(uint8_t *f, uint32_t length)
{
    if (length < IP_END || f[IP_VERSION] != 0x45 || memcmp(f + IP_DST, my_ip, 4) != 0 ||
        (get16(f + IP_FRAGMENT) & 0x3fff) != 0) // with options, for others, a fragment: not here
        return 0;
    uint32_t total = get16(f + IP_LENGTH);
    if (total < IP_END - 14 || total > length - 14)
        return 0;
    if (f[IP_SRC] >= 224 ||
        memcmp(f + IP_SRC, my_ip, 4) == 0) // an answer would go to many, or to us
        return 0;
    uint32_t rest = total - (IP_END - 14);
    if (f[IP_PROTOCOL] == PROTOCOL_UDP
            ? !answer_udp(f + IP_END, rest)
            : f[IP_PROTOCOL] != PROTOCOL_ICMP || !answer_ping(f + IP_END, rest))
        return 0;
    swap(f + IP_SRC, f + IP_DST, 4);
    adjust_checksum(f + IP_CHECKSUM, get16(f + IP_TTL), 64u << 8 | f[IP_PROTOCOL]);
    f[IP_TTL] = 64;
    return 1;
}

static int answer(const struct lith_packet *p)
{
    uint8_t *f = p->data;
    if (p->length < LITH_NET_HEADER || p->segment)
        return 0;
    unsigned type = get16(f + ETH_TYPE);
    if (type == TYPE_IP ? !answer_ip(f, p->length) : type != TYPE_ARP || !answer_arp(f, p->length))
        return 0;
    memcpy(f + ETH_DST, f + ETH_SRC, 6);
    memcpy(f + ETH_SRC, my_mac, 6);
    return 1;
}

// "10.0.0.2", also with a prefix length behind it.
static int parse_address(const char *s, uint8_t ip[4])
{
    for (int i = 0; i < 4; i++) {
        unsigned n = 0, digits = 0;
        for (; *s >= '0' && *s <= '9' && digits < 3; s++, digits++)
            n = n * 10 + (unsigned)(*s - '0');
        if (!digits || n > 255 || (i < 3 && *s++ != '.'))
            return 0;
        ip[i] = (uint8_t)n;
    }
    return *s == '\0' || *s == '/';
}

static int fail(const char *why)
{
    lith_console_write(2, why, strlen(why));
    return 1;
}

int main(int argc, char **argv)
{
    struct lith_net_info info;
    struct lith_packet got[LITH_NET_BATCH], back[LITH_NET_BATCH], unwanted[LITH_NET_BATCH];
    if (lith_net_info(0, &info) < 0 || lith_net_open(0) < 0)
        return fail("udp-echo: there is no network device (lith run --net)\n");
    memcpy(my_mac, info.mac, 6);
    if (!parse_address(argc > 1 ? argv[1] : info.address, my_ip))
        return fail("usage: udp-echo ADDRESS, for example 10.0.0.2\n");
    static const char ready[] = "udp-echo: ready\n";
    lith_console_write(1, ready, sizeof(ready) - 1);
    for (;;) {
        long n = lith_net_receive(0, got, LITH_NET_BATCH, LITH_FOREVER);
        unsigned answers = 0, others = 0;
        if (n < 0)
            return fail("udp-echo: the device gives nothing any more\n");
        for (long i = 0; i < n; i++) {
            if (answer(&got[i]))
                back[answers++] = got[i];
            else
                unwanted[others++] = got[i];
        }
        long sent = lith_net_send(0, back, answers);
        // What the device has no room for is lost, as on any busy wire.
        if (sent >= 0 && sent < answers)
            lith_net_release(back + sent, answers - (unsigned)sent);
        lith_net_release(unwanted, others);
    }
}
