// SPDX-License-Identifier: ISC
// Packet buffers. Structure and memory are one allocation; three sizes have free lists, because
// they are taken and given back for every packet. What packets may hold in all is bounded by a
// share of the instance's memory, with a reserve for what keeps the network alive.
#include "dev/dev.h"

enum { POOL_NONE, POOL_VIEW, POOL_SMALL, POOL_MTU, POOL_COUNT };

// Free buffers kept per list: enough for a batch, little enough for an instance of 6 MiB.
#ifdef LITH_HOSTED // ASan is to see every buffer given back
#define POOL_KEEP 0
#else
#define POOL_KEEP 64
#endif
// Packets may take 1/8 of memory, at least this: two receive rings' worth.
#define LIMIT_SHARE 8
#define LIMIT_MIN   (512u << 10)

static struct {
    spinlock_t lock;
    struct list_head free[POOL_COUNT]; // lock
    unsigned count[POOL_COUNT];        // lock
    uint64_t live;                     // atomic: bytes that packets hold now
    uint64_t limit;                    // 0: not known yet
} pool = {.free = {{&pool.free[0], &pool.free[0]},
                   {&pool.free[1], &pool.free[1]},
                   {&pool.free[2], &pool.free[2]},
                   {&pool.free[3], &pool.free[3]}}};

static uint64_t pool_limit(void)
{
    if (!pool.limit) {
        struct mm_stats st;
        mm_stats(&st);
        pool.limit = MAX(st.total_pages * PAGE_SIZE / LIMIT_SHARE, (uint64_t)LIMIT_MIN);
    }
    return pool.limit;
}

// Takes `bytes` of memory, from a free list if its size has one.
static void *pool_take(unsigned which, uint32_t bytes, bool urgent)
{
    uint64_t limit = pool_limit();
    if (urgent)
        limit += limit / 2;
    if (pool.live + bytes > limit)
        return NULL;
    struct pktbuf *p = NULL;
    if (which) {
        spin_lock(&pool.lock);
        if (!list_empty(&pool.free[which])) {
            p = list_first(&pool.free[which], struct pktbuf, link);
            list_del(&p->link);
            pool.count[which]--;
        }
        spin_unlock(&pool.lock);
    }
    if (!p)
        p = kmalloc(bytes);
    if (p)
        __atomic_fetch_add(&pool.live, bytes, __ATOMIC_RELAXED);
    return p;
}

static void pool_give(struct pktbuf *p, unsigned which, uint32_t bytes)
{
    __atomic_fetch_sub(&pool.live, bytes, __ATOMIC_RELAXED);
    if (which) {
        spin_lock(&pool.lock);
        bool keep = pool.count[which] + 1 <= POOL_KEEP;
        if (keep) {
            list_add(&p->link, &pool.free[which]);
            pool.count[which]++;
        }
        spin_unlock(&pool.lock);
        if (keep)
            return;
    }
    kfree(p);
}

static void pkt_init(struct pktbuf *p, uint8_t *head, uint32_t size, unsigned which)
{
    memset(p, 0, sizeof(*p));
    list_init(&p->link);
    list_init(&p->snd_link);
    p->head = p->data = head;
    p->size = size;
    p->refs = 1;
    p->pool = (uint8_t)which;
}

static struct pktbuf *alloc_room(uint32_t room, bool urgent)
{
    if (room > UINT32_MAX / 2)
        return NULL;
    uint32_t bytes = (uint32_t)PKT_OVERHEAD + room;
    unsigned which = POOL_NONE;
    if (bytes <= 512) {
        which = POOL_SMALL;
        bytes = 512;
    } else if (bytes <= 2048) {
        which = POOL_MTU;
        bytes = 2048;
    }
    struct pktbuf *p = pool_take(which, bytes, urgent);
    if (!p)
        return NULL;
    pkt_init(p, (uint8_t *)(p + 1), bytes - (uint32_t)sizeof(*p), which);
    p->data += PKT_HEADROOM;
    return p;
}

