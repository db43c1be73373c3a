// SPDX-License-Identifier: ISC
// printf's subset, number parsing, bounded string copy.
#include "lib/lib.h"

size_t lib_strlcpy(char *dst, const char *src, size_t size)
{
    size_t n = strlen(src);
    if (size) {
        size_t m = MIN(n, size - 1);
        memcpy(dst, src, m);
        dst[m] = 0;
    }
    return n;
}

bool lib_parse_u64(const char *s, unsigned base, uint64_t *out, const char **end)
{
    uint64_t v = 0;
    const char *p = s;
    for (;; p++) {
        unsigned d;
        if (*p >= '0' && *p <= '9')
            d = (unsigned)(*p - '0');
        else if (base == 16 && *p >= 'a' && *p <= 'f')
            d = (unsigned)(*p - 'a') + 10;
        else if (base == 16 && *p >= 'A' && *p <= 'F')
            d = (unsigned)(*p - 'A') + 10;
        else
            break;
        if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
            __builtin_add_overflow(v, (uint64_t)d, &v))
            return false;
    }
    if (p == s)
        return false;
    *out = v;
    if (end)
        *end = p;
    return true;
}

struct out {
    char *buf;
    size_t size, len;
};

static void put(struct out *o, char c)
{
    if (o->len + 1 < o->size)
        o->buf[o->len] = c;
    o->len++;
}

struct spec {
    bool left, zero;
    int width, precision;
};

static void put_padded(struct out *o, const char *s, size_t n, const struct spec *f)
{
    size_t pad = f->width > 0 && (size_t)f->width > n ? (size_t)f->width - n : 0;
    if (!f->left) {
        for (; pad; pad--)
            put(o, ' ');
    }
    for (size_t i = 0; i < n; i++)
        put(o, s[i]);
    for (; pad; pad--)
        put(o, ' ');
}

static void put_number(struct out *o, uint64_t v, bool negative, unsigned base, bool upper,
                       const struct spec *f)
{
    char tmp[24];
    size_t n = 0;
    do {
        unsigned d = (unsigned)(v % base);
        tmp[n++] = (char)(d < 10 ? '0' + d : (upper ? 'A' : 'a') + d - 10);
        v /= base;
    } while (v);
    size_t digits = n;
    if (f->precision >= 0 && (size_t)f->precision > digits)
        digits = (size_t)f->precision;
    size_t total = digits + negative;
    size_t pad = f->width > 0 && (size_t)f->width > total ? (size_t)f->width - total : 0;
    bool zero = f->zero && !f->left && f->precision < 0;
    if (!f->left && !zero) {
        for (; pad; pad--)
            put(o, ' ');
    }
    if (negative)
        put(o, '-');
    if (zero) {
        for (; pad; pad--)
            put(o, '0');
    }
    for (size_t i = digits; i > n; i--)
        put(o, '0');
    while (n)
        put(o, tmp[--n]);
    for (; pad; pad--)
        put(o, ' ');
}

static void put_ip4(struct out *o, const uint8_t *p, const struct spec *f)
{
    char tmp[16];
    int n = lib_snprintf(tmp, sizeof(tmp), "%u.%u.%u.%u", p[0], p[1], p[2], p[3]);
    put_padded(o, tmp, (size_t)n, f);
}

// Parses flags, width and precision; returns the character after them.
static const char *parse_spec(const char *s, struct spec *f, va_list *ap)
{
    *f = (struct spec){.precision = -1};
    for (;; s++) {
        if (*s == '-')
            f->left = true;
        else if (*s == '0')
            f->zero = true;
        else if (*s != '#' && *s != ' ' && *s != '+')
            break;
    }
    if (*s == '*') {
        f->width = va_arg(*ap, int);
        if (f->width < 0) {
            f->left = true;
            f->width = -f->width;
        }
        s++;
    }
    for (; *s >= '0' && *s <= '9'; s++)
        f->width = f->width * 10 + (*s - '0');
    if (*s == '.') {
        f->precision = 0;
        if (*++s == '*') {
            f->precision = va_arg(*ap, int);
            s++;
        }
        for (; *s >= '0' && *s <= '9'; s++)
            f->precision = f->precision * 10 + (*s - '0');
    }
    return s;
}

int lib_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap0)
{
    struct out o = {buf, size, 0};
    va_list ap;
    va_copy(ap, ap0);
    for (const char *s = fmt; *s; s++) {
        if (*s != '%') {
            put(&o, *s);
            continue;
        }
        struct spec f;
        s = parse_spec(s + 1, &f, &ap);
        int size_mod = 0; // -2 hh, -1 h, 0 int, 1 long or wider
        for (; *s == 'h' || *s == 'l' || *s == 'z' || *s == 't' || *s == 'j'; s++)
            size_mod = *s == 'h' ? size_mod - 1 : 1;
        switch (*s) {
        case 'd':
        case 'i': {
            int64_t v = size_mod > 0 ? va_arg(ap, long) : va_arg(ap, int);
            if (size_mod == -1)
                v = (short)v;
            else if (size_mod == -2)
                v = (signed char)v;
            put_number(&o, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0, 10, false, &f);
            break;
        }
        case 'u':
        case 'o':
        case 'x':
        case 'X': {
            uint64_t v = size_mod > 0 ? va_arg(ap, unsigned long) : va_arg(ap, unsigned);
            if (size_mod == -1)
                v = (uint16_t)v;
            else if (size_mod == -2)
                v = (uint8_t)v;
            put_number(&o, v, false, *s == 'u' ? 10 : *s == 'o' ? 8 : 16, *s == 'X', &f);
            break;
        }
        case 'p': {
            const void *p = va_arg(ap, const void *);
            if (s[1] == 'I' && s[2] == '4') {
                put_ip4(&o, p, &f);
                s += 2;
            } else {
                put(&o, '0');
                put(&o, 'x');
                put_number(&o, (uintptr_t)p, false, 16, false, &f);
            }
            break;
        }
        case 's': {
            const char *str = va_arg(ap, const char *);
            if (!str)
                str = "(null)";
            put_padded(&o, str, f.precision >= 0 ? strnlen(str, (size_t)f.precision) : strlen(str),
                       &f);
            break;
        }
        case 'c': {
            char c = (char)va_arg(ap, int);
            put_padded(&o, &c, 1, &f);
            break;
        }
        case '%':
            put(&o, '%');
            break;
        default: // unknown: shown as written, so that the mistake is seen
            put(&o, '%');
            if (*s)
                put(&o, *s);
            else
                s--;
        }
    }
    va_end(ap);
    if (size)
        buf[MIN(o.len, size - 1)] = 0;
    return (int)o.len;
}

int lib_snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = lib_vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    return n;
}
