// SPDX-License-Identifier: ISC
// lib: strings, lists, trees, formatting, hashes. No state, no dependencies; any context.
#ifndef LITH_LIB_H
#define LITH_LIB_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef long ssize_t_k; // count or -errno

// --- small things ---
// In a function: whoever links it links `symbol` too. No code, only a relocation for the linker.
#ifdef LITH_HOSTED
#define LINK_NEEDS(symbol) ((void)0)
#else
#define LINK_NEEDS(symbol) __asm__ volatile(".reloc ., R_X86_64_NONE, " #symbol)
#endif
#define ARRAY_LEN(a)     (sizeof(a) / sizeof((a)[0]))
#define ALIGN_UP(x, a)   (((x) + ((__typeof__(x))(a)-1)) & ~((__typeof__(x))(a)-1))
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a)-1))
#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a)-1)) == 0)
#define MIN(a, b)               \
    ({                          \
        __typeof__(a) a_ = (a); \
        __typeof__(b) b_ = (b); \
        a_ < b_ ? a_ : b_;      \
    })
#define MAX(a, b)               \
    ({                          \
        __typeof__(a) a_ = (a); \
        __typeof__(b) b_ = (b); \
        a_ > b_ ? a_ : b_;      \
    })
#define container_of(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))
#define likely(x)                     __builtin_expect(!!(x), 1)
#define unlikely(x)                   __builtin_expect(!!(x), 0)
#define READ_ONCE(x)                  (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)              (*(volatile __typeof__(x) *)&(x) = (v))
#define barrier()                     __asm__ volatile("" ::: "memory")
#define compile_assert(name, expr)    _Static_assert(expr, #name)

#define NSEC_PER_SEC   1000000000ull
#define NSEC_PER_MSEC  1000000ull
#define NSEC_PER_USEC  1000ull
#define DEADLINE_NEVER UINT64_MAX // a point of the monotonic clock that never comes

// --- strings (C library semantics) ---
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
// Copies at most size-1 bytes, always terminates; returns strlen(src).
size_t lib_strlcpy(char *dst, const char *src, size_t size);

// printf subset: %d %i %u %x %X %p %s %c %% with - 0 width .precision * and h l ll z t j; %pI4 is
// an IPv4 address in network byte order (argument: pointer to uint32_t). Returns the length needed.
int lib_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int lib_snprintf(char *buf, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// Parses digits of `base` (10 or 16); *end is the first byte not used. False: no digit, or
// overflow.
bool lib_parse_u64(const char *s, unsigned base, uint64_t *out, const char **end);

// --- byte order ---
static inline uint16_t bswap16(uint16_t v)
{
    return __builtin_bswap16(v);
}
static inline uint32_t bswap32(uint32_t v)
{
    return __builtin_bswap32(v);
}
#define be16_to_cpu bswap16
#define cpu_to_be16 bswap16
#define be32_to_cpu bswap32
#define cpu_to_be32 bswap32

// --- doubly linked list ---
struct list_head {
    struct list_head *next, *prev;
};
static inline void list_init(struct list_head *l)
{
    l->next = l->prev = l;
}
static inline bool list_empty(const struct list_head *l)
{
    return l->next == l;
}
static inline void list_insert_between(struct list_head *n, struct list_head *p,
                                       struct list_head *x)
{
    n->prev = p;
    n->next = x;
    p->next = n;
    x->prev = n;
}
static inline void list_add(struct list_head *n, struct list_head *at)
{
    list_insert_between(n, at, at->next);
}
static inline void list_add_tail(struct list_head *n, struct list_head *at)
{
    list_insert_between(n, at->prev, at);
}
// The removed node becomes an empty list of its own: removing it twice is harmless.
static inline void list_del(struct list_head *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}
#define list_entry(p, type, member) container_of(p, type, member)
#define list_first(l, type, member) list_entry((l)->next, type, member)
#define list_for_each(pos, l)       for (struct list_head *pos = (l)->next; pos != (l); pos = pos->next)
#define list_for_each_safe(pos, l)                                               \
    for (struct list_head *pos = (l)->next, *pos##_next = pos->next; pos != (l); \
         pos = pos##_next, pos##_next = pos->next)

// --- red-black tree (intrusive; the caller compares) ---
struct rb_node {
    struct rb_node *parent, *left, *right;
    bool red;
};
struct rb_root {
    struct rb_node *node;
};
// Links `n` below `parent` at `*link` (found by the caller's descent), then rebalances.
void rb_insert(struct rb_root *root, struct rb_node *n, struct rb_node *parent,
               struct rb_node **link);
void rb_remove(struct rb_root *root, struct rb_node *n);
struct rb_node *rb_first(const struct rb_root *root);
struct rb_node *rb_last(const struct rb_root *root);
struct rb_node *rb_next(const struct rb_node *n);
struct rb_node *rb_prev(const struct rb_node *n);

// --- hashes and the stream cipher ---
// SipHash-2-4 (Aumasson, Bernstein 2012).
uint64_t lib_siphash(const uint64_t key[2], const void *data, size_t len);
// ChaCha20 block function (RFC 8439 section 2.3).
void lib_chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3],
                        uint8_t out[64]);

// -ffreestanding takes the compiler's knowledge of these away; this gives it back: copies of a few
// bytes become moves.
#ifndef LITH_HOSTED
#define LIB_SHORT(n)    (__builtin_constant_p(n) && (n) <= 32)
#define memcpy(d, s, n) (LIB_SHORT(n) ? __builtin_memcpy(d, s, n) : (memcpy)(d, s, n))
#define memset(d, c, n) (LIB_SHORT(n) ? __builtin_memset(d, c, n) : (memset)(d, c, n))
#endif

#endif
