// SPDX-License-Identifier: ISC
// Errors with text, and allocation that cannot fail quietly. A text names what failed, why, and
// where it can, the way out; the first caller that knows all three sets it.
#include "common/common.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Texts hold names and values from images and files of other people: what would command a terminal
// does not get there.
static void defuse(char *text)
{
    for (char *c = text; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\n' && *c != '\t') || *c == 0x7f)
            *c = '?';
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
    if (e != NULL) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(e->text, sizeof(e->text), fmt, ap);
        va_end(ap);
        defuse(e->text);
    }
    return code;
}

int err_sys(struct err *e, int code, const char *fmt, ...)
{
    if (e != NULL) {
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
        va_end(ap);
        if (n >= 0 && (size_t)n < sizeof(e->text))
            snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %s", strerror(-code));
        defuse(e->text);
    }
    return code;
}

static void out_of_memory(void)
{
    fputs("lith: out of memory\n", stderr);
    exit(125);
}

void *xmalloc(size_t size)
{
    void *p = malloc(size ? size : 1);
    if (p == NULL)
        out_of_memory();
    return p;
}

void *xcalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (p == NULL)
        out_of_memory();
    return p;
}

void *xrealloc(void *old, size_t size)
{
    void *p = realloc(old, size ? size : 1);
    if (p == NULL)
        out_of_memory();
    return p;
}

char *xstrndup(const char *s, size_t n)
{
    char *p = xmalloc(n + 1);
    memcpy(p, s, n);
    p[n] = 0;
    return p;
}

char *xstrdup(const char *s)
{
    return xstrndup(s, strlen(s));
}

char *xasprintf(const char *fmt, ...)
{
    char *p = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&p, fmt, ap) < 0)
        out_of_memory();
    va_end(ap);
    return p;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
    if (b->cap - b->len <= len) {
        size_t cap = b->cap ? b->cap : 256;
        while (cap - b->len <= len)
            cap *= 2;
        b->data = xrealloc(b->data, cap);
        b->cap = cap;
    }
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = 0;
}

void buf_puts(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (n < 0)
        out_of_memory();
    buf_add(b, s, (size_t)n);
    free(s);
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}
