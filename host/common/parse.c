// SPDX-License-Identifier: ISC
// Numbers, sizes and addresses as users write them. Strict: the whole string must be the value.
#include "common/common.h"

#include <errno.h>
#include <string.h>

int parse_uint(const char *s, uint64_t min, uint64_t max, uint64_t *value)
{
    uint64_t v = 0;
    if (*s == 0)
        return -EINVAL;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return -EINVAL;
        unsigned digit = (unsigned)(*s - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return -ERANGE;
        v = v * 10 + digit;
    }
    if (v < min || v > max)
        return -ERANGE;
    *value = v;
    return 0;
}

int parse_size(const char *s, uint64_t *bytes)
{
    static const struct {
        char suffix;
        unsigned shift;
    } units[] = {{'k', 10}, {'m', 20}, {'g', 30}, {'t', 40}};
    char digits[24];
    size_t n = strspn(s, "0123456789");
    if (n == 0 || n >= sizeof(digits))
        return -EINVAL;
    memcpy(digits, s, n);
    digits[n] = 0;
    uint64_t v;
    int r = parse_uint(digits, 0, UINT64_MAX, &v);
    if (r < 0)
        return r;
    s += n;
    unsigned shift = 0;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if ((*s | 0x20) == units[i].suffix)
            shift = units[i].shift;
    if (shift) {
        s++;
        if (*s == 'i')
            s++;
    }
    if (*s == 'b' || *s == 'B')
        s++;
    if (*s != 0)
        return -EINVAL;
    if (shift && v > (UINT64_MAX >> shift))
        return -ERANGE;
    *bytes = v << shift;
    return 0;
}

// Reads up to 3 decimal digits; leading zeros are refused, because some parsers read them as octal.
static int parse_octet(const char **s, unsigned max, unsigned *value)
{
    const char *p = *s;
    unsigned v = 0, n = 0;
    for (; *p >= '0' && *p <= '9' && n < 3; p++, n++)
        v = v * 10 + (unsigned)(*p - '0');
    if (n == 0 || v > max || (n > 1 && **s == '0'))
        return -EINVAL;
    *s = p;
    *value = v;
    return 0;
}

static int parse_ipv4_part(const char **s, uint32_t *addr)
{
    uint32_t a = 0;
    for (int i = 0; i < 4; i++) {
        unsigned octet;
        if (i > 0 && *(*s)++ != '.')
            return -EINVAL;
        if (parse_octet(s, 255, &octet) < 0)
            return -EINVAL;
        a = a << 8 | octet;
    }
    *addr = a;
    return 0;
}

int parse_ipv4(const char *s, uint32_t *addr)
{
    if (parse_ipv4_part(&s, addr) < 0 || *s != 0)
        return -EINVAL;
    return 0;
}

int parse_ipv4_prefix(const char *s, uint32_t *addr, unsigned *prefix)
{
    if (parse_ipv4_part(&s, addr) < 0 || *s++ != '/' || parse_octet(&s, 32, prefix) < 0)
        return -EINVAL;
    return *s == 0 && *prefix > 0 ? 0 : -EINVAL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int parse_mac(const char *s, uint8_t mac[6])
{
    uint8_t any = 0;
    for (int i = 0; i < 6; i++) {
        if (i > 0 && *s++ != ':')
            return -EINVAL;
        int high = hex_digit(*s);
        int low = high < 0 ? -1 : hex_digit(s[1]);
        if (low < 0)
            return -EINVAL;
        mac[i] = (uint8_t)(high << 4 | low);
        any |= mac[i];
        s += 2;
    }
    return *s == 0 && any != 0 && (mac[0] & 1) == 0 ? 0 : -EINVAL;
}
