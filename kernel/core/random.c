// SPDX-License-Identifier: ISC
// Random numbers: ChaCha20 with fast key erasure (Bernstein 2017): each refill makes a new key from
// the first 32 bytes of the stream and hands out the rest, so that old output cannot be computed
// from the state. Seeded by the machine's entropy and the CPU's generator; a start with neither is
// refused.
#include "core/core.h"

#define POOL 512 // bytes made by one refill, once it is clear that many are wanted
#define FIRST \
    128 // by the first one: enough for most starts; each makes twice as many as the one before
static uint32_t key[8];
static uint8_t pool[POOL];
static unsigned pool_len = FIRST / 2, pool_used = FIRST / 2;
static uint64_t since_reseed;
#define RESEED_BYTES (1u << 20) // fresh words from the CPU after this much output

static void mix(const void *data, size_t n)
{
    // Absorb by SipHash lanes keyed with the present key: order and every byte count.
    for (unsigned i = 0; i < 4; i++) {
        uint64_t k[2], h;
        memcpy(k, key, 16);
        k[0] ^= i;
        h = lib_siphash(k, data, n);
        key[2 * i] ^= (uint32_t)h;
        key[2 * i + 1] ^= (uint32_t)(h >> 32);
    }
}

static void refill(void)
{
    static const uint32_t nonce[3];
    uint64_t r;
    if (since_reseed >= RESEED_BYTES) {
        since_reseed = 0;
        if (arch_random64(&r))
            mix(&r, sizeof(r));
    }
    pool_len = MIN(2 * pool_len, (unsigned)POOL);
    for (unsigned i = 0; i < pool_len / 64; i++)
        lib_chacha20_block(key, i, nonce, pool + 64 * i);
    memcpy(key, pool, sizeof(key));
    memset(pool, 0, sizeof(key));
    pool_used = sizeof(key);
}

void random_bytes(void *buf, size_t n)
{
    uint8_t *p = buf;
    while (n) {
        if (pool_used == pool_len)
            refill();
        size_t part = MIN(n, (size_t)(pool_len - pool_used));
        memcpy(p, pool + pool_used, part);
        memset(pool + pool_used, 0, part);
        pool_used += (unsigned)part;
        since_reseed += part;
        p += part;
        n -= part;
    }
}

uint64_t random_u64(void)
{
    uint64_t v;
    random_bytes(&v, sizeof(v));
    return v;
}

void random_add_entropy(const void *buf, size_t n)
{
    mix(buf, n);
    pool_used = pool_len;
}

void random_init(void)
{
    unsigned have = 0;
    uint64_t word;
    while (have < 4 && arch_random64(&word)) { // as long as the key, and as good: no need to mix it
        key[2 * have] ^= (uint32_t)word;
        key[2 * have++ + 1] ^= (uint32_t)(word >> 32);
    }
    if (plat_info.entropy_len)
        mix(plat_info.entropy, plat_info.entropy_len);
    if (boot_config.entropy_len)
        mix(boot_config.entropy, boot_config.entropy_len);
    if (have < 4 && plat_info.entropy_len < 32 && boot_config.entropy_len < 32)
        panic("no entropy: the CPU has no RDRAND and the machine gave no seed; pass entropy=<64 "
              "hex digits> "
              "in the boot configuration");
    memset(plat_info.entropy, 0, sizeof(plat_info.entropy));
    memset(boot_config.entropy, 0, sizeof(boot_config.entropy));
}