struct pktbuf *pkt_alloc(uint32_t size)
{
    return alloc_room(size, false);
}

struct pktbuf *pkt_alloc_urgent(uint32_t size)
{
    return alloc_room(size, true);
}

struct pktbuf *pkt_external(const void *bytes, uint32_t len, void (*release)(struct pktbuf *),
                            void *arg)
{
    struct pktbuf *p = pool_take(POOL_VIEW, sizeof(*p), true);
    if (!p)
        return NULL;
    // Nobody writes to a piece that has no head room and no tail room.
    pkt_init(p, (uint8_t *)(uintptr_t)bytes, len, POOL_VIEW);
    p->len = p->total = len;
    p->release = release;
    p->release_arg = arg;
    return p;
}

static void view_release(struct pktbuf *p)
{
    pkt_free(p->release_arg);
}

struct pktbuf *pkt_view(struct pktbuf *parent, uint8_t *bytes, uint32_t len)
{
    struct pktbuf *p = pkt_external(bytes, len, view_release, parent);
    if (p)
        pkt_ref(parent);
    return p;
}

void pkt_free(struct pktbuf *p)
{
    if (!p || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL))
        return;
    while (p) {
        struct pktbuf *next = p->frag;
        if (p->release)
            p->release(p);
        bool own = p->pool != POOL_VIEW && p->head == (uint8_t *)(p + 1);
        uint32_t bytes = (uint32_t)sizeof(*p) + (own ? p->size : 0);
        pool_give(p, p->pool, bytes);
        p = next;
    }
}

void pkt_stats(uint64_t *live, uint64_t *limit)
{
    *live = pool.live;
    *limit = pool_limit();
}

void pkt_append(struct pktbuf *p, struct pktbuf *piece)
{
    struct pktbuf *last = p;
    while (last->frag)
        last = last->frag;
    last->frag = piece;
    p->total += piece->total;
}

bool pkt_pull_up(struct pktbuf *p, uint32_t n)
{
    if (p->len >= n)
        return true;
    if (p->total < n || p->release || p->refs != 1 || (size_t)(p->data - p->head) + n > p->size)
        return false;
    while (p->len < n) {
        struct pktbuf *f = p->frag;
        uint32_t take = MIN(n - p->len, f->len);
        memcpy(p->data + p->len, f->data, take);
        p->len += take;
        f->data += take;
        f->len -= take;
        if (!f->len) {
            p->frag = f->frag;
            f->frag = NULL;
            pkt_free(f);
        }
    }
    return true;
}

void pkt_consume(struct pktbuf *p, uint32_t n)
{
    ASSERT(n <= p->total);
    p->total -= n;
    for (struct pktbuf *f = p; n; f = f->frag) {
        uint32_t take = MIN(n, f->len);
        f->data += take;
        f->len -= take;
        n -= take;
    }
    // Pieces that are used up give their memory back now, except the first, which is the packet.
    while (p->frag && !p->frag->len) {
        struct pktbuf *f = p->frag;
        p->frag = f->frag;
        f->frag = NULL;
        pkt_free(f);
    }
}

void pkt_trim(struct pktbuf *p, uint32_t total)
{
    if (p->total <= total)
        return;
    p->total = total;
    struct pktbuf *f = p;
    while (f->len < total) {
        total -= f->len;
        f = f->frag;
    }
    f->len = total;
    struct pktbuf *rest = f->frag;
    f->frag = NULL;
    pkt_free(rest);
}

void pkt_copy_out(const struct pktbuf *p, uint32_t off, void *dst, uint32_t n)
{
    uint8_t *out = dst;
    for (const struct pktbuf *f = p; n; f = f->frag) {
        if (off >= f->len) {
            off -= f->len;
            continue;
        }
        uint32_t take = MIN(n, f->len - off);
        memcpy(out, f->data + off, take);
        out += take;
        n -= take;
        off = 0;
    }
}
