// SPDX-License-Identifier: ISC
// The Internet checksum (RFC 1071), without vector instructions: the kernel has none.
// Sums are of memory words as they lie, so the folded result is stored as it is.
#include "net/stack.h"

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    __builtin_memcpy(&v, p, 8);
    return v;
}

uint64_t csum_add(uint64_t sum, const void *data, size_t n)
{
    const uint8_t *p = data;
    uint64_t carry = 0;
    while (n >= 32) {
        // 2^64 and 2^32 are 1 modulo 2^16 - 1: carries out of the top come back in at the bottom.
        uint64_t a = load64(p), b = load64(p + 8), c = load64(p + 16), d = load64(p + 24);
        carry += __builtin_add_overflow(sum, a, &sum);
        carry += __builtin_add_overflow(sum, b, &sum);
        carry += __builtin_add_overflow(sum, c, &sum);
        carry += __builtin_add_overflow(sum, d, &sum);
        p += 32;
        n -= 32;
    }
    while (n >= 8) {
        carry += __builtin_add_overflow(sum, load64(p), &sum);
        p += 8;
        n -= 8;
    }
    uint64_t tail = 0;
    for (size_t i = 0; i < n; i++)
        tail |= (uint64_t)p[i] << 8 * i;
    carry += __builtin_add_overflow(sum, tail, &sum);
    if (__builtin_add_overflow(sum, carry, &sum))
        sum++;
    return sum;
}

uint16_t csum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

uint64_t csum_pkt(uint64_t sum, const struct pktbuf *p, uint32_t off, uint32_t n)
{
    bool odd = false;
    for (; n; p = p->frag) {
        if (off >= p->len) {
            off -= p->len;
            continue;
        }
        uint32_t take = MIN(n, p->len - off);
        if (odd) {
            // This piece starts at an odd byte of the packet: its bytes count the other way round.
            uint16_t part = bswap16(csum_fold(csum_add(0, p->data + off, take)));
            sum = csum_add(sum, &part, 2);
        } else {
            sum = csum_add(sum, p->data + off, take);
        }
        odd ^= take & 1;
        n -= take;
        off = 0;
    }
    return sum;
}

uint64_t csum_pseudo(uint32_t src, uint32_t dst, uint8_t proto, uint32_t len)
{
    return (uint64_t)cpu_to_be32(src) + cpu_to_be32(dst) + ((uint32_t)proto << 8) +
           cpu_to_be16((uint16_t)len);
}
