// SPDX-License-Identifier: ISC
// Writes the boot configuration: words `key=value` separated by single spaces, with %XX for bytes
// that would end a word or that a command line could lose (abi/bootconfig.h).
#include "common/common.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/bootconfig.h"

void escape_add(struct buf *b, const char *value)
{
    static const char hex[] = "0123456789ABCDEF";
    for (const char *p = value; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c <= 0x20 || c == '%' || c >= 0x7f) {
            char escape[3] = {'%', hex[c >> 4], hex[c & 15]};
            buf_add(b, escape, 3);
        } else {
            buf_add(b, p, 1);
        }
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int unescape(char *s)
{
    char *out = s;
    for (; *s; s++) {
        if (*s != '%') {
            *out++ = *s;
            continue;
        }
        int high = hex_value(s[1]), low = high < 0 ? -1 : hex_value(s[2]);
        if (low < 0 || (high | low) == 0)
            return -EINVAL;
        *out++ = (char)(high << 4 | low);
        s += 2;
    }
    *out = 0;
    return 0;
}

void bootconfig_add(struct bootconfig *b, const char *key, const char *value)
{
    if (b->error)
        return;
    if (b->words >= LITH_BOOTCONFIG_WORDS_MAX || strlen(value) >= LITH_BOOTCONFIG_MAX) {
        b->error = -E2BIG;
        return;
    }
    if (b->words++)
        buf_puts(&b->text, " ");
    buf_puts(&b->text, key);
    buf_puts(&b->text, "=");
    escape_add(&b->text, value);
    if (b->text.len + 1 > LITH_BOOTCONFIG_MAX)
        b->error = -E2BIG;
}

void bootconfig_addf(struct bootconfig *b, const char *key, const char *fmt, ...)
{
    char *value = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&value, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->error = b->error ? b->error : -ENOMEM;
        return;
    }
    bootconfig_add(b, key, value);
    free(value);
}

int bootconfig_finish(struct bootconfig *b, struct err *e)
{
    if (b->error == -E2BIG)
        return err_set(e, -E2BIG,
                       "arguments and environment are too long: %u words, %d bytes are the limit; "
                       "put long values into files of the image",
                       LITH_BOOTCONFIG_WORDS_MAX, LITH_BOOTCONFIG_MAX);
    if (b->error)
        return err_sys(e, b->error, "boot configuration");
    if (b->text.data == NULL)
        buf_puts(&b->text, "");
    return 0;
}

void bootconfig_free(struct bootconfig *b)
{
    buf_free(&b->text);
}
