// SPDX-License-Identifier: ISC
// Memory and string functions with C library semantics. Copies and fills use the string
// instructions: fast on every CPU with ERMS, and the kernel may not touch vector registers.
#include "lib/lib.h"
#undef memcpy
#undef memset

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    void *d = dst;
    const void *s = src;
    // Short copies dominate (headers, names); the string instruction costs ~30 cycles to start.
    if (n <= 16) {
        if (n >= 8) {
            uint64_t a, b;
            __builtin_memcpy(&a, s, 8);
            __builtin_memcpy(&b, (const char *)s + n - 8, 8);
            __builtin_memcpy(d, &a, 8);
            __builtin_memcpy((char *)d + n - 8, &b, 8);
            return dst;
        }
        if (n >= 4) {
            uint32_t a, b;
            __builtin_memcpy(&a, s, 4);
            __builtin_memcpy(&b, (const char *)s + n - 4, 4);
            __builtin_memcpy(d, &a, 4);
            __builtin_memcpy((char *)d + n - 4, &b, 4);
            return dst;
        }
        for (size_t i = 0; i < n; i++) {
            ((volatile char *)d)[i] = ((const char *)s)[i];
        }
        return dst;
    }
    // Whole words, and the last eight bytes once more, at their own place.
    uint64_t last;
    size_t words = n / 8;
    __builtin_memcpy(&last, (const char *)s + n - 8, 8);
    __asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(words)::"memory");
    __builtin_memcpy((char *)dst + n - 8, &last, 8);
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    if ((uintptr_t)dst - (uintptr_t)src >= n)
        return memcpy(dst, src, n);
    char *d = (char *)dst + n;
    const char *s = (const char *)src + n;
    while (n >= 8) {
        uint64_t v;
        d -= 8;
        s -= 8;
        n -= 8;
        __builtin_memcpy(&v, s, 8);
        __builtin_memcpy(d, &v, 8);
    }
    while (n--) {
        d--;
        s--;
        *(volatile char *)d = *s;
    }
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    void *d = dst;
    uint64_t word = (uint8_t)c * 0x0101010101010101ull;
    if (n < 8) {
        for (size_t i = 0; i < n; i++)
            ((volatile char *)d)[i] = (char)c;
        return dst;
    }
    size_t words = n / 8;
    __builtin_memcpy((char *)dst + n - 8, &word, 8);
    __asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(word) : "memory");
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;
    for (; n; n--, x++, y++) {
        if (*x != *y)
            return *x - *y;
    }
    return 0;
}

void *memchr(const void *s, int c, size_t n)
{
    const uint8_t *p = s;
    for (; n; n--, p++) {
        if (*p == (uint8_t)c)
            return (void *)(uintptr_t)p;
    }
    return NULL;
}

size_t strlen(const char *s)
{
    const char *p = s;
    while (*(const volatile char *)p)
        p++;
    return (size_t)(p - s);
}

size_t strnlen(const char *s, size_t max)
{
    size_t n = 0;
    while (n < max && s[n])
        n++;
    return n;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (uint8_t)*a - (uint8_t)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
    while (n && *a && *a == *b) {
        a++;
        b++;
        n--;
    }
    return n ? (uint8_t)*a - (uint8_t)*b : 0;
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c)
            return (char *)(uintptr_t)s;
        if (!*s)
            return NULL;
    }
}

char *strrchr(const char *s, int c)
{
    const char *last = NULL;
    for (;; s++) {
        if (*s == (char)c)
            last = s;
        if (!*s)
            return (char *)(uintptr_t)last;
    }
}
